"""Whose turn it is to call: starts of calls, evenly spaced, first come, first served, within one event loop.

How fast is :mod:`states.pace`'s to say. By itself a :class:`Pacing` keeps that in memory and shares it with nobody;
:mod:`flows.shared_pacing` keeps it where all workers of a database see it.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from states.pace import CEILING, LONGEST_PAUSE, NEVER, Block, News, Pace, exchanged

FINEST_SLEEP = 0.001
"""Shorter waits are not slept: the event loop's clock is no finer, and a sleep costs more than a call may."""


_CLOSEST = 0.9
"""So close to each other, of what the rate has them apart, may calls leave: what was held up catches up slowly."""


class NotWanted(Exception):
    """Whoever waited for a turn has no call to make any more."""


@dataclass(frozen=True, slots=True)
class Turn:
    """The permission to start one call."""

    epoch: int
    """How often the rate had been cut by then: tells which refusals are news."""
    waited: bool
    """Whether the rate held the call up."""


@dataclass(slots=True)
class _Turns:
    """Turns in hand: the moments that are left of one block."""

    next_at: float
    spacing: float
    number: int
    late: float

    @property
    def end(self) -> float:
        return self.next_at + self.number * self.spacing

    def drop_before(self, now: float) -> None:
        """Let go of those that may not be used any more."""
        if self.number and (too_late := now - self.late - self.next_at) > 0:
            gone = min(self.number, int(too_late / self.spacing) + 1)
            self.next_at += gone * self.spacing
            self.number -= gone


class Pacing:
    """Gives out turns.

    With ``rate`` this many calls a second start, evenly spaced. Without, the limit is found by asking.
    """

    def __init__(
        self,
        rate: float | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        if rate is not None and not rate > 0:
            raise ValueError("a rate is more than zero calls a second")
        self._pace = Pace(given=rate)
        self._clock = clock
        self._sleep = sleep
        self._gate = asyncio.Lock()
        self._waiting = 0
        self._epoch = 0
        self._limit = self._pace.limit
        self._paused_until = NEVER
        self._in_hand: deque[_Turns] = deque()
        self._departed_at = NEVER

    @property
    def rate(self) -> float | None:
        """Calls per second at present; None while calls are not held up at all."""
        return self._limit

    def paused_for(self) -> float:
        """Return for how many more seconds nobody may call; 0 without a pause."""
        return max(0.0, self._paused_until - self._clock())

    def pause(self, seconds: float) -> None:
        """Let nobody start for so long (a minute at most); an earlier, longer pause stays."""
        until = self._clock() + min(max(seconds, 0.0), LONGEST_PAUSE)
        if until > self._paused_until:
            self._paused_until = until
            self._in_hand.clear()
            self._tell(News(paused_until=until))

    async def turn(self, wanted: Callable[[], bool] = lambda: True) -> Turn:
        """Wait for one's turn to start a call; a cancelled wait uses up nothing.

        Raises :class:`NotWanted`, and uses up nothing either, once ``wanted`` says that there is no call to be made.
        """
        if not wanted():
            raise NotWanted
        asked_at = self._clock()
        if not self._waiting and (delay := self._delay()) is not None and delay < FINEST_SLEEP:
            return self._take(asked_at)
        self._waiting += 1
        try:
            # The lock is fair: whoever came first is the one that sleeps, everybody else queues behind it.
            async with self._gate:
                while wanted() and ((delay := self._delay()) is None or delay >= FINEST_SLEEP):
                    await self._wait(delay)
                if not wanted():
                    raise NotWanted
                return self._take(asked_at)
        finally:
            self._waiting -= 1

    async def depart(self) -> None:
        """Return when a call that had its turn may be sent: at once, or shortly after the one before it.

        Between a turn and its call an intent is written, with others in one group, after which all would go at once.
        """
        if self._limit is None or self._limit > CEILING:
            return
        now = self._clock()
        at = max(now, self._departed_at + _CLOSEST / self._limit)
        self._departed_at = at
        if at - now >= FINEST_SLEEP:
            await self._sleep(at - now)

    def succeeded(self, turn: Turn) -> None:
        """Learn that a call was not refused for its pace."""
        # A call that was not held up says nothing about a higher rate.
        if turn.waited and turn.epoch == self._epoch:
            self._tell(News(turn.epoch, successes=1))

    def refused(self, turn: Turn, retry_after: float | None = None) -> None:
        """Learn that a call was refused for its pace, and when to call again if that was said."""
        if retry_after:
            self.pause(retry_after)
        if turn.epoch == self._epoch:
            self._tell(News(refused_in=turn.epoch))

    def _tell(self, news: News) -> None:
        """Let it be known."""
        self._accept(self._exchange(news, 0))

    def _restock(self) -> None:
        """Have turns in hand, now or as soon as possible."""
        self._accept(self._exchange(News(), 1))

    async def _wait(self, delay: float | None) -> None:
        """Let so many seconds pass, or, with None, wait until there are turns in hand."""
        if delay is not None:
            await self._sleep(delay)

    def _exchange(self, news: News, wanted: int) -> Block:
        self._pace, block = exchanged(self._pace, news, wanted, self._clock())
        return block

    def _accept(self, block: Block) -> None:
        """Go by what is known of the pace, and take the turns of ``block`` in hand."""
        if block.epoch != self._epoch or block.paused_until > self._paused_until:
            self._in_hand.clear()  # turns of a pace that was too fast
        self._epoch = block.epoch
        self._limit = block.limit
        self._paused_until = max(self._paused_until, block.paused_until)
        if block.number and block.limit is not None:
            self._in_hand.append(_Turns(block.first_at, 1 / block.limit, block.number, block.late))

    def _delay(self) -> float | None:
        """Return the seconds until the next turn in hand; None if there is none yet."""
        now = self._clock()
        if (paused := self._paused_until - now) >= FINEST_SLEEP:
            return paused
        if self._limit is None:
            return 0.0
        if not self._first(now):
            self._restock()
            if self._limit is None:
                return 0.0
        first = self._first(now)
        return None if first is None else first.next_at - now

    def _first(self, now: float) -> _Turns | None:
        while self._in_hand:
            first = self._in_hand[0]
            first.drop_before(now)
            if first.number:
                return first
            self._in_hand.popleft()
        return None

    def _take(self, asked_at: float) -> Turn:
        if self._limit is None:
            return Turn(self._epoch, waited=False)
        first = self._in_hand[0]
        waited = first.next_at > asked_at
        first.next_at += first.spacing
        first.number -= 1
        return Turn(self._epoch, waited)
