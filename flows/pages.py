"""How many customers one task run moves: one, for as long as Prefect can record a task run for each of them.

Prefect's server records some tens of task runs a second and silently drops what is too much. So the page grows with
the rate at which records are finished, and task runs stay below a rate that every server keeps up with.
"""

from collections import deque

TASK_RUNS_PER_SECOND = 8.0
_WINDOW_SECONDS = 2.0


class PageSize:
    """Learns the rate of finished records and says how large the next page should be."""

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._finished: deque[tuple[float, int]] = deque()
        self._in_window = 0

    def finished(self, records: int, at: float) -> None:
        """Note that ``records`` were finished at the monotonic time ``at``, in seconds."""
        self._finished.append((at, records))
        self._in_window += records
        while self._finished and self._finished[0][0] < at - _WINDOW_SECONDS:
            self._in_window -= self._finished.popleft()[1]

    @property
    def size(self) -> int:
        """The number of records for the next page, at least one."""
        per_second = self._in_window / _WINDOW_SECONDS
        return max(1, min(self._largest, round(per_second / TASK_RUNS_PER_SECOND)))
