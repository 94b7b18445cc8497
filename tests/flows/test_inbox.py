"""The inbox on a real Prefect server: what is dropped there is taken in once, and what is faulty is told beside it."""

import json
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from deployments.prefect_server import shared_prefect_server
from deployments.sandbox.knobs import Knobs
from deployments.sandbox.server import Sandbox, SandboxSettings, running_sandbox
from flows import inbox
from flows.inbox import INBOX_KEY, take_in_inbox

pytestmark = pytest.mark.prefect

HEADER = "username,integration,auth.apiKey\n"
ANN = "ann@example.test,Klaviyo,key-1\n"
BOB = "bob@example.test,Klaviyo,key-2\n"


@pytest.fixture(scope="module")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with shared_prefect_server(tmp_path_factory.mktemp("prefect")):
        yield


@pytest.fixture
def alloy(prefect: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with running_sandbox(SandboxSettings(knobs=Knobs(auto="grant"))) as sandbox:
        monkeypatch.chdir(tmp_path)
        for name, value in {
            "ALLOY_API_KEY": "sandbox-dev-key",
            "ALLOY_BASE_URL": sandbox.url,
            "ALLOY_RATE": "10000",
            "ONBOARD_HOME": str(tmp_path),
        }.items():
            monkeypatch.setenv(name, value)
        meanwhile(monkeypatch)
        yield sandbox


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


def meanwhile(monkeypatch: pytest.MonkeyPatch, written: Path | None = None) -> None:
    """Have a list written to while the inbox waits for it to settle."""

    async def settle() -> None:
        if written is not None:
            with written.open("a", encoding="utf-8") as file:
                file.write(BOB)

    monkeypatch.setattr(inbox, "settle", settle)


def names(folder: Path, pattern: str) -> list[str]:
    return sorted(one.name for one in folder.glob(pattern))


async def look() -> str | None:
    return (await take_in_inbox(return_state=True)).name


async def shown() -> list[tuple[str, str]]:
    """What the latest table says of each list."""
    async with get_client() as client:
        [artifact, *_] = sorted(
            await client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[INBOX_KEY]))),
            key=lambda one: str(one.created),
            reverse=True,
        )
    return [(one["list"], one["batch"]) for one in json.loads(str(artifact.data))]


async def test_the_same_list_again_changes_nothing_and_a_changed_one_goes_into_the_same_batch(
    alloy: Sandbox, folder: Path
) -> None:
    spring = folder / "spring.csv"
    spring.write_text(HEADER + ANN, encoding="utf-8")
    assert (await look(), alloy.ledger().installations_completed) == ("1 taken in", 1)
    assert await look() == "Nothing new"

    spring.write_text(HEADER + ANN, encoding="utf-8")
    calls = alloy.requests.total
    assert (await look(), alloy.requests.total) == ("Nothing new", calls)

    spring.write_text(HEADER + ANN + BOB, encoding="utf-8")
    assert (await look(), alloy.ledger().installations_completed) == ("1 taken in", 2)
    assert await shown() == [("spring.csv", "spring")]
    assert names(folder, "*") == ["spring.csv"]


async def test_a_list_that_is_still_being_written_is_left_for_the_next_look(
    alloy: Sandbox, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spring = folder / "spring.csv"
    spring.write_text(HEADER + ANN, encoding="utf-8")
    meanwhile(monkeypatch, spring)
    assert (await look(), alloy.ledger().users) == ("1 still being written", 0)

    meanwhile(monkeypatch)
    assert (await look(), alloy.ledger().installations_completed) == ("1 taken in", 2)


async def test_a_faulty_list_is_let_be_with_its_faults_beside_it_until_it_is_corrected(
    alloy: Sandbox, folder: Path
) -> None:
    spring, faults = folder / "spring.csv", folder / "spring.csv.faults.txt"
    spring.write_text(HEADER + ANN + ",Klaviyo,canary-key\n", encoding="utf-8")
    before = spring.read_bytes(), spring.stat().st_mtime_ns

    assert (await look(), alloy.ledger().users) == ("1 refused", 0)
    assert (spring.read_bytes(), spring.stat().st_mtime_ns) == before
    assert "line 3, username: is blank; fill it in" in faults.read_text()
    assert "canary" not in faults.read_text()
    assert await look() == "Nothing new"

    spring.write_text(HEADER + ANN + BOB, encoding="utf-8")
    assert (await look(), alloy.ledger().installations_completed) == ("1 taken in", 2)
    assert not faults.exists()


async def test_a_list_in_the_inbox_cannot_have_the_environment_or_a_file_of_this_machine_sent_to_alloy(
    alloy: Sandbox, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OURS", "canary-of-the-environment")
    (folder / "ours.txt").write_text("canary-of-a-file", encoding="utf-8")
    rows = "ann@example.test,Klaviyo,env:OURS\nbob@example.test,Klaviyo, file:ours.txt\n"
    (folder / "spring.csv").write_text(HEADER + rows, encoding="utf-8")

    assert (await look(), alloy.ledger().users) == ("1 refused", 0)
    faults = (folder / "spring.csv.faults.txt").read_text()
    assert [f"line {line}, auth.apiKey: refers to this machine's" in faults for line in (2, 3)] == [True, True]
    assert "write the value itself, or take the list in with `onboard run`" in faults
    assert "canary" not in faults


async def test_an_inbox_behind_a_url_is_looked_into_and_told_of_its_faults(
    alloy: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONBOARD_INBOX", "memory://dropped")
    files = fsspec.filesystem("memory")
    files.pipe({"/dropped/spring.csv": (HEADER + ANN).encode(), "/dropped/faulty.csv": (HEADER + ",K,k\n").encode()})

    assert (await look(), alloy.ledger().installations_completed) == ("1 taken in, 1 refused", 1)
    assert b"line 2, username" in files.cat("/dropped/faulty.csv.faults.txt")
    assert await look() == "Nothing new"
    assert names(tmp_path, "inbox-*") == []

    files.pipe("/dropped/spring.csv", (HEADER + ANN + BOB).encode())
    assert (await look(), alloy.ledger().installations_completed) == ("1 taken in", 2)
