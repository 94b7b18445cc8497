"""Leave to send one call that changes something, got before the call's intent is written.

Calls queue for their turn without an intent, so a worker that dies leaves few outcomes unknown, however slow Alloy is.
And an intent says until when its call may be under way; a call that is held up for longer after all has its intent
prolonged first, which fails if the lease was lost meanwhile: a worker that slept through its lease sends nothing.
"""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from datetime import datetime, timedelta

from flows.pacing import Turn

Prolong = Callable[[datetime], Awaitable[None]]
"""Makes sure that a call may still be sent until this time; raises if it may not."""


class Permit:
    """One turn that was waited for, and until when a call may be sent with it."""

    def __init__(self, turn: Turn, now: Callable[[], datetime], good_for: timedelta) -> None:
        self._turn: Turn | None = turn
        self._now = now
        self._good_for = good_for
        self._prolong: Prolong | None = None
        self.send_by = now() + good_for

    def prolonged_by(self, prolong: Prolong) -> None:
        """Say what is to be done before a call is sent later than ``send_by``."""
        self._prolong = prolong

    def take_turn(self) -> Turn | None:
        """Return the turn that was waited for, once; a call that is made again needs a turn of its own."""
        turn, self._turn = self._turn, None
        return turn

    async def confirm(self) -> None:
        """Return if the call may be sent at this moment; raise what :meth:`prolonged_by` raises if not."""
        while self._now() >= self.send_by:
            send_by = self._now() + self._good_for
            if self._prolong is not None:
                await self._prolong(send_by)
            self.send_by = send_by


PERMIT: ContextVar[Permit | None] = ContextVar("permit", default=None)
"""The permit of whoever is about to make a call that changes something."""
