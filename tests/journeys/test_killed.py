"""`kill -9` in the middle of a run, then `onboard resume`: afterwards there is exactly one of everything."""

import pytest

from deployments.sandbox.control import SandboxControl
from tests.journeys.people import people, write_list
from tests.journeys.processes import Onboard, Prefect, until_asked, until_calls_are_under_way
from tests.journeys.proofs import assert_exactly_once, assert_not_told, leased, secrets_in

pytestmark = pytest.mark.prefect


@pytest.mark.parametrize(
    ("database_kind", "route", "times", "can_be_listed"),
    [
        ("sqlite", "list_credentials", 80, True),
        ("postgresql", "create_credential", 50, True),
        ("sqlite", "start_installation", 60, False),
    ],
)
def test_a_run_that_is_killed_is_resumed_to_exactly_one_of_everything(
    database_url: str,
    route: str,
    times: int,
    can_be_listed: bool,
    onboard: Onboard,
    alloy: SandboxControl,
    prefect: Prefect,
):
    listed = people(200)
    write_list(onboard.folder / "list.csv", listed)
    onboard.settings |= {"ONBOARD_DATABASE_URL": database_url, "ONBOARD_LEASE_SECONDS": "3"}
    alloy.turn(installations_resource=can_be_listed)
    run = onboard.start("run", "list.csv", "--json")
    until_asked(alloy, route, times, run)
    until_calls_are_under_way(alloy, run)
    run.kill()
    alloy.turn(latency_ms=10, latency_after_ms=0)
    assert secrets_in(onboard.home, prefect.folder, *onboard.folder.glob("onboard.db*")) == []
    assert alloy.ledger().installations_completed < len(listed)
    assert leased(database_url) > 0, "it was not at work when it was killed"

    ended = onboard("resume", "--json")

    assert ended.code == 0, ended.err
    assert_exactly_once(alloy.ledger(), listed, database_url)
    if can_be_listed:
        assert alloy.ledger().orphans == 0, "a started installation can be found again"
    if alloy.ledger().orphans > 0:
        assert "suspected leftover" in onboard("status").out
    assert_not_told(ended)
