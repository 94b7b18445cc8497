"""Turns that all workers of a database share: reserved a block at a time, before the last one is used up.

One courier, a task of its own, goes to the database and back: it takes along what was learnt, and brings turns and the
news of others. So a call waits for the database only if there are no turns in hand, and where nothing holds calls up a
few visits a second are all that it costs. While there is nothing to do there are none.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Self

from flows.pacing import Pacing, Turn
from states.pace import CEILING, LONGEST_BLOCK, Block, News

Exchange = Callable[[News, int, float], Awaitable[Block]]
"""Lets all workers have news, reserves up to so many turns, at this time."""

_LOOK_EVERY = 0.2
"""Seconds after which the news of others are fetched, while there are calls."""
_AHEAD = 0.1
"""The next turns are reserved so many seconds before the last ones in hand: the database takes its time."""
_LEAST_OF_PLENTY = 0.005
"""So many seconds' worth of turns are reserved where turns are plenty: calls come in swarms, and a visit costs more."""
_FREE_FOR = 2 * LONGEST_BLOCK
"""So long after the last visit it is believed that nothing holds calls up."""


class SharedPacing(Pacing):
    """A :class:`Pacing` whose pace is kept elsewhere."""

    def __init__(
        self, exchange: Exchange, *, clock: Callable[[], float], sleep: Callable[[float], Awaitable[object]]
    ) -> None:
        super().__init__(clock=clock, sleep=sleep)
        self._fetch = exchange
        self._needed = asyncio.Event()
        """Something is to be fetched or told without delay."""
        self._came = asyncio.Event()
        """The courier is back, or will never be."""
        self._lost: BaseException | None = None
        self._visited_at = float("-inf")
        self._news = News()
        self._used = 0
        """Turns since the last visit."""
        self._used_before = 0
        """Turns between the last visit and the one before it."""

    @classmethod
    @asynccontextmanager
    async def open(
        cls, exchange: Exchange, *, clock: Callable[[], float], sleep: Callable[[float], Awaitable[object]]
    ) -> AsyncIterator[Self]:
        """Give out turns until the end of the block."""
        pacing = cls(exchange, clock=clock, sleep=sleep)
        courier = asyncio.create_task(pacing._go_to_and_fro(), name="pacing")
        try:
            yield pacing
        finally:
            courier.cancel()
            await asyncio.gather(courier, return_exceptions=True)

    # --- what Pacing asks for

    def _tell(self, news: News) -> None:
        urgent = news.refused_in is not None or news.paused_until > self._news.paused_until
        self._news = _both(self._news, news)
        if urgent:
            self._needed.set()

    def _restock(self) -> None:
        self._needed.set()

    def _delay(self) -> float | None:
        if self._limit is None and self._clock() - self._visited_at > _FREE_FOR:
            self._restock()
            return None
        return super()._delay()

    async def _wait(self, delay: float | None) -> None:
        if self._lost is not None:
            raise self._lost
        if delay is None:
            self._came.clear()
            await self._came.wait()
            return
        await self._sleep(min(delay, _LOOK_EVERY))  # what is slept for may be dropped meanwhile

    def _take(self, asked_at: float) -> Turn:
        self._used += 1
        if self._short(self._clock()):
            self._needed.set()
        return super()._take(asked_at)

    # --- the courier

    async def _go_to_and_fro(self) -> None:
        try:
            while True:
                await self._until_needed()
                await self._visit()
        except BaseException as error:
            self._lost = error
            raise
        finally:
            self._came.set()

    async def _until_needed(self) -> None:
        """Return when something is needed at once, or when there were calls and it is time for a look."""
        try:
            async with asyncio.timeout(_LOOK_EVERY if self._busy() else None):
                await self._needed.wait()
        except TimeoutError:
            return

    def _busy(self) -> bool:
        """Tell whether there were calls lately, or are some to come."""
        return bool(self._waiting or self._used or self._used_before)

    async def _visit(self) -> None:
        self._needed.clear()
        now, news, wanted = self._clock(), self._news, self._wanted()
        self._news, self._used_before, self._used = News(self._epoch), self._used, 0
        block = await self._fetch(news, wanted, now)
        self._visited_at = now
        self._accept(block)
        if self._news.epoch != self._epoch:  # what was learnt meanwhile is of a pace that is past
            self._news = replace(self._news, epoch=self._epoch, successes=0)
        self._came.set()

    def _wanted(self) -> int:
        """Return how many turns to reserve: what waits, and where turns are plenty, what is going to be asked for."""
        if self._limit is None:
            return 1
        if self._limit > CEILING:
            return max(self._waiting + 2 * self._used + 1, int(self._limit * _LEAST_OF_PLENTY))
        return self._waiting - self._turns_in_hand() if self._short(self._clock()) else 0

    def _short(self, now: float) -> bool:
        """Tell whether some have waited for whom there is no turn in hand, and those in hand are soon used up."""
        if self._limit is None or self._waiting <= self._turns_in_hand():
            return False
        return not self._in_hand or self._in_hand[-1].end - now < _AHEAD

    def _turns_in_hand(self) -> int:
        return sum(turns.number for turns in self._in_hand)


def _both(one: News, other: News) -> News:
    """Return what two pieces of news say together."""
    return News(
        epoch=max(one.epoch, other.epoch),
        successes=one.successes * (one.epoch >= other.epoch) + other.successes * (other.epoch >= one.epoch),
        refused_in=max(
            (refused for refused in (one.refused_in, other.refused_in) if refused is not None), default=None
        ),
        paused_until=max(one.paused_until, other.paused_until),
    )
