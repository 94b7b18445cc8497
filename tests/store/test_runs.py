"""Runs that are at work, by what they say of themselves."""

from datetime import datetime, timedelta

from sqlalchemy import Engine

from store.records import Scope
from store.runs import begin_run, count_sweeps_before, update_run

LEASE = timedelta(seconds=30)


def sweeps_before(engine: Engine, now: datetime, worker: str = "latest") -> int:
    """Begin one more run over everything, and count those before it."""
    run_id = begin_run(engine, Scope(), now, worker=worker)
    return count_sweeps_before(engine, run_id, worker, seen_since=now - LEASE)


def test_runs_over_everything_that_began_before_are_counted(engine: Engine, now: datetime) -> None:
    begin_run(engine, Scope(), now, worker="one")
    assert sweeps_before(engine, now, "two") == 1
    assert sweeps_before(engine, now, "three") == 2


def test_a_run_over_one_batch_or_one_customer_is_not_counted(engine: Engine, now: datetime) -> None:
    begin_run(engine, Scope(customer_id=1), now, worker="one")
    assert sweeps_before(engine, now) == 0


def test_a_run_that_has_ended_is_not_counted(engine: Engine, now: datetime) -> None:
    run_id = begin_run(engine, Scope(), now, worker="one")
    update_run(engine, run_id, now, calls=1, seconds=1.0, ended=True)
    assert sweeps_before(engine, now) == 0


def test_a_run_that_has_died_is_counted_until_its_leases_run_out(engine: Engine, now: datetime) -> None:
    begin_run(engine, Scope(), now, worker="one")
    assert sweeps_before(engine, now + LEASE) == 1
    assert sweeps_before(engine, now + LEASE * 2 + timedelta(seconds=1), "last") == 0


def test_a_run_that_goes_on_is_counted_for_as_long_as_it_says_so(engine: Engine, now: datetime) -> None:
    run_id = begin_run(engine, Scope(), now, worker="one")
    update_run(engine, run_id, now + LEASE, calls=1, seconds=1.0)
    assert sweeps_before(engine, now + LEASE * 2) == 1


def test_a_second_note_of_the_same_run_does_not_stand_in_its_way(engine: Engine, now: datetime) -> None:
    """Its commit only seemed to fail, and was carried out again."""
    begin_run(engine, Scope(), now, worker="one")
    assert sweeps_before(engine, now, "one") == 0
