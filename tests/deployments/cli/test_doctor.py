"""doctor: every check passes where all is well, and names what is not."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployments.alerts import ALERTS, install
from deployments.cli.exits import ExitCode
from deployments.prefect_server import shared_prefect_server
from deployments.registering import to_runner_deployment
from deployments.schedules import NOTE_ALERT
from flows.settings import Settings
from tests.deployments.cli.conftest import Ended, Onboard

pytestmark = pytest.mark.usefixtures("account")

CHECKS = ["settings", "database", "secret key", "sealed values", "Alloy", "Prefect", "alerts"]

EVERYTHING_WRONG = {
    "ALLOY_API_KEY": "canary-key",
    "ONBOARD_SECRET_KEY": "canary-key",
    "ONBOARD_DATABASE_URL": "postgresql://u:canary@127.0.0.1:1/x",
    "PREFECT_API_URL": "http://127.0.0.1:1/api",
}


def test_all_is_well(command: Onboard):
    ended = command("doctor", "--json")
    assert ended.code == ExitCode.fine, ended.out
    assert ended.json["ok"] is True
    assert [check["check"] for check in ended.json["checks"]] == CHECKS
    assert about_alerts(ended)["finding"] == "no server runs that could be asked"


def test_everything_that_is_wrong_is_named_with_a_remedy_and_exit_3(command: Onboard):
    ended = command("doctor", "--json", **EVERYTHING_WRONG)
    assert ended.code == ExitCode.cannot_start
    wrong = [one for one in ended.json["checks"] if not one["ok"]]
    assert [one["check"] for one in wrong] == CHECKS[1:-1]
    assert all(one["finding"] and one["remedy"] for one in wrong)
    assert "canary" not in ended.out + ended.err


def test_a_wrong_host_is_told_from_a_wrong_key(command: Onboard):
    ended = command("doctor", ALLOY_BASE_URL="http://127.0.0.1:1", PREFECT_API_URL="http://127.0.0.1:1/api")
    assert ended.code == ExitCode.cannot_start
    assert "fail  Alloy: 127.0.0.1 cannot be reached" in ended.out


def test_a_setting_that_is_wrong_ends_the_examination(command: Onboard):
    ended = command("doctor", "--json", ALLOY_RATE="canary")
    assert ended.code == ExitCode.cannot_start
    assert [one["check"] for one in ended.json["checks"]] == ["settings"]
    assert "ALLOY_RATE" in ended.json["checks"][0]["finding"]
    assert "canary" not in ended.out


@pytest.mark.prefect
async def test_the_prefect_that_is_there_is_asked_for_the_alerts(
    command: Onboard, home: Path, prefect_of_the_home: str
):
    assert about_alerts(command("doctor", "--json"))["finding"].startswith("none yet")

    await to_runner_deployment(NOTE_ALERT).aapply()
    await install(Settings(), ALERTS[1:])
    ended = command("doctor", "--json")
    assert ended.code == ExitCode.cannot_start
    assert about_alerts(ended)["finding"] == f"not installed: {ALERTS[0].name}"
    assert "`onboard up`" in about_alerts(ended)["remedy"]

    await install(Settings())
    ended = command("doctor", "--json", PREFECT_API_URL=prefect_of_the_home)
    assert (ended.code, about_alerts(ended)["finding"]) == (ExitCode.fine, "all installed")

    ended = command("doctor", "--json", ONBOARD_ALERT_BLOCK="slack-webhook/ops")
    assert ended.code == ExitCode.cannot_start
    assert "there is no block slack-webhook/ops: make it in Prefect" in about_alerts(ended)["finding"]


@pytest.fixture
def prefect_of_the_home(home: Path) -> Iterator[str]:
    """The address of the server that belongs to the home, while another command keeps it running."""
    with shared_prefect_server(home / ".onboard") as server, pytest.MonkeyPatch.context() as patched:
        # For the commands, which are to find it by the home.
        for name in ("PREFECT_API_URL", "PREFECT_HOME", "PREFECT_PROFILES_PATH"):
            patched.delenv(name)
        yield server.api_url


def about_alerts(ended: Ended) -> dict[str, Any]:
    """Return what was found of the alerts."""
    [found] = [one for one in ended.json["checks"] if one["check"] == "alerts"]
    return dict(found)
