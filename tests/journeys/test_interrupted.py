"""Ctrl-C and SIGTERM in the middle of a run: a summary, exit 130, nothing left in anybody's hands, nothing lost."""

import signal
import sys

import pytest
from sqlalchemy import ColumnElement, select

from deployments.sandbox.control import SandboxControl
from flows.in_hand import LEAST_PER_CALL
from states.stage import Stage
from store.engine import reading
from store.models import ONBOARDING
from tests.journeys.people import klaviyo, people, write_list
from tests.journeys.processes import Onboard, running_alloy, until, until_asked
from tests.journeys.proofs import assert_exactly_once, assert_nobody_is_blamed, assert_not_told, leased, records

pytestmark = pytest.mark.prefect


def test_a_run_that_is_interrupted_twice_ends_with_a_summary_each_time_and_is_resumed_to_the_end(
    onboard: Onboard, own_database: str, alloy: SandboxControl
):
    listed = people(80)
    write_list(onboard.folder / "list.csv", listed)
    alloy.turn(latency_ms=50)
    completed = 0
    for words, number, route in (
        (["run", "list.csv"], signal.SIGINT, "start_installation"),
        (["resume"], signal.SIGTERM, "complete_installation"),
    ):
        before = len(alloy.requests(route))
        run = onboard.start(*words, "--json")
        until_asked(alloy, route, before + 10, run)
        run.process.send_signal(number)
        ended = run.ended()

        assert ended.code == 130, ended.err
        assert ended.json["total"] == 80
        assert completed <= ended.json["stages"]["completed"] < 80
        completed = ended.json["stages"]["completed"]
        assert "onboard resume" in ended.err
        assert_not_told(ended)
        assert_nobody_is_blamed(own_database)
    ended = onboard("resume", "--json")
    assert ended.code == 0, ended.err
    assert_exactly_once(alloy.ledger(), listed, own_database)


def test_a_second_ctrl_c_does_not_wait_for_what_is_in_flight(onboard: Onboard, own_database: str):
    write_list(onboard.folder / "list.csv", [klaviyo(f"c{one}@example.test") for one in range(10)])
    with running_alloy() as slow:  # a local Alloy of its own: what it was asked for, it would do much later
        run = onboard.start("run", "list.csv", "--json", ALLOY_BASE_URL=slow.url)
        until(lambda: len(slow.requests()) >= 1, run)
        slow.turn(latency_ms=100_000)
        until(lambda: own_records(onboard) and leased(own_database) == 10, run)
        run.process.send_signal(signal.SIGINT)
        until(lambda: "once more" in run.err.read_text(), run)
        run.process.send_signal(signal.SIGINT)
        ended = run.ended(within=9)  # what is in flight would be given ten seconds

    assert ended.code == 130, ended.err
    assert_not_told(ended)
    assert leased(own_database) == 0


def test_after_sigterm_nothing_more_is_claimed_and_what_is_in_flight_is_finished(
    onboard: Onboard, own_database: str, alloy: SandboxControl
):
    write_list(onboard.folder / "list.csv", [klaviyo(f"c{one}@example.test") for one in range(40)])
    alloy.turn(latency_ms=1000)
    run = onboard.start("run", "list.csv", "--json", ALLOY_CONCURRENCY="1")
    until(lambda: own_records(onboard) and leased(own_database) == LEAST_PER_CALL, run)  # there is room for no more
    in_hand = standing_in(own_database, ONBOARDING.c.lease_token.is_not(None))

    run.process.send_signal(signal.SIGTERM)
    ended = run.ended()

    assert ended.code == 130, ended.err
    begun = standing_in(own_database, ONBOARDING.c.stage != Stage.new)
    assert begun <= in_hand
    assert len(begun) == alloy.ledger().users
    assert_nobody_is_blamed(own_database)


def test_a_call_that_does_not_end_holds_an_interrupted_run_up_for_a_bounded_time(onboard: Onboard, own_database: str):
    write_list(onboard.folder / "list.csv", [klaviyo(f"c{one}@example.test") for one in range(10)])
    with running_alloy() as slow:  # a local Alloy of its own: what it was asked for, it would do much later
        run = onboard.start("run", "list.csv", "--json", ALLOY_BASE_URL=slow.url)
        until(lambda: len(slow.requests()) >= 1, run)
        slow.turn(latency_ms=100_000)
        until(lambda: own_records(onboard) and leased(own_database) == 10, run)
        run.process.send_signal(signal.SIGTERM)
        ended = run.ended(within=35)  # a call may take forty seconds; what is in flight is given ten

    assert ended.code == 130, ended.err
    assert ended.json["total"] == 10
    assert leased(own_database) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_ended_before_it_has_called_anybody_says_where_everybody_stands(
    number: signal.Signals, onboard: Onboard, own_database: str
):
    write_list(onboard.folder / "list.csv", [klaviyo(f"c{one}@example.test") for one in range(10)])
    run = onboard.start("run", "list.csv", "--json")
    until(lambda: own_records(onboard), run)
    run.process.send_signal(number)
    ended = run.ended(within=35)

    assert ended.code == 130, ended.err
    assert ended.json["total"] == 10
    assert_not_told(ended)
    assert_nobody_is_blamed(own_database)


_SIGNALLED_WHEN_TAKEN_IN = """
import io, os, sys
from deployments.cli import main

class Signalled(io.TextIOWrapper):
    def write(self, words):
        number = super().write(words)
        if "taken in" in words:
            self.flush()
            os.kill(os.getpid(), int(sys.argv[1]))
        return number

sys.stderr = Signalled(sys.stderr.detach(), line_buffering=True)
main(sys.argv[2:])
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_ended_between_its_two_parts_says_where_everybody_stands(
    number: signal.Signals, onboard: Onboard
):
    write_list(onboard.folder / "list.csv", [klaviyo(f"c{one}@example.test") for one in range(10)])
    words = (str(int(number)), "run", "list.csv", "--json")
    ended = onboard.start(*words, program=(sys.executable, "-c", _SIGNALLED_WHEN_TAKEN_IN)).ended(within=35)

    assert ended.code == 130, ended.err
    assert (ended.json["total"], ended.json["stages"]["new"]) == (10, 10)
    assert "onboard resume" in ended.err


def standing_in(url: str, where: ColumnElement[bool]) -> set[int]:
    """Return the onboardings of which this is true."""
    with records(url) as engine, reading(engine) as connection:
        return set(connection.scalars(select(ONBOARDING.c.id).where(where)))


def own_records(onboard: Onboard) -> bool:
    """Tell whether the run has taken the list in: only it may make the tables."""
    return "taken in" in onboard.started[-1].err.read_text()
