"""Every benchmark still runs, in a tiny form whose figures mean nothing: what they assert themselves is the point."""

from collections.abc import Iterator

import pytest
from rich.table import Table

from tests.benchmarks import bulk, claims, desk, intake, prefect_size, rate, scaling, workers
from tests.benchmarks.surroundings import Surroundings, surrounded

# Apart from the others: one Prefect server and one local Alloy serve them all.
pytestmark = pytest.mark.prefect


@pytest.fixture(scope="module")
def around() -> Iterator[Surroundings]:
    with surrounded() as made:
        yield made


def column(table: Table, number: int) -> list[str]:
    return [str(cell) for cell in table.columns[number].cells]


def test_each_contender_of_the_bulk_race_has_a_line_of_the_table(around: Surroundings) -> None:
    # The others differ from these in a word.
    who = ("ours", "aiohttp", "slots", "prefect", "dbos-sqlite")
    race = bulk.Race(customers=6, slow_customers=3, latency_ms=0, concurrency=3, rounds=1, only=who)

    table = bulk.measure(around, race)

    assert len(column(table, 0)) == len(who)
    assert all(float(speed) > 0 for speed in column(table, 2))


def test_the_rate_that_was_used_is_counted_by_alloy(around: Surroundings) -> None:
    phases = (rate.Phase(40, 2, 1), rate.Phase(5, 1, 0))

    found = rate.measure(around, 1, "SQLite", phases, burst=4, latency_ms=1)

    assert [one.phase for one in found] == list(phases)
    assert sum(one.allowed for one in found) > 0
    assert "both" in column(rate.tabulate({1: found}, 4, "SQLite"), 1)


def test_memory_and_seconds_are_measured_for_every_size(around: Surroundings) -> None:
    table = scaling.measure(around, [4], 2, 1)

    assert float(column(table, 1)[0]) > 50


def test_what_prefects_database_has_grown_by_is_measured(around: Surroundings) -> None:
    figures = prefect_size.measure(around, 4, 0, 2, quiet=0.2)

    assert "task_run 20" in column(figures, 1)[-1]


def test_the_profile_tells_what_each_kind_of_process_has_used(around: Surroundings) -> None:
    # So slow that it is not over before it was looked at, however busy the machine is.
    speed, profile = workers.measure(around, [1], 4, 1000, 1)

    assert float(column(speed, 1)[0]) > 0
    assert len(profile.columns) == 6


def test_claims_are_measured_on_both_databases(around: Surroundings) -> None:
    table, _ = claims.measure(around.databases, [200, 400], due=4, rounds=2)

    assert len(column(table, 0)) == 8


def test_an_intake_is_measured_in_a_process_of_its_own(around: Surroundings) -> None:
    found = intake.measured_apart(10, around.databases, "SQLite")

    assert found["both"] > 0


def test_every_page_of_the_desk_is_made_on_both_databases(around: Surroundings) -> None:
    table = desk.measure(around.databases, total=40, waiting=20, rounds=1)

    assert len(column(table, 0)) == 2 * (len(desk.PAGES) + 1)
