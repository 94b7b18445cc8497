import stat
from pathlib import Path

import pytest

from deployments.prefect_server.sharing import shared_prefect_server
from store.engine import make_engine
from store.private_folder import make_private
from store.vault import Vault


def mode(folder: Path) -> int:
    return stat.S_IMODE(folder.stat().st_mode)


def test_a_folder_and_its_missing_parents_are_for_their_owner_alone(tmp_path: Path) -> None:
    make_private(tmp_path / "a" / "b" / "c")

    assert [mode(tmp_path / name) for name in ("a", "a/b", "a/b/c")] == [0o700] * 3


def test_a_folder_that_is_there_keeps_its_permissions(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    make_private(tmp_path)

    assert mode(tmp_path) == 0o755


def test_a_file_in_the_way_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")

    with pytest.raises(OSError, match="a"):
        make_private(tmp_path / "a" / "b")


def _database(home: Path) -> None:
    make_engine(f"sqlite:///{home / 'onboard.db'}").dispose()


def _key(home: Path) -> None:
    Vault.open(None, home)


def _prefect(home: Path) -> None:
    def tell(what: str) -> None:
        raise KeyboardInterrupt(what)  # the folder is there; the server itself is not what is asked about

    with pytest.raises(KeyboardInterrupt), shared_prefect_server(home, on_wait=tell):
        pass


@pytest.mark.parametrize("first", [_database, _key, _prefect])
def test_the_home_is_for_its_owner_alone_whoever_makes_it_first(
    first: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    home = tmp_path / "new" / ".onboard"
    assert callable(first)
    first(home)

    assert mode(home) == 0o700
