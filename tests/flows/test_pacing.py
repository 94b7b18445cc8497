"""Calls start evenly spaced, first come, first served, at a given rate or at one that is found."""

import asyncio
import time
from collections.abc import Callable
from itertools import pairwise

import pytest

from flows.pacing import NotWanted, Pacing
from states.pace import CEILING


class FakeTime:
    """A clock that only sleeping moves."""

    def __init__(self, overshoot: float = 0.0) -> None:
        self.now = 100.0
        self.overshoot = overshoot
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds + self.overshoot
        await asyncio.sleep(0)


async def starts(pacing: Pacing, fake: FakeTime, calls: int) -> list[float]:
    begun = []
    for _ in range(calls):
        await pacing.turn()
        begun.append(fake.now)
    return begun


def most_within(begun: list[float], seconds: float) -> int:
    return max(sum(1 for other in begun if start <= other < start + seconds) for start in begun)


@pytest.mark.parametrize("rate", [0.5, 2, 10, 100])
async def test_calls_are_evenly_spaced(rate: float) -> None:
    fake = FakeTime()

    begun = await starts(Pacing(rate, clock=fake.clock, sleep=fake.sleep), fake, 50)

    gaps = [later - earlier for earlier, later in pairwise(begun)]
    # The first may find a few turns that nobody used.
    unused = 1 + int(rate * 0.125)
    assert gaps[unused:] == pytest.approx([1 / rate] * (49 - unused), abs=0.0011)


@pytest.mark.parametrize("overshoot", [0.0, 0.004, 0.05])
async def test_sleeping_too_long_does_not_lower_the_rate(overshoot: float) -> None:
    fake = FakeTime(overshoot)

    begun = await starts(Pacing(100, clock=fake.clock, sleep=fake.sleep), fake, 1000)

    assert 1000 / (begun[-1] - begun[0]) == pytest.approx(100, rel=0.03)


async def test_no_burst_is_longer_than_a_quarter_of_a_second_however_long_nobody_called() -> None:
    fake = FakeTime()
    pacing = Pacing(40, clock=fake.clock, sleep=fake.sleep)
    begun = []
    for pause in (0.0, 3.0, 0.2, 10.0):
        fake.now += pause
        begun += await starts(pacing, fake, 60)

    assert most_within(begun, 0.001) <= 40 / 4
    assert most_within(begun, 0.25) <= 40 / 2
    assert most_within(begun, 1.0) <= 40 + 40 / 4


async def test_a_high_rate_is_kept_without_a_sleep_for_each_call() -> None:
    fake = FakeTime(0.001)

    begun = await starts(Pacing(5000, clock=fake.clock, sleep=fake.sleep), fake, 20_000)

    assert 20_000 / (begun[-1] - begun[0]) == pytest.approx(5000, rel=0.05)
    assert len(fake.slept) < 5000


async def test_the_first_to_come_is_the_first_to_go() -> None:
    fake = FakeTime()
    pacing = Pacing(10, clock=fake.clock, sleep=fake.sleep)
    order: list[int] = []

    async def call(number: int) -> None:
        await pacing.turn()
        order.append(number)

    await asyncio.gather(*(call(number) for number in range(30)))

    assert order == list(range(30))


async def test_a_cancelled_wait_uses_up_no_turn_and_holds_nobody_up() -> None:
    fake = FakeTime()
    asleep = asyncio.Event()

    async def sleep(seconds: float) -> None:
        asleep.set()
        await asyncio.sleep(0.01)
        fake.now += seconds

    pacing = Pacing(1, clock=fake.clock, sleep=sleep)
    await pacing.turn()
    waiting = [asyncio.create_task(pacing.turn()) for _ in range(5)]
    await asleep.wait()
    for task in (waiting[0], waiting[2]):
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)

    assert fake.now == pytest.approx(100 + 3, abs=0.2)
    assert not pacing._waiting


async def test_a_pause_stops_everybody_and_is_a_minute_at_most() -> None:
    fake = FakeTime()
    pacing = Pacing(1000, clock=fake.clock, sleep=fake.sleep)
    pacing.pause(5)
    pacing.pause(2)

    assert pacing.paused_for() == 5
    assert (await starts(pacing, fake, 1)) == [105]

    pacing.pause(86_400)
    assert pacing.paused_for() == 60


async def test_nothing_is_caught_up_on_after_a_pause() -> None:
    fake = FakeTime()
    pacing = Pacing(40, clock=fake.clock, sleep=fake.sleep)
    await pacing.turn()
    pacing.pause(30)

    begun = await starts(pacing, fake, 40)

    assert most_within(begun, 0.2) <= 10


async def test_a_pause_reaches_those_who_wait_already() -> None:
    fake = FakeTime()
    pacing = Pacing(1, clock=fake.clock, sleep=fake.sleep)
    await pacing.turn()
    waiting = asyncio.create_task(pacing.turn())
    await asyncio.sleep(0)
    pacing.pause(30)
    await waiting

    assert fake.now >= 130


async def converse(
    pacing: Pacing, fake: FakeTime, seconds: float, allowed: Callable[[], float], retry_after: float | None = None
) -> tuple[int, int]:
    """Call against a bucket that holds half a second's worth; return calls that were let through and refused."""
    began, tokens, filled, passed, barred = fake.now, 1.0, fake.now, 0, 0
    while fake.now < began + seconds:
        turn = await pacing.turn()
        tokens = min(max(allowed() / 2, 1.0), tokens + (fake.now - filled) * allowed())
        filled = fake.now
        if tokens >= 1:
            tokens -= 1
            passed += 1
            pacing.succeeded(turn)
        else:
            barred += 1
            pacing.refused(turn, retry_after)
        if pacing.rate is None:
            fake.now += 0.0005
    return passed, barred


async def test_without_a_rate_it_begins_at_two_a_second() -> None:
    fake = FakeTime()
    pacing = Pacing(clock=fake.clock, sleep=fake.sleep)

    assert pacing.rate == 2
    begun = await starts(pacing, fake, 5)
    assert begun[-1] - begun[0] == pytest.approx(2, abs=0.2)


async def test_the_rate_doubles_about_each_second_until_the_ceiling() -> None:
    fake = FakeTime()
    pacing = Pacing(clock=fake.clock, sleep=fake.sleep)
    seen = []
    for _ in range(12):
        await converse(pacing, fake, 1.0, lambda: 1e9)
        seen.append(pacing.rate)

    assert seen[0] == pytest.approx(4, rel=0.3)
    assert seen[3] == pytest.approx(32, rel=0.5)
    assert seen[-1] is None


@pytest.mark.parametrize("allowed", [1.0, 5.0, 30.0, 300.0])
async def test_the_limit_is_found_used_and_seldom_exceeded(allowed: float) -> None:
    fake = FakeTime()
    pacing = Pacing(clock=fake.clock, sleep=fake.sleep)
    await converse(pacing, fake, 20, lambda: allowed)

    passed, barred = await converse(pacing, fake, 200, lambda: allowed)

    assert passed / 200 > 0.75 * allowed
    assert barred / (passed + barred) < 0.07


async def test_a_limit_that_falls_and_rises_is_followed() -> None:
    fake = FakeTime()
    pacing = Pacing(clock=fake.clock, sleep=fake.sleep)
    await converse(pacing, fake, 20, lambda: 100)
    await converse(pacing, fake, 60, lambda: 10)
    slow, _ = await converse(pacing, fake, 60, lambda: 10)
    await converse(pacing, fake, 600, lambda: 50)
    fast, _ = await converse(pacing, fake, 60, lambda: 50)

    assert slow / 60 == pytest.approx(10, rel=0.3)
    assert fast / 60 > 25


async def test_calls_that_are_refused_together_cut_the_rate_once() -> None:
    fake = FakeTime()
    pacing = Pacing(clock=fake.clock, sleep=fake.sleep)
    turns = [await pacing.turn() for _ in range(20)]
    for turn in turns:
        pacing.refused(turn)

    assert 1 < (pacing.rate or 0) < 2 * 0.7


async def test_the_rate_does_not_grow_while_nobody_is_held_up() -> None:
    fake = FakeTime()
    pacing = Pacing(clock=fake.clock, sleep=fake.sleep)
    for _ in range(100):
        fake.now += 10
        pacing.succeeded(await pacing.turn())

    assert pacing.rate == 2


async def test_a_given_rate_is_kept_whatever_is_refused() -> None:
    fake = FakeTime()
    pacing = Pacing(50, clock=fake.clock, sleep=fake.sleep)
    turn = await pacing.turn()
    pacing.refused(turn)
    pacing.succeeded(turn)

    assert pacing.rate == 50


async def test_after_the_ceiling_a_refusal_brings_the_pace_back() -> None:
    fake = FakeTime()
    pacing = Pacing(clock=fake.clock, sleep=fake.sleep)
    await converse(pacing, fake, 15, lambda: 1e9)
    assert pacing.rate is None

    pacing.refused(await pacing.turn())

    assert 0.6 * CEILING < (pacing.rate or 0) < 0.9 * CEILING


@pytest.mark.parametrize("rate", [0, -1, float("nan")])
def test_a_rate_of_nothing_is_no_rate(rate: float) -> None:
    with pytest.raises(ValueError, match="more than zero"):
        Pacing(rate)


async def test_in_real_time_many_callers_keep_the_rate() -> None:
    pacing = Pacing(2000)
    begun: list[float] = []

    async def caller() -> None:
        for _ in range(30):
            await pacing.turn()
            begun.append(time.monotonic())
            await asyncio.sleep(0.002)

    await asyncio.gather(*(caller() for _ in range(40)))

    assert len(begun) / (begun[-1] - begun[0]) < 2000 * 1.3


async def test_whoever_is_not_wanted_any_more_leaves_the_queue_and_uses_up_no_turn() -> None:
    fake = FakeTime()
    pacing = Pacing(1, clock=fake.clock, sleep=fake.sleep)
    await pacing.turn()
    wanted = [True]
    queued = [asyncio.create_task(pacing.turn(lambda: wanted[0])) for _ in range(5)]
    await asyncio.sleep(0)
    wanted[0] = False

    came = await asyncio.gather(*queued, return_exceptions=True)
    asked = fake.now
    await pacing.turn()

    assert [type(one) for one in came] == [NotWanted] * 5
    assert fake.now - asked <= 1


async def test_calls_that_were_held_up_together_after_their_turns_do_not_leave_together() -> None:
    fake = FakeTime()
    pacing = Pacing(40, clock=fake.clock, sleep=fake.sleep)
    await starts(pacing, fake, 10)
    left = []
    for _ in range(10):
        await pacing.depart()
        left.append(fake.now)

    assert [later - earlier for earlier, later in pairwise(left)] == pytest.approx([0.9 / 40] * 9)


async def test_calls_that_leave_at_their_turns_are_not_held_up_any_more() -> None:
    fake = FakeTime()
    pacing = Pacing(40, clock=fake.clock, sleep=fake.sleep)
    await starts(pacing, fake, 10)
    for _ in range(20):
        await pacing.turn()
        before = fake.now
        await pacing.depart()
        assert fake.now == before


async def test_where_turns_are_plenty_nobody_sleeps_before_leaving() -> None:
    fake = FakeTime()
    pacing = Pacing(100_000, clock=fake.clock, sleep=fake.sleep)
    await starts(pacing, fake, 1)
    for _ in range(50):
        await pacing.depart()

    assert not fake.slept
