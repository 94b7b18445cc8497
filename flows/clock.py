"""Time, as something that is handed in: whoever waits asks a clock, so that a test can let a day pass in no time."""

import asyncio
from datetime import UTC, datetime
from typing import Protocol


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
