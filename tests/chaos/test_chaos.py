"""The proof with real processes, in CI's short form; `-m long` runs the long one. See :mod:`tests.chaos`.

How long records of dead workers wait is asserted in the long form alone, where hundreds of them are measured: it is a
bound that the project states, and the short form shares its machine with all other tests. What the machine was busy
with besides is allowed for by what undisturbed claims took (``Recovery.usual``).
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from tests.chaos.battle import Chaos, Outcome, wage
from tests.chaos.report import print_report
from tests.postgresql import administering, with_database

SHORT = Chaos(customers=180, every=2, latency_ms=100, concurrency=4)
LONG = Chaos(customers=5000)

pytestmark = [pytest.mark.prefect, pytest.mark.timeout(3000)]


@pytest.fixture(
    scope="module",
    params=[pytest.param(SHORT, id="short"), pytest.param(LONG, id="long", marks=pytest.mark.long)],
)
def outcome(
    request: pytest.FixtureRequest, postgresql_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Outcome]:
    chaos: Chaos = request.param
    name = f"chaos_{request.param_index}"
    with administering(postgresql_server) as run:
        run(f"CREATE DATABASE {name}")
        console = Console(width=110, highlight=False)
        try:
            folder: Path = tmp_path_factory.mktemp("chaos")
            outcome = wage(chaos, with_database(postgresql_server, name), folder, say=console.print)
            print_report(outcome, console)
            yield outcome
        finally:
            run(f"DROP DATABASE {name} WITH (FORCE)")


def test_workers_were_killed_and_stopped_beyond_their_lease_and_prefect_was_restarted(outcome: Outcome):
    assert outcome.crew.deaths
    assert outcome.beyond_their_lease > 0
    assert outcome.books.taken_over > 0
    assert outcome.prefect_restarts == 1


def test_list_records_and_ledger_agree_that_everybody_is_completed_once(outcome: Outcome):
    books = outcome.books

    assert books.disagreements == []
    assert (books.completed, books.lost) == (outcome.chaos.customers, 0)
    assert (books.doubled_users, books.doubled_installations) == (0, 0)


def test_nobody_wrote_to_a_record_whose_lease_they_did_not_hold(outcome: Outcome):
    assert outcome.books.foreign_writes == []


def test_whatever_is_left_at_alloy_is_listed_by_us(outcome: Outcome):
    assert outcome.books.unlisted == []


def test_every_leftover_that_we_list_is_explained_by_something_that_happened(outcome: Outcome):
    assert outcome.books.unexplained == []


def test_what_came_when_the_lease_was_lost_is_kept(outcome: Outcome):
    assert outcome.books.thrown_away == []


def test_whatever_a_dead_worker_held_was_taken_up_by_another(outcome: Outcome):
    assert outcome.recovery.waits
    assert outcome.recovery.forgotten == []


def test_records_of_dead_workers_go_on_within_the_lease_and_five_seconds(outcome: Outcome):
    if outcome.chaos is LONG:
        assert outcome.recovery.beyond(outcome.bound_here) == []
    else:
        assert outcome.recovery.longest > 0


def test_no_worker_ended_badly_but_for_want_of_prefect(outcome: Outcome):
    assert not outcome.crew.ended_badly, outcome.crew.complaints
