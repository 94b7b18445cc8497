"""How many consents are awaited, so that looking for them leaves the calls to those who can be moved.

The number is counted when a run opens and counted on from there: up with each customer who begins to wait, and anew
every few seconds once they are many, since other workers' customers wait too. It need not be exact: it only sets how
far apart the next looks are.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from states.holds import LOOKED_FOR_FREELY, wait_in_a_crowd

_GOOD_FOR = timedelta(seconds=10)


class Crowd:
    """Those whose consent is awaited; ``count`` asks the store."""

    def __init__(self, waiting: int, count: Callable[[], Awaitable[int]], now: Callable[[], datetime]) -> None:
        self._waiting = waiting
        self._count = count
        self._now = now
        self._counted_at = now()

    def join(self) -> None:
        """Note that one more customer has begun to wait."""
        self._waiting += 1

    async def wait(self, rate: float) -> timedelta:
        """Return how far apart the looks for each of them are to be, at ``rate`` calls a second."""
        if self._waiting > LOOKED_FOR_FREELY and self._now() - self._counted_at >= _GOOD_FOR:
            self._counted_at = self._now()  # others go by what is known until the answer is there
            self._waiting = await self._count()
        return wait_in_a_crowd(self._waiting, rate)
