"""Workers that share one pace use it together, hear of each other, and hardly ask the database: in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from random import Random
from typing import TypeVar

import pytest

from flows.pacing import NotWanted, Turn
from flows.shared_pacing import SharedPacing
from states.pace import Block, News, Pace, exchanged
from tests.simulation.virtual_time import VirtualLoop

T = TypeVar("T")


def in_virtual_time(live: Callable[[], Awaitable[T]]) -> T:
    async def run() -> T:
        return await live()

    return VirtualLoop(Random(1), most_steps=20_000_000).run_until_complete(run())  # noqa: S311 - repeatable


def now() -> float:
    return asyncio.get_running_loop().time()


class Book:
    """What a database is to the workers: one pace, some milliseconds away."""

    def __init__(self, rate: float | None = None, seconds: float = 0.005) -> None:
        self.pace = Pace(given=rate)
        self.seconds = seconds
        self.visits = 0
        self.reserved = 0
        self.fails: Exception | None = None

    async def exchange(self, news: News, wanted: int, at: float) -> Block:
        self.visits += 1
        await asyncio.sleep(self.seconds)
        if self.fails:
            raise self.fails
        self.pace, block = exchanged(self.pace, news, wanted, at)
        self.reserved += block.number
        await asyncio.sleep(self.seconds)
        return block


class Alloy:
    """Lets so many calls a second through, and so many at once."""

    def __init__(self, rate: float, burst: float = 5, latency: float = 0.05, retry_after: float | None = None) -> None:
        self.rate, self.burst, self.latency, self.retry_after = rate, burst, latency, retry_after
        self.tokens, self.filled_at = burst, 0.0
        self.begun: list[tuple[float, int]] = []
        self.passed = self.barred = 0

    async def call(self, pacing: SharedPacing, worker: int = 0) -> None:
        turn = await pacing.turn()
        self.begun.append((now(), worker))
        await asyncio.sleep(self.latency / 2)
        self.tokens = min(self.burst, self.tokens + (now() - self.filled_at) * self.rate)
        self.filled_at = now()
        through = self.tokens >= 1
        self.tokens -= through
        await asyncio.sleep(self.latency / 2)
        if through:
            self.passed += 1
            pacing.succeeded(turn)
        else:
            self.barred += 1
            pacing.refused(turn, self.retry_after)

    def most_within(self, seconds: float) -> int:
        starts = sorted(at for at, _ in self.begun)
        most = first = 0
        for last, at in enumerate(starts):
            while starts[first] <= at - seconds:
                first += 1
            most = max(most, last - first + 1)
        return most


async def call_for(seconds: float, alloy: Alloy, pacing: SharedPacing, worker: int, callers: int = 20) -> None:
    async def caller() -> None:
        while now() < end:
            await alloy.call(pacing, worker)

    end = now() + seconds
    await asyncio.gather(*(caller() for _ in range(callers)))


async def work(book: Book, alloy: Alloy, workers: int, seconds: float, callers: int = 20) -> None:
    async with AsyncExitStack() as stack:
        pacings = [await stack.enter_async_context(opened(book)) for _ in range(workers)]
        await asyncio.gather(
            *(call_for(seconds, alloy, pacing, number, callers) for number, pacing in enumerate(pacings))
        )


def opened(book: Book) -> AbstractAsyncContextManager[SharedPacing]:
    return SharedPacing.open(book.exchange, clock=now, sleep=asyncio.sleep)


@pytest.mark.parametrize("workers", [1, 4, 8])
@pytest.mark.parametrize("rate", [5.0, 40.0, 400.0])
def test_a_given_rate_is_used_and_never_exceeded_by_however_many(workers: int, rate: float) -> None:
    async def live() -> Alloy:
        alloy = Alloy(1e9, 1e9)
        await work(Book(rate), alloy, workers, 30, callers=40)
        return alloy

    alloy = in_virtual_time(live)

    assert alloy.passed > 0.97 * 30 * rate
    assert alloy.most_within(0.25) <= rate * (0.25 + 0.125) + 1
    assert alloy.most_within(10) <= rate * (10 + 0.125) + 1


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("allowed", [5.0, 40.0])
@pytest.mark.parametrize("retry_after", [None, 1.0])
def test_an_unknown_limit_is_used_and_hardly_exceeded(
    workers: int, allowed: float, retry_after: float | None, record_property: Callable[[str, object], None]
) -> None:
    async def live() -> tuple[float, float]:
        book, alloy = Book(), Alloy(allowed, retry_after=retry_after)
        await work(book, alloy, workers, 120)
        passed, barred = alloy.passed, alloy.barred
        began = now()
        await work(book, alloy, workers, 240)
        passed, barred = alloy.passed - passed, alloy.barred - barred
        return passed / (now() - began) / allowed, barred / (passed + barred)

    used, barred = in_virtual_time(live)

    record_property("proof", f"{used:.3f} of the allowed rate used, {100 * barred:.2f} % refused")
    assert used >= 0.95
    assert barred <= 0.01


def test_workers_take_turns() -> None:
    async def live() -> list[int]:
        alloy = Alloy(1e9, 1e9)
        await work(Book(40.0), alloy, 4, 20)
        return [worker for at, worker in alloy.begun if at > 3]

    begun = in_virtual_time(live)

    shares = [begun.count(worker) / len(begun) for worker in range(4)]
    assert min(shares) > 0.2
    assert max(shares) < 0.3


def test_whoever_comes_later_has_its_share_within_a_second_or_two() -> None:
    async def live() -> float:
        book, alloy = Book(40.0), Alloy(1e9, 1e9)
        async with AsyncExitStack() as stack:
            pacings = [await stack.enter_async_context(opened(book)) for _ in range(8)]
            others = [asyncio.create_task(call_for(20, alloy, pacing, 0)) for pacing in pacings[1:]]
            await asyncio.sleep(10)
            await pacings[0].turn()
            waited = now() - 10
            await asyncio.gather(*others)
            return waited

    assert in_virtual_time(live) < 2


def test_where_turns_are_plenty_no_call_waits_and_the_database_is_asked_a_few_times_a_second() -> None:
    async def live() -> tuple[int, float, int]:
        book = Book(100_000.0)
        async with opened(book) as pacing:
            longest = 0.0
            for number in range(13_000):
                began = now()
                await pacing.turn()
                if number > 1000:
                    longest = max(longest, now() - began)
                await asyncio.sleep(1 / 1300)
            return book.visits, longest, book.reserved

    visits, longest, reserved = in_virtual_time(live)

    assert visits < 6 * 10
    assert longest == 0.0
    assert reserved < 3 * 13_000


def test_where_nothing_holds_calls_up_the_database_is_asked_a_few_times_a_second() -> None:
    async def live() -> tuple[int, float]:
        book = Book()
        book.pace = Pace(rate=2000.0)
        async with opened(book) as pacing:
            await pacing.turn()
            began = now()
            for _ in range(13_000):
                await pacing.turn()
                await asyncio.sleep(1 / 1300)
            return book.visits, now() - began

    visits, seconds = in_virtual_time(live)

    assert visits < 6 * 10
    assert seconds == pytest.approx(10, rel=0.01)


def test_nobody_asks_the_database_while_there_are_no_calls() -> None:
    async def live() -> int:
        book = Book(40.0)
        async with opened(book) as pacing:
            await pacing.turn()
            await asyncio.sleep(2)
            before = book.visits
            await asyncio.sleep(3600)
            return book.visits - before

    assert in_virtual_time(live) == 0


def test_few_turns_are_reserved_that_nobody_uses() -> None:
    async def live() -> tuple[int, int]:
        book, alloy = Book(40.0), Alloy(1e9, 1e9)
        await work(book, alloy, 4, 30, callers=3)
        return book.reserved, len(alloy.begun)

    reserved, used = in_virtual_time(live)

    assert used > 0.98 * reserved
    assert used > 0.98 * 30 * 40


def test_a_refusal_that_one_is_told_slows_all_down_within_a_moment() -> None:
    async def live() -> tuple[float, float]:
        book = Book()
        book.pace = Pace(rate=100.0, refused_rate=100.0, met=3)
        alloy = Alloy(1e9, 1e9)
        async with opened(book) as one, opened(book) as other:
            working = asyncio.create_task(call_for(2, alloy, other, 1))
            turn = await one.turn()
            await asyncio.sleep(0.5)
            before = other.rate or 0
            one.refused(turn)
            await asyncio.sleep(0.3)
            after = other.rate or 0
            await working
            return before, after

    before, after = in_virtual_time(live)

    assert after < before


def test_a_retry_after_that_one_is_told_stops_all_within_a_moment() -> None:
    async def live() -> list[float]:
        book, alloy = Book(40.0), Alloy(1e9, 1e9)
        async with opened(book) as one, opened(book) as other:
            working = asyncio.create_task(call_for(12, alloy, other, 1))
            turn = await one.turn()
            await asyncio.sleep(1 - now())
            one.refused(turn, retry_after=5)
            await working
            return [at for at, _ in alloy.begun]

    begun = in_virtual_time(live)

    assert not [at for at in begun if 1.3 < at < 5.9]
    assert len([at for at in begun if 6 <= at < 6.2]) <= 0.2 * 40 + 0.125 * 40 + 1
    assert len([at for at in begun if 7 <= at < 12]) > 0.95 * 5 * 40


def test_what_waits_when_the_database_is_lost_is_told_why() -> None:
    class Lost(Exception):
        pass

    async def live() -> list[object]:
        book = Book(40.0)
        async with opened(book) as pacing:
            await pacing.turn()
            book.fails = Lost()
            waiting = [asyncio.ensure_future(pacing.turn()) for _ in range(100)]
            return [type(came) for came in await asyncio.gather(*waiting, return_exceptions=True)]

    came = in_virtual_time(live)

    assert came.count(Lost) > 80
    assert set(came) <= {Lost, Turn}


def test_whoever_is_cancelled_or_not_wanted_uses_up_no_turn() -> None:
    async def live() -> tuple[int, float]:
        book = Book(2.0)
        async with opened(book) as pacing:
            await pacing.turn()
            wanted = [True]
            queued = [asyncio.ensure_future(pacing.turn(lambda: wanted[0])) for _ in range(10)]
            await asyncio.sleep(0.05)
            queued[0].cancel()
            wanted[0] = False
            came = await asyncio.gather(*queued, return_exceptions=True)
            assert {type(one) for one in came} == {NotWanted, asyncio.CancelledError}
            asked = now()
            await pacing.turn()
            return book.reserved, now() - asked

    reserved, waited = in_virtual_time(live)

    assert reserved <= 3
    assert waited <= 1
