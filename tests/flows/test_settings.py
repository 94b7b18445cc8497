"""What several machines must have in common, and what a process in another folder has to be told."""

from pathlib import Path

import pytest

from flows.resources import open_resources
from flows.settings import Settings
from states.failures import Halted
from states.holds import Reason

POSTGRESQL = "postgresql://onboard@db.internal/onboard"


@pytest.fixture(autouse=True)
def _nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder, and no setting of the machine."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("home", "url", "key", "missing"),
    [
        (".onboard", None, None, ["ONBOARD_DATABASE_URL", "ONBOARD_SECRET_KEY"]),
        (".onboard", None, "k", ["ONBOARD_DATABASE_URL"]),
        (".onboard", POSTGRESQL, None, ["ONBOARD_SECRET_KEY"]),
        (".onboard", POSTGRESQL, "k", []),
        (".onboard", "sqlite:///onboard.db", "k", ["ONBOARD_DATABASE_URL"]),
        (".onboard", "sqlite:////srv/onboard.db", "k", []),
        ("/srv/onboard", None, None, []),
        ("/srv/onboard", "sqlite:////srv/onboard.db", None, []),
        ("/srv/onboard", POSTGRESQL, None, ["ONBOARD_SECRET_KEY"]),
        ("/srv/onboard", POSTGRESQL, "k", []),
    ],
)
def test_what_a_worker_elsewhere_would_make_for_itself_is_named(
    home: str, url: str | None, key: str | None, missing: list[str]
):
    settings = Settings.model_validate(
        {"onboard_home": home, "onboard_database_url": url, "onboard_secret_key": key, "onboard_shared": True}
    )

    assert settings.of_this_machine == missing


@pytest.mark.anyio
async def test_a_run_that_shares_the_work_makes_no_database_of_its_own(tmp_path: Path):
    settings = Settings.model_validate({"alloy_api_key": "k", "onboard_shared": True})

    with pytest.raises(Halted, match="ONBOARD_DATABASE_URL and ONBOARD_SECRET_KEY must be set") as halted:
        async with open_resources(settings):
            pass

    assert halted.value.reason is Reason.not_shared
    assert is_empty(tmp_path)


def test_a_process_in_another_folder_has_the_same_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / ".env").write_text(
        "ALLOY_API_KEY=a-key\nALLOY_RATE=12.5\nALLOY_API_VERSION=2025-09\nONBOARD_SECRET_KEY=old,new\n"
        f"ONBOARD_DATABASE_URL={POSTGRESQL}\nONBOARD_FAILURE_COUNT=7\nONBOARD_LEASE_SECONDS=30\nONBOARD_SHARED=true\n"
    )
    here = Settings()
    for name, value in here.as_environment().items():
        monkeypatch.setenv(name, value)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    there = Settings()

    assert there == here.model_copy(update={"onboard_home": tmp_path / ".onboard"})


def is_empty(folder: Path) -> bool:
    return not any(folder.iterdir())
