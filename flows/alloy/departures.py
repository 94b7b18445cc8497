"""When a call may leave: once it has its turn, and one of the slots for calls that are in flight.

A call that changes something has its turn before its intent is written (:mod:`flows.alloy.permit`), any other when it
has its slot. Both queue for the same turns, so which of them may hold a slot meanwhile decides whether any call leaves.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta

from flows.alloy.patience import LONGEST_WAIT
from flows.alloy.permit import PERMIT, Permit
from flows.pacing import Pacing, Turn
from states.failures import Transient
from states.holds import Reason

PERMITS_PER_SLOT = 3
"""Calls that may stand between their turn and their answer, for each that may be in flight: intents take their time."""


class Departures:
    """Lets ``concurrency`` calls at once be in flight, each at its turn.

    A permit is good for as long as ``send_within`` says, by the clock ``now``.
    """

    def __init__(
        self, pacing: Pacing, concurrency: int, *, send_within: timedelta, now: Callable[[], datetime]
    ) -> None:
        self._pacing = pacing
        self._slots = asyncio.Semaphore(concurrency)
        self._line = asyncio.Lock()
        self._permits = asyncio.Semaphore(PERMITS_PER_SLOT * concurrency)
        self._send_within = send_within
        self._now = now
        self._stopping = False

    @asynccontextmanager
    async def permit(self) -> AsyncIterator[Permit]:
        """Wait for the turn of one call that changes something; the first one made in this block has it.

        Raises ``Transient``, with nothing done, if Alloy wants nobody to call for longer than is worth waiting here.
        """
        async with self._permits:
            permit = Permit(await self._turn(), self._now, self._send_within)
            token = PERMIT.set(permit)
            try:
                yield permit
            finally:
                PERMIT.reset(token)

    def stop(self) -> None:
        """Give turns only to calls that belong to an intent from now on; whatever else waits raises ``NotWanted``."""
        self._stopping = True

    @asynccontextmanager
    async def leave(self, permit: Permit | None) -> AsyncIterator[Turn]:
        """Wait until a call may be sent, and hold its slot while the block sends it and waits for the answer.

        Raises what :meth:`permit` raises, and what :meth:`flows.alloy.permit.Permit.confirm` does.
        """
        async with self._slot_and_turn(permit) as turn:
            await self._pacing.depart()
            if permit is not None:
                await permit.confirm()
            yield turn

    @asynccontextmanager
    async def _slot_and_turn(self, permit: Permit | None) -> AsyncIterator[Turn]:
        """Hold one of the slots for a call, once it has its turn.

        Who has no turn waits in a line whose first alone holds a slot: else those who have theirs would wait for slots,
        and the holders of these for turns, which the others are to have before them.
        """
        if permit is not None and (turn := permit.take_turn()) is not None:
            async with self._slots:
                if not self._pacing.paused_for():
                    yield turn
                    return
        self._refuse_a_long_wait()
        async with AsyncExitStack() as stack:
            async with self._line:
                # The slot comes first: a turn that waits for one would start its call at some later, crowded time.
                await stack.enter_async_context(self._slots)
                turn = await self._turn()
            yield turn

    async def _turn(self) -> Turn:
        self._refuse_a_long_wait()
        begun = PERMIT.get() is not None
        return await self._pacing.turn(lambda: begun or not self._stopping)

    def _refuse_a_long_wait(self) -> None:
        if (left := self._pacing.paused_for()) > LONGEST_WAIT:
            # Judged, not slept through: the run can end, and say when it goes on.
            raise Transient(
                Reason.rate_limited, "nothing was sent: Alloy asked us to wait", retry_after=timedelta(seconds=left)
            )
