"""doctor: every check passes where all is well, and names what is not."""

import pytest

from deployments.cli.exits import ExitCode
from tests.deployments.cli.conftest import Onboard

pytestmark = pytest.mark.usefixtures("account")

CHECKS = ["settings", "database", "secret key", "sealed values", "Alloy", "Prefect"]

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


def test_everything_that_is_wrong_is_named_with_a_remedy_and_exit_3(command: Onboard):
    ended = command("doctor", "--json", **EVERYTHING_WRONG)
    assert ended.code == ExitCode.cannot_start
    wrong = [one for one in ended.json["checks"] if not one["ok"]]
    assert [one["check"] for one in wrong] == CHECKS[1:]
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
