"""How fast we may call: starts of calls, evenly spaced, at a given rate or at one that is found by asking.

aiolimiter and pyrate-limiter let a whole period's worth through at once and keep one rate for ever; what is wanted here
is even spacing and a rate that follows the refusals, so this is our own, with clock and sleep injected.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

FIRST_RATE = 2.0
"""Calls per second to begin with where nobody said what is allowed."""
CEILING = 1000.0
"""The rate found at which spacing calls is given up: it no longer changes anything."""

_LOWEST_RATE = 0.1
_CATCH_UP = 0.125
"""So many seconds' worth of unused turns may be taken at once: half of what is allowed, for networks bunch up too."""
_FINEST_SLEEP = 0.001
"""Shorter waits are not slept: the event loop's clock is no finer, and a sleep costs more than a call may."""
_LONGEST_PAUSE = 60.0
"""One absurd ``Retry-After`` must not stop everybody for a day; a look once a minute is no flood."""


class NotWanted(Exception):
    """Whoever waited for a turn has no call to make any more."""


@dataclass(frozen=True, slots=True)
class Turn:
    """The permission to start one call."""

    epoch: int
    """How often the rate had been cut by then: tells which refusals are news."""
    waited: bool
    """Whether the rate held the call up."""


class Pacing:
    """Spaces the starts of calls, first come, first served, within one event loop.

    With ``rate`` this many calls a second start, evenly spaced. Without, the rate begins at two a second, doubles about
    each second until the first refusal, and then follows what is refused: down at once, up slowly.
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
        self._finding = rate is None
        self._doubling = True
        self._rate = FIRST_RATE if rate is None else rate
        self._step = 0.0
        self._clock = clock
        self._sleep = sleep
        self._next = float("-inf")
        self._paused_until = float("-inf")
        self._epoch = 0
        self._gate = asyncio.Lock()
        self._waiting = 0

    @property
    def rate(self) -> float | None:
        """Calls per second at present; None while calls are not held up at all."""
        return None if self._finding and self._rate >= CEILING else self._rate

    def paused_for(self) -> float:
        """Return for how many more seconds nobody may call; 0 without a pause."""
        return max(0.0, self._paused_until - self._clock())

    def pause(self, seconds: float) -> None:
        """Let nobody start for so long (a minute at most); an earlier, longer pause stays."""
        until = self._clock() + min(max(seconds, 0.0), _LONGEST_PAUSE)
        self._paused_until = max(self._paused_until, until)

    async def turn(self, wanted: Callable[[], bool] = lambda: True) -> Turn:
        """Wait for one's turn to start a call; a cancelled wait uses up nothing.

        Raises :class:`NotWanted`, and uses up nothing either, once ``wanted`` says that there is no call to be made.
        """
        if not wanted():
            raise NotWanted
        if not self._waiting and (delay := self._delay()) < _FINEST_SLEEP:
            return self._take(waited=delay > 0)
        self._waiting += 1
        try:
            # The lock is fair: whoever came first is the one that sleeps, everybody else queues behind it.
            async with self._gate:
                while (delay := self._delay() if wanted() else 0.0) >= _FINEST_SLEEP:
                    await self._sleep(delay)
                if not wanted():
                    raise NotWanted
                return self._take(waited=True)
        finally:
            self._waiting -= 1

    def succeeded(self, turn: Turn) -> None:
        """Learn that a call was not refused for its pace."""
        # A call that was not held up says nothing about a higher rate.
        if not self._finding or not turn.waited or self._rate >= CEILING:
            return
        self._rate += math.log(2) if self._doubling else self._step / self._rate

    def refused(self, turn: Turn, retry_after: float | None = None) -> None:
        """Learn that a call was refused for its pace, and when to call again if that was said."""
        if retry_after:
            self.pause(retry_after)
        # Calls that were under way together are refused together: only the first of them is news.
        if not self._finding or turn.epoch != self._epoch:
            return
        self._epoch += 1
        self._rate = max(min(self._rate, CEILING) * (0.5 if self._doubling else 0.75), _LOWEST_RATE)
        self._doubling = False
        # Back up within ten seconds or so, but not so fast that more than one call in twenty is refused.
        self._step = min(self._rate / 30, self._rate**2 / 80)
        self._next = max(self._next, self._clock() + 1 / self._rate)

    def _delay(self) -> float:
        now = self._clock()
        if now < self._paused_until:
            return self._paused_until - now
        return 0.0 if self.rate is None else self._next - now

    def _take(self, *, waited: bool) -> Turn:
        if (rate := self.rate) is not None:
            self._next = max(self._next, self._paused_until, self._clock() - _CATCH_UP) + 1 / rate
        return Turn(self._epoch, waited)
