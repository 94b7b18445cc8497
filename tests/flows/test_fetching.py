"""Lists by URL: fetched into a private folder that goes with the block, and refused in words that give nothing away."""

import stat
from pathlib import Path

import fsspec
import pytest

from flows.fetching import NotFetched, fetched, name_of


async def fetch_and_drop(place: str) -> str:
    async with fetched(place):
        return ""


@pytest.fixture
def in_memory() -> str:
    with fsspec.open("memory://lists/spring.csv", "wb") as file:
        file.write(b"username,integration\n")
    return "memory://lists/spring.csv"


async def test_a_list_is_there_under_its_own_name_for_nobody_else_and_only_while_it_is_needed(in_memory: str) -> None:
    async with fetched(in_memory) as path:
        seen = (path.name, path.read_bytes(), stat.S_IMODE(path.parent.stat().st_mode))

    assert (*seen, path.parent.exists()) == ("spring.csv", b"username,integration\n", 0o700, False)


async def test_a_path_is_read_where_it_is(tmp_path: Path) -> None:
    async with fetched(str(tmp_path / "spring.csv")) as path:
        assert path == tmp_path / "spring.csv"


async def test_a_file_url_is_a_url(tmp_path: Path) -> None:
    (tmp_path / "spring 1.csv").write_text("x")
    async with fetched(f"file://{tmp_path}/spring 1.csv") as path:
        assert (path.name, path.read_text()) == ("spring 1.csv", "x")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("memory://lists/autumn.csv?signature=canary", "no such file"),
        ("gopher://canary@host.test/spring.csv", "nothing is known that reads gopher://"),
        ("https://ann:canary@host.test/spring.csv", "leave user and password out"),
        ("http://127.0.0.1:9/spring.csv?signature=canary", "cannot be reached"),
    ],
)
async def test_what_cannot_be_fetched_is_said_without_what_the_url_may_hold(url: str, said: str) -> None:
    with pytest.raises(NotFetched, match=said) as refused:
        await fetch_and_drop(url)
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize("protocol", ["s3", "gs", "abfs"])
async def test_a_package_that_is_missing_is_named(protocol: str) -> None:
    with pytest.raises(NotFetched, match=f"{protocol}:// needs a package"):
        await fetch_and_drop(f"{protocol}://bucket/spring.csv")


def test_a_signature_is_no_part_of_the_name() -> None:
    assert name_of("https://host.test/a/spring%20list.csv?signature=x") == "spring list.csv"
