"""The clock that all workers have in common: the database's, whatever the machine's own clock says."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine

from flows.clock import FollowingClock
from store.engine import time_of

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Machine:
    """Seconds since the machine was started; each look at the other clock takes some of them."""

    def __init__(self, *looks_take: float) -> None:
        self.running = 1000.0
        self.looks_take = list(looks_take)
        self.other = NOON - timedelta(seconds=self.running)

    def running_time(self) -> float:
        return self.running

    def look(self) -> datetime:
        takes = self.looks_take.pop(0) if self.looks_take else 0.0
        self.running += takes * 0.9
        seen = self.other + timedelta(seconds=self.running)
        self.running += takes * 0.1
        return seen

    def clock(self) -> FollowingClock:
        clock = FollowingClock(self.look, self.running_time)
        clock.follow()
        return clock


def test_it_tells_the_time_of_the_clock_that_it_follows() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.running += 90

    assert clock.now() == NOON + timedelta(seconds=90)


def test_the_quickest_look_is_the_one_that_counts() -> None:
    machine = Machine(8.0, 0.0, 30.0)
    clock = machine.clock()

    assert clock.now() == machine.look()


def test_it_follows_a_clock_that_was_set() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.other += timedelta(minutes=5)
    clock.follow()

    assert clock.now() == NOON + timedelta(minutes=5)


def test_two_machines_agree_whatever_their_own_clocks_say() -> None:
    one, other = Machine(), Machine()
    other.running, other.other = 5.0, NOON - timedelta(seconds=5)

    assert one.clock().now() == other.clock().now()


def test_the_database_tells_its_time(engine: Engine) -> None:
    before = datetime.now(UTC)
    seen = time_of(engine)

    assert before - timedelta(seconds=1) <= seen <= datetime.now(UTC) + timedelta(seconds=1)
    assert seen.tzinfo is UTC
