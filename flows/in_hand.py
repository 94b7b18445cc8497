"""How many records a worker takes in hand: as many as it moves in about a second.

What it holds beyond that waits in its queues, and nobody else may touch it: if the worker took over what a dead one
left, that would wait twice. So the number follows what was moved of late. It is never less than what keeps slow calls
in flight, nor more than what keeps quick ones.
"""

from collections import deque
from collections.abc import Callable
from math import ceil

LEAST_PER_CALL = 2
"""Records in hand for each call that may be in flight: while one is recorded and claimed, another is called for."""

MOST_PER_CALL = 10
"""The same where calls are quick, and most of a record's time goes into being recorded and claimed."""

_SECONDS = 1.0


class InHand:
    """What this worker has in hand, and what it has room for; ``clock`` tells seconds."""

    def __init__(self, concurrency: int, clock: Callable[[], float]) -> None:
        self._calls = concurrency
        self._least, self._most = LEAST_PER_CALL * concurrency, MOST_PER_CALL * concurrency
        self._clock = clock
        self._begun = 0
        self._moved_per_second = 0.0
        self._finished: deque[tuple[float, int]] = deque([(clock(), 0)])
        """When how many had been finished in all; the first is about a second old, the last is now."""

    def begin(self, records: int) -> None:
        """Note that so many were claimed."""
        self._begun += records

    def room(self, unfinished: int, together: int = 0) -> int:
        """Return how many more may be claimed while so many are unfinished; what is not unfinished was finished.

        Those that are created ``together`` keep one call busy, and others may be taken in hand for all the rest.
        """
        now, finished = self._clock(), self._begun - unfinished
        self._finished.append((now, finished))
        while self._finished[1][0] <= now - _SECONDS:
            self._finished.popleft()
        since, before = self._finished[0]
        self._moved_per_second = (finished - before) / max(now - since, _SECONDS / 10)
        stock = min(max(ceil(self._moved_per_second * _SECONDS), self._least), self._most)
        return stock - unfinished + min(together, stock)

    def is_ample(self, unfinished: int, per_second: float) -> bool:
        """Tell whether more than ``per_second`` were moved of late, and what is in hand keeps all calls in flight."""
        return self._moved_per_second > per_second and unfinished >= self._least

    def is_short(self, unfinished: int) -> bool:
        """Tell whether what is in hand is too little for all the calls that may be in flight."""
        return unfinished < self._calls
