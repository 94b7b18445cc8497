"""An unknown limit is found, used and hardly exceeded, by one worker or by four: reckoned, not waited for."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from states.pace import (
    CATCH_UP,
    CEILING,
    FIRST_RATE,
    LONGEST_BLOCK,
    LONGEST_PAUSE,
    TRUSTED_FOR,
    News,
    Pace,
    exchanged,
    paused,
    refused,
    reserve,
    succeeded,
)

NOW = 1000.0


@dataclass
class Bucket:
    """An API's allowance: ``burst`` calls at once, ``rate`` a second in the long run."""

    rate: float
    burst: float
    tokens: float = 1.0
    filled_at: float = 0.0

    def lets_through(self, now: float) -> bool:
        self.tokens = min(self.burst, self.tokens + (now - self.filled_at) * self.rate)
        self.filled_at = now
        if self.tokens < 1 - 1e-9:
            return False
        self.tokens -= 1
        return True


@dataclass
class Crew:
    """Workers that always have a call to make, and hear of each other's refusals a little later."""

    workers: int
    bucket: Bucket
    retry_after: float | None = None
    unsteady: float = 0.0
    """By so many seconds calls arrive late, on the average."""
    latency: float = 0.05
    pace: Pace = field(default_factory=Pace)
    passed: int = 0
    barred: int = 0
    now: float = 0.0

    def __post_init__(self) -> None:
        self.random = Random(1)  # noqa: S311 - repeatable
        self.events: list[tuple[float, int, Callable[..., None], tuple[int, ...]]] = []
        self.held = [0] * self.workers
        """How often each worker has dropped the turns it held."""
        self.successes = [0] * self.workers
        for worker in range(self.workers):
            self.at(0.0, self.ask, worker, 0)

    def at(self, time: float, happens: Callable[..., None], *to: int) -> None:
        heapq.heappush(self.events, (max(time, self.now), self.random.getrandbits(60), happens, to))

    def work_until(self, end: float) -> None:
        while self.events[0][0] < end:
            self.now, _, happens, to = heapq.heappop(self.events)
            happens(*to)

    def ask(self, worker: int, held: int) -> None:
        if held != self.held[worker]:
            return
        news = News(self.pace.epoch, successes=self.successes[worker])
        self.successes[worker] = 0
        self.pace, block = exchanged(self.pace, news, 1000, self.now)
        assert block.limit is not None
        for number in range(block.number):
            late = self.random.expovariate(1 / self.unsteady) if self.unsteady else 0.0
            self.at(block.first_at + number / block.limit + late, self.call, worker, held, block.epoch)
        self.at(max(block.first_at + block.number / block.limit - 0.1, self.now + 0.001), self.ask, worker, held)

    def call(self, worker: int, held: int, epoch: int) -> None:
        if held == self.held[worker]:
            self.at(self.now + self.latency / 2, self.arrive, worker, epoch)

    def arrive(self, worker: int, epoch: int) -> None:
        if self.bucket.lets_through(self.now):
            self.passed += 1
            self.at(self.now + self.latency / 2, self.answer, worker, epoch)
        else:
            self.barred += 1
            self.at(self.now + self.latency / 2, self.refuse, worker, epoch)

    def answer(self, worker: int, epoch: int) -> None:
        self.successes[worker] += epoch == self.pace.epoch

    def refuse(self, worker: int, epoch: int) -> None:
        before = self.pace
        news = News(
            self.pace.epoch,
            successes=self.successes[worker],
            refused_in=epoch,
            paused_until=self.now + (self.retry_after or 0.0),
        )
        self.successes[worker] = 0
        self.pace, _ = exchanged(self.pace, news, 0, self.now)
        if self.pace.epoch != before.epoch:
            self.successes = [0] * self.workers
        if self.pace != before:
            for other in range(self.workers):
                self.at(self.now + (other != worker) * self.random.random() * LONGEST_BLOCK, self.drop, other)

    def drop(self, worker: int) -> None:
        self.held[worker] += 1
        self.ask(worker, self.held[worker])

    def shares(self, settled: float, until: float) -> tuple[float, float]:
        """Return which share of what is allowed was used after a while, and which share of the calls was refused."""
        self.work_until(settled)
        passed, barred = self.passed, self.barred
        self.work_until(until)
        passed, barred = self.passed - passed, self.barred - barred
        return passed / (until - settled) / self.bucket.rate, barred / (passed + barred)


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("allowed", [5.0, 40.0])
@pytest.mark.parametrize(("burst", "unsteady"), [(1.0, 0.0), (5.0, 0.003), (20.0, 0.01)])
@pytest.mark.parametrize("retry_after", [None, 1.0])
def test_an_unknown_limit_is_used_and_hardly_exceeded(
    workers: int,
    allowed: float,
    burst: float,
    unsteady: float,
    retry_after: float | None,
    record_property: Callable[[str, object], None],
) -> None:
    used, barred = Crew(workers, Bucket(allowed, burst), retry_after, unsteady).shares(120, 720)

    record_property("proof", f"{used:.3f} of the allowed rate used, {100 * barred:.2f} % refused")
    assert used >= 0.95
    assert barred <= 0.01


@pytest.mark.parametrize("workers", [1, 4])
def test_a_limit_that_falls_and_rises_is_followed(workers: int) -> None:
    bucket = Bucket(100, 5)
    crew = Crew(workers, bucket)
    crew.work_until(200)
    bucket.rate = 10
    slow, barred = crew.shares(230, 330)
    bucket.rate = 50
    fast, _ = crew.shares(700, 800)

    assert slow > 0.9
    assert barred < 0.02
    assert fast > 0.9


def test_the_rate_doubles_about_each_second_until_the_first_refusal() -> None:
    crew = Crew(1, Bucket(1e9, 1e9))
    crew.work_until(3)
    assert 6 < crew.pace.rate < 20


def test_where_nothing_is_refused_calls_are_not_held_up_any_more() -> None:
    pace = succeeded(Pace(), 2000)

    assert pace.rate >= CEILING
    assert pace.limit is None


def test_calls_refused_together_cut_the_rate_once() -> None:
    once = refused(Pace(rate=40, epoch=3), 3, NOW)

    assert refused(once, 3, NOW) == once
    assert once.rate < 40


def test_the_sooner_a_rate_is_refused_the_further_it_was_above_the_limit() -> None:
    known = refused(succeeded(Pace(rate=40.0), 1), 0, now=100.0)

    after_few, after_many = (
        refused(succeeded(known, calls), known.epoch, now=110.0).refused_rate or 0 for calls in (60, 240)
    )

    assert after_few < 0.97 * after_many


def test_successes_of_before_the_last_refusal_say_nothing() -> None:
    pace, _ = exchanged(Pace(rate=40, refused_rate=40, epoch=3), News(epoch=2, successes=100), 0, NOW)

    assert pace.successes == 0


def test_a_given_rate_is_kept_whatever_is_refused() -> None:
    pace, block = exchanged(Pace(given=50), News(successes=100, refused_in=0), 1, NOW)

    assert (pace.limit, block.limit) == (50, 50)


def test_what_was_learnt_is_kept_for_minutes() -> None:
    pace = Pace(rate=40, refused_rate=41, epoch=3, seen_at=NOW)

    assert exchanged(pace, News(), 1, NOW + TRUSTED_FOR - 1)[0].rate == 40


def test_what_was_learnt_long_ago_is_begun_with_at_half() -> None:
    pace, _ = exchanged(Pace(rate=40, refused_rate=41, epoch=3, seen_at=NOW), News(), 1, NOW + TRUSTED_FOR + 1)

    assert (pace.rate, pace.refused_rate) == (20, None)


def test_where_calls_were_not_held_up_long_ago_the_limit_is_searched_again() -> None:
    pace, _ = exchanged(Pace(rate=5000, epoch=1, seen_at=NOW), News(), 1, NOW + TRUSTED_FOR + 1)

    assert pace.limit == CEILING / 2


def test_a_clock_that_is_set_back_stops_nobody_for_long() -> None:
    pace = Pace(given=40, next_at=NOW + 7200, paused_until=NOW + 7200, seen_at=NOW + 7200)
    _, block = exchanged(pace, News(), 1, NOW)

    assert block.first_at <= NOW + LONGEST_PAUSE


def test_an_absurd_pause_is_a_minute() -> None:
    assert paused(Pace(), NOW + 86_400, NOW).paused_until == NOW + LONGEST_PAUSE


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    assert paused(paused(Pace(), NOW + 20, NOW), NOW + 5, NOW).paused_until == NOW + 20


def test_looking_for_news_reserves_nothing_and_is_no_use_of_the_account() -> None:
    pace = Pace(given=40, next_at=NOW)

    assert reserve(pace, 0, NOW + 5)[0] == pace


@given(
    rate=st.floats(0.1, 5000),
    asked=st.lists(st.tuples(st.floats(0, 2), st.integers(1, 2000)), min_size=1, max_size=60),
)
def test_turns_are_never_closer_than_the_rate_allows_whoever_asks(rate: float, asked: list[tuple[float, int]]) -> None:
    pace, now, end = Pace(given=rate), NOW, 0.0
    for waits, wanted in asked:
        now += waits
        pace, block = reserve(pace, wanted, now)
        assert block.first_at >= end - 1e-6
        assert block.first_at >= now - CATCH_UP
        assert 1 <= block.number <= max(1, rate * LONGEST_BLOCK)
        end = block.first_at + block.number / rate


@given(st.lists(st.one_of(st.integers(1, 400), st.none()), max_size=200))
def test_the_rate_stays_possible_whatever_is_learnt(learnt: list[int | None]) -> None:
    pace, now = Pace(), NOW
    for calls in learnt:
        now += 0.3
        pace = refused(pace, pace.epoch, now) if calls is None else succeeded(pace, calls)
        assert pace.rate > 0.09
        assert pace.limit is None or pace.limit < CEILING


def test_it_begins_slowly() -> None:
    assert Pace().limit == FIRST_RATE
