"""Time and ids are handed in, so that a run can be repeated to the last id.

Time is counted in whole milliseconds since 1970, because that is the resolution of the vendor's timestamps.
"""

import hashlib
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Anything that knows what time it is."""

    def now(self) -> int:
        """Return the time in milliseconds since 1970."""


class SystemClock:
    """The computer's time."""

    def now(self) -> int:
        """Return the time in milliseconds since 1970."""
        return time.time_ns() // 1_000_000


class ManualClock:
    """Stands still until it is advanced, so that a test of a lag needs no sleep."""

    def __init__(self, start: int = 1_736_071_200_000) -> None:
        self._now = start

    def now(self) -> int:
        """Return the time in milliseconds since 1970."""
        return self._now

    def advance(self, milliseconds: int) -> None:
        """Let time pass."""
        self._now += milliseconds


class IdGenerator:
    """Make ids that look like the vendor's: 24 lower-case hex digits, the same ones for the same seed."""

    def __init__(self, seed: int, issued: int = 0) -> None:
        self._seed = seed
        self.issued = issued

    def new(self) -> str:
        """Return an id that this generator has not returned before."""
        self.issued += 1
        return hashlib.blake2b(f"{self._seed}/{self.issued}".encode(), digest_size=12).hexdigest()


def timestamp(milliseconds: int) -> str:
    """Write a time as the vendor does: ISO-8601, UTC, milliseconds, `Z`."""
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{milliseconds % 1000:03d}Z"
