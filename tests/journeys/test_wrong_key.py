"""A key that Alloy does not take ends a run with exit 3 and one clear line, and nobody on the list is blamed."""

import pytest

from deployments.sandbox.control import SandboxControl
from tests.journeys.people import people, write_list
from tests.journeys.processes import Ended, Onboard, Prefect, until_asked
from tests.journeys.proofs import (
    assert_exactly_once,
    assert_nobody_is_blamed,
    assert_not_told,
    completed,
    secrets_in,
)

pytestmark = pytest.mark.prefect


def assert_one_clear_line(ended: Ended) -> None:
    assert ended.code == 3
    [line] = [line for line in ended.err.splitlines() if line.startswith("error:")]
    assert "ALLOY_API_KEY" in line
    assert ended.json["error"] in ("halted", "alloy")
    assert ended.json["faults"] == []
    assert_not_told(ended)


def test_a_list_is_not_even_taken_in_with_a_wrong_key(onboard: Onboard, alloy: SandboxControl, prefect: Prefect):
    write_list(onboard.folder / "list.csv", people(4))

    ended = onboard("run", "list.csv", "--json", ALLOY_API_KEY="canary-of-a-wrong-key")

    assert_one_clear_line(ended)
    assert len(ended.err.splitlines()) == 1
    assert (alloy.ledger().users, onboard("status", "--json").json["total"]) == (0, 0)
    assert onboard("run", "list.csv").code == 0, "with the right key the same list is taken in"
    assert secrets_in(onboard.home, prefect.folder) == []


def test_a_key_that_is_revoked_in_the_middle_of_a_run_blames_nobody_and_with_the_key_back_all_complete(
    onboard: Onboard, own_database: str, alloy: SandboxControl, prefect: Prefect
):
    listed = people(60)
    write_list(onboard.folder / "list.csv", listed)
    run = onboard.start("run", "list.csv", "--json")
    until_asked(alloy, "start_installation", 10, run)
    alloy.turn(revoked_keys=["dev"])
    ended = run.ended()
    assert_one_clear_line(ended)
    assert len(ended.err.splitlines()) == 2, "the other line says how many were taken in"
    assert secrets_in(onboard.home, prefect.folder) == []
    assert_nobody_is_blamed(own_database)
    assert completed(own_database) < len(listed)

    alloy.turn(revoked_keys=[])
    ended = onboard("resume", "--json")
    assert ended.code == 0, ended.err
    assert_exactly_once(alloy.ledger(), listed, own_database)
