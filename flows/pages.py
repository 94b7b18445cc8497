"""How many customers one task run moves: one, for as long as Prefect can record a task run for each of them.

Prefect's server records some tens of task runs a second and silently drops what is too much. So task runs come out of
a budget that refills at a rate that every server keeps up with. A short list is shown customer by customer. On a long
one the budget stays ample where Alloy is slow or limited, and every customer's every transition is a task run of its
own; where Alloy is fast it runs low, a page takes what there is room for, and pages become as large as they must be.

Once more records are moved a second than could be shown one by one, nobody looks at single customers' task runs any
more, and each of them costs as much as several calls of Alloy, here and in Prefect's server. So then they are few.
But no worker with calls to spare waits for leave to begin a page: it begins one with all there is room for, and that
comes out of the budget's future.
"""

from collections.abc import Callable
from math import ceil
from typing import Protocol

TASK_RUNS_PER_SECOND = 10.0
IN_BULK_PER_SECOND = 4.0
"""The same where more records than that are moved; often enough that what is claimed lasts from one to the next."""
SHORT_LIST = 40
"""So many customers are shown one by one however fast Alloy is: their task runs are a burst that a server absorbs."""

_SAVED_SHORT = 250.0
_SAVED_LONG = 50.0
_MOST_OWED = 20.0


class PageSizes(Protocol):
    """What decides how many records a page takes."""

    def size(self, room: int, *, in_bulk: bool, idle: bool) -> int:
        """Return how many records the next page should take of the ``room`` there is; 0 to wait."""

    def spend(self) -> None:
        """Note that a page was begun."""


class PageBudget:
    """Task runs that may still be begun, and the size of page that follows from it.

    ``due`` is how many records there are to move, or any number above :data:`SHORT_LIST` if there are more; ``clock``
    tells seconds.
    """

    def __init__(self, due: int, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._short = due <= SHORT_LIST
        self._most = self._left = _SAVED_SHORT if self._short else _SAVED_LONG
        self._at = clock()

    def size(self, room: int, *, in_bulk: bool, idle: bool) -> int:
        """Return how many records the next page should take of the ``room`` there is; 0 to wait for the budget.

        ``in_bulk``: more is moved than could be shown one by one, and there is enough in hand. ``idle``: there is not
        even enough in hand for the calls that may be in flight.
        """
        self._refill(IN_BULK_PER_SECOND if in_bulk else TASK_RUNS_PER_SECOND)
        if room <= 0:
            return 0
        if self._left >= 1:
            return 1 if self._short else ceil(room / self._left)
        return room if idle and self._left > -_MOST_OWED else 0

    def spend(self) -> None:
        """Note that a task run was begun."""
        self._left -= 1

    def _refill(self, per_second: float) -> None:
        now = self._clock()
        self._left = min(self._most, self._left + (now - self._at) * per_second)
        self._at = now
