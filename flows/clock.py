"""Time, as something that is handed in: whoever waits asks a clock, so that a test can let a day pass in no time.

Leases are compared between machines whose clocks disagree, so the database's clock decides: a process asks the
database for the time now and then, and counts on from there by itself.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

_LOOKS = 3
"""Of several looks at the database's clock the quickest is the truest."""


class Clock(Protocol):
    """Tells the time and lets some pass."""

    def now(self) -> datetime:
        """Return the present time, in UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return when ``seconds`` have passed."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Return the present time, in UTC."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Return when ``seconds`` have passed."""
        await asyncio.sleep(seconds)


def _running_time() -> float:
    """Return seconds that go on while the machine sleeps, and that nobody can set."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class FollowingClock(SystemClock):
    """Tells the time of another clock, which :meth:`follow` looks at: here the database's.

    ``look`` returns that clock's time and may block; call :meth:`follow` where that does no harm.
    """

    def __init__(self, look: Callable[[], datetime], running_time: Callable[[], float] = _running_time) -> None:
        self._look = look
        self._running_time = running_time
        self._zero = datetime.now(UTC) - timedelta(seconds=running_time())

    def now(self) -> datetime:
        """Return the other clock's time, as far as is known."""
        return self._zero + timedelta(seconds=self._running_time())

    def follow(self) -> None:
        """Look at the other clock, and go by it from now on."""
        looks = []
        for _ in range(_LOOKS):
            began = self._running_time()
            seen = self._look()
            ended = self._running_time()
            looks.append((ended - began, seen - timedelta(seconds=(began + ended) / 2)))
        self._zero = min(looks)[1]
