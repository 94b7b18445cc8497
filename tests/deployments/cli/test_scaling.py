"""`deploy` and `work` where something is missing; what they do is seen in the journey of several workers."""

from pathlib import Path

import pytest

from tests.deployments.cli.conftest import Onboard

NOBODY = "http://127.0.0.1:9/api"
SHARED = {"ALLOY_API_KEY": "k", "ONBOARD_DATABASE_URL": "postgresql://db.internal/o", "ONBOARD_SECRET_KEY": "k"}


@pytest.mark.parametrize("verb", ["deploy", "work"])
def test_without_a_prefect_server_for_all_it_says_which_setting_is_missing(verb: str, command: Onboard, home: Path):
    ended = command(verb, **SHARED)

    assert ended.code == 3
    assert "PREFECT_API_URL is not set" in ended.err
    assert "Traceback" not in ended.err
    assert not (home / ".onboard").exists(), "no server of its own is started"


def test_a_server_that_does_not_answer_is_named(command: Onboard):
    ended = command("deploy", PREFECT_API_URL=NOBODY)

    assert ended.code == 3
    assert NOBODY in ended.err
    assert "Traceback" not in ended.err


def test_a_worker_that_would_seal_with_a_key_of_its_own_is_refused(command: Onboard):
    ended = command("work", **{**SHARED, "ONBOARD_SECRET_KEY": ""}, PREFECT_API_URL=NOBODY)

    assert ended.code == 3
    assert "ONBOARD_SECRET_KEY must be set, to the same on every machine" in ended.err


def test_a_worker_without_an_api_key_is_refused(command: Onboard):
    ended = command("work", PREFECT_API_URL=NOBODY)

    assert ended.code == 3
    assert "ALLOY_API_KEY is not set" in ended.err
