"""How many customers one task run moves: one, for as long as Prefect can record a task run for each of them.

Prefect's server records some tens of task runs a second and silently drops what is too much. So task runs come out of
a budget that refills at a rate that every server keeps up with. While the budget is ample, which it always is where
Alloy is slow or limited, every customer's every transition is a task run of its own; as it runs low, a page takes
what there is room for, and pages become just as large as they must be.
"""

from collections.abc import Callable
from math import ceil
from time import monotonic

TASK_RUNS_PER_SECOND = 8.0
_SAVED = 50.0
"""How many task runs may be begun at once: a list that is shorter is shown customer by customer."""


class PageBudget:
    """Task runs that may still be begun, and the size of page that follows from it."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._left = _SAVED
        self._at = clock()

    def size(self, room: int) -> int:
        """Return how many records the next page should take of the ``room`` there is; 0 to wait for the budget."""
        self._refill()
        if self._left < 1:
            return 0
        return ceil(room / self._left)

    def spend(self) -> None:
        """Note that a task run was begun."""
        self._refill()
        self._left -= 1

    def _refill(self) -> None:
        now = self._clock()
        self._left = min(_SAVED, self._left + (now - self._at) * TASK_RUNS_PER_SECOND)
        self._at = now
