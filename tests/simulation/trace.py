"""The order of everything that happened: its digest says whether two runs took the same path."""

from collections import deque
from collections.abc import Callable
from hashlib import blake2b

_KEPT = 60


class Trace:
    """Takes a line for each event; keeps the last ones and a digest of all."""

    def __init__(self, time: Callable[[], float], listener: Callable[[str], None] | None = None) -> None:
        self._time = time
        self._listener = listener
        self._digest = blake2b(digest_size=12)
        self.events = 0
        self.last: deque[str] = deque(maxlen=_KEPT)

    def note(self, who: str, what: str) -> None:
        """Write down that something happened."""
        line = f"{self._time():12.4f}  {who:<10} {what}"
        self._digest.update(line.encode())
        self.events += 1
        self.last.append(line)
        if self._listener is not None:
            self._listener(line)

    def digest(self) -> str:
        """Return a mark that is equal for equal paths."""
        return self._digest.hexdigest()
