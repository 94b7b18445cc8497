"""A call that changes something has its turn before its intent, and is not sent later than its intent said."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random

import httpx
import pytest

from flows.alloy.client import AlloyClient
from flows.alloy.permit import Permit
from flows.pacing import Pacing, Turn
from states.failures import Effect, Transient
from tests.flows.alloy.vendor import Vendor, answer, speaking_to
from tests.simulation.virtual_time import VirtualLoop

LATER = timedelta(seconds=10)


class Time:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.at = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at


class LeaseIsGone(Exception):
    """What prolonging an intent raises for a worker that slept through its lease."""


def a_permit(time: Time) -> Permit:
    return Permit(Turn(epoch=0, waited=False), time.now, LATER)


async def test_a_call_that_is_sent_in_time_asks_nobody() -> None:
    time = Time()
    permit = a_permit(time)
    permit.prolonged_by(_never)
    time.at += LATER - timedelta(seconds=1)

    await permit.confirm()


async def test_a_call_that_is_sent_late_says_first_until_when_it_is_sent() -> None:
    time, prolonged = Time(), list[datetime]()
    permit = a_permit(time)

    async def prolong(send_by: datetime) -> None:
        prolonged.append(send_by)

    permit.prolonged_by(prolong)
    time.at += timedelta(minutes=5)
    await permit.confirm()

    assert prolonged == [time.at + LATER]
    assert permit.send_by == time.at + LATER


async def test_a_call_whose_prolonging_took_too_long_is_prolonged_again() -> None:
    time, prolonged = Time(), list[datetime]()
    permit = a_permit(time)

    async def prolong(send_by: datetime) -> None:
        prolonged.append(send_by)
        if len(prolonged) == 1:
            time.at += timedelta(hours=1)

    permit.prolonged_by(prolong)
    time.at += timedelta(minutes=5)
    await permit.confirm()

    assert len(prolonged) == 2


def test_the_turn_is_good_for_one_call() -> None:
    permit = a_permit(Time())

    assert (permit.take_turn(), permit.take_turn()) == (Turn(epoch=0, waited=False), None)


async def test_a_call_that_may_not_be_sent_any_more_is_not_sent() -> None:
    vendor = Vendor(answer({"userId": "u1"}))

    async def refuse(_send_by: datetime) -> None:
        raise LeaseIsGone

    async with speaking_to(vendor) as alloy, alloy.permit() as permit:
        permit.prolonged_by(refuse)
        permit.send_by -= timedelta(hours=1)
        with pytest.raises(LeaseIsGone):
            await alloy.create_user("ann@example.test")

    assert vendor.asked == []


async def test_a_call_that_only_reads_may_be_late() -> None:
    vendor = Vendor(answer({"data": []}))

    async with speaking_to(vendor) as alloy, alloy.permit() as permit:
        permit.prolonged_by(_never)
        permit.send_by -= timedelta(hours=1)
        await alloy.some_user()

    assert len(vendor.asked) == 1


async def test_while_alloy_wants_nobody_to_call_there_is_no_permit() -> None:
    pacing = Pacing(rate=100)
    pacing.pause(50)

    async with speaking_to(Vendor(answer()), pacing=pacing) as alloy:
        with pytest.raises(Transient) as refusal:
            async with alloy.permit():
                raise AssertionError("a permit was given")

    assert refusal.value.effect is Effect.nothing
    assert refusal.value.retry_after is not None


async def test_while_alloy_wants_nobody_to_call_nobody_waits_behind_those_who_came_before() -> None:
    pacing = Pacing(rate=0.01)
    await pacing.turn()

    async with speaking_to(Vendor(answer()), pacing=pacing) as alloy:
        waiting = asyncio.create_task(alloy.get_user("u1"))
        await asyncio.sleep(0)
        pacing.pause(50)
        with pytest.raises(Transient, match="asked us to wait"):
            await asyncio.wait_for(alloy.get_user("u2"), timeout=5)
        waiting.cancel()


async def test_a_call_with_a_permit_uses_up_one_turn() -> None:
    pacing = _Counted(rate=100_000)

    async with speaking_to(Vendor(answer({"userId": "u1"})), pacing=pacing) as alloy, alloy.permit():
        await alloy.create_user("ann@example.test")

    assert pacing.turns == 1


def test_calls_whose_intents_were_written_in_one_group_do_not_leave_in_one_moment() -> None:
    async def calls(alloy: AlloyClient) -> None:
        until_the_group_is_written = asyncio.get_running_loop().time() + 1
        await asyncio.gather(*(create(alloy, number, until_the_group_is_written) for number in range(6)))

    left = departures(calls)

    assert left[0] == pytest.approx(1)
    assert [later - earlier for earlier, later in pairwise(left)] == pytest.approx([0.09] * 5)


def test_a_call_that_has_its_turn_is_not_kept_waiting_by_those_that_have_none() -> None:
    async def calls(alloy: AlloyClient) -> None:
        creating = [asyncio.create_task(create(alloy, number)) for number in range(30)]
        await asyncio.sleep(0.01)  # so that they queue before the others
        looking = [asyncio.create_task(alloy.get_user(f"user{number}")) for number in range(30)]
        await asyncio.gather(*creating, *looking)

    left = departures(calls, concurrency=4)

    assert max(later - earlier for earlier, later in pairwise([0.0, *left])) < 0.2


async def create(alloy: AlloyClient, number: int, written_at: float | None = None) -> None:
    """Create a customer whose intent is written at a time, or 50 ms after their turn."""
    loop = asyncio.get_running_loop()
    async with alloy.permit():
        await asyncio.sleep(0.05 if written_at is None else written_at - loop.time())
        await alloy.create_user(f"customer{number}@example.test")


def departures(calls: Callable[[AlloyClient], Awaitable[None]], concurrency: int = 20) -> list[float]:
    """Make calls in virtual time, ten a second, that are answered at once; return when they left."""
    left: list[float] = []

    def vendor(request: httpx.Request) -> httpx.Response:
        left.append(asyncio.get_running_loop().time())
        return httpx.Response(200, json={"userId": "u1"}, request=request)

    async def live() -> None:
        pacing = Pacing(10, clock=asyncio.get_running_loop().time)
        async with speaking_to(vendor, pacing=pacing, concurrency=concurrency) as alloy:
            await calls(alloy)

    VirtualLoop(Random(1), most_steps=100_000).run_until_complete(live())  # noqa: S311 - repeatable
    return left


class _Counted(Pacing):
    """Pacing that counts the turns it gave."""

    turns = 0

    async def turn(self, wanted: Callable[[], bool] = lambda: True) -> Turn:
        self.turns += 1
        return await super().turn(wanted)


async def _never(_send_by: datetime) -> None:
    raise AssertionError("nobody was to be asked")
