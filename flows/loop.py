"""The loop under every flow: claim a page of the latest stage that has due records, move it, until nothing is due soon.

Batch, resume and single-customer runs differ only in what they may claim. Several loops, in this process and in others,
share a database without knowing of each other: a page belongs to whoever claimed it, and what a dead worker held is
claimed again when its lease runs out.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy.exc import DBAPIError

from flows.in_hand import InHand
from flows.pages import SHORT_LIST, TASK_RUNS_PER_SECOND, PageBudget, PageSizes
from flows.resources import Resources
from flows.tally import Tally
from store.leases import Outlook, claim, count_due, outlook, release, renew
from store.records import Page, Scope
from store.rounds import next_batch

SOON = timedelta(seconds=10)
"""A run goes on while anything of its own falls due within this time, or is in another worker's hands."""

_GRACE_SECONDS = 10.0
_LOOK_EVERY_SECONDS = 0.1

MovePage = Callable[[Page], Awaitable[Tally]]


@dataclass(slots=True)
class Driven:
    """What a run did, and what is left."""

    tally: Tally = field(default_factory=Counter)
    pages: int = 0
    interrupted: bool = False
    next_due_at: datetime | None = None
    seconds: float = 0.0
    """From before the first call to the last recorded outcome."""


class Loop:
    """One run of the loop over one scope."""

    def __init__(
        self,
        resources: Resources,
        scope: Scope,
        move_page: MovePage,
        budget: Callable[[int, Callable[[], float]], PageSizes] = PageBudget,
    ) -> None:
        self._resources = resources
        self._scope = scope
        self._move_page = move_page
        self._in_hand = InHand(resources.concurrency, time.monotonic)
        self._budget_of = budget
        self._budget = budget(0, time.monotonic)
        self._in_flight: dict[asyncio.Task[Tally], Page] = {}
        self._claims = 0
        self._batch_before = 0
        self.driven = Driven()
        self._started: float | None = None

    async def run(self) -> Driven:
        """Move everything in scope as far as it goes for now; return what came of it.

        Raises :class:`states.failures.Halted`, after what was in flight has ended.
        """
        due = await self._resources.in_thread(count_due, self._resources.engine, self._scope, SHORT_LIST + 1)
        self._budget = self._budget_of(due, time.monotonic)
        keeping = asyncio.create_task(self._keep_leases(), name="lease keeper")
        try:
            await self._take_turns()
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
        self.driven.next_due_at = (await self._look()).next_due_at
        return self.driven

    async def _take_turns(self) -> None:
        """Take turns until nothing is left to wait for. What is in flight is finished, whatever keeps us from going on.

        Only who is cancelled does not wait for it.
        """
        grace = 0.0
        try:
            while not self._resources.stop.is_set() and await self._turn():
                pass
            grace = _GRACE_SECONDS
        except Exception:
            grace = _GRACE_SECONDS
            raise
        finally:
            self.driven.interrupted = self._resources.stop.is_set()
            await self._finish(grace)

    async def _turn(self) -> bool:
        """Start a page if one can be had, else wait for something to happen; False if nothing is left to wait for."""
        resources = self._resources
        resources.recorder.changed.clear()
        paused = resources.alloy.pacing.paused_for()
        unfinished, together = sum(resources.unfinished.values()), resources.together
        room = self._in_hand.room(unfinished, together)
        # While Alloy asks everybody to wait, or when nobody can be moved, what is claimed would only be given back.
        in_bulk = self._in_hand.is_ample(unfinished - together, TASK_RUNS_PER_SECOND)
        idle = self._in_hand.is_short(unfinished - together)
        size = self._budget.size(room, in_bulk=in_bulk, idle=idle) if paused <= 0 and not resources.halted else 0
        if size > 0:
            claimed = await resources.in_thread(
                claim,
                resources.engine,
                await self._whose_turn(),
                worker=resources.worker,
                limit=room,
                size=size,
                lease=resources.lease,
                now=resources.clock.now(),
            )
            if claimed is not None:
                for page in claimed.split(size):
                    self._start(page)
                return True
        if self._in_flight:
            await self._wait_for_change()
            return True
        return await self._wait_until_due(paused)

    async def _whose_turn(self) -> Scope:
        """Return what to claim of: where this is a run over everything, every second time of one batch in its turn."""
        self._claims += 1
        if self._scope != Scope() or self._claims % 2:
            return self._scope
        resources = self._resources
        batch = await resources.in_thread(next_batch, resources.engine, self._batch_before, resources.clock.now())
        self._batch_before = batch or 0
        return Scope(batch_id=batch)

    def _start(self, page: Page) -> None:
        if self._started is None:
            self._started = time.monotonic()
        self.driven.pages += 1
        self._budget.spend()
        self._in_hand.begin(len(page.records))
        self._resources.pages[page.key] = page
        self._resources.unfinished[page.key] = len(page.records)
        task = asyncio.create_task(self._moved(page), name=f"page {page.key}")
        self._in_flight[task] = page

    async def _moved(self, page: Page) -> Tally:
        try:
            return await self._move_page(page)
        finally:
            self._resources.pages.pop(page.key, None)
            self._resources.unfinished.pop(page.key, None)

    async def _wait_for_change(self) -> None:
        stopped = asyncio.create_task(self._resources.stop.wait())
        changed = asyncio.create_task(self._resources.recorder.changed.wait())
        try:
            await asyncio.wait(
                {*self._in_flight, stopped, changed},
                timeout=_LOOK_EVERY_SECONDS,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            stopped.cancel()
            changed.cancel()
        self._collect()

    def _collect(self) -> None:
        for task in [task for task in self._in_flight if task.done()]:
            del self._in_flight[task]
            self.driven.tally += task.result()
            if self._started is not None:
                self.driven.seconds = time.monotonic() - self._started

    async def _wait_until_due(self, paused: float) -> bool:
        resources = self._resources
        ahead = await self._look()
        now = resources.clock.now()
        times = [time for time in (ahead.next_due_at,) if time is not None and time - now <= SOON]
        if ahead.leased_until is not None:
            times.append(max(ahead.leased_until, now))
        if not times:
            return False
        # Somebody else may finish or give back what it holds long before its lease runs out.
        longest = _LOOK_EVERY_SECONDS if ahead.leased else SOON.total_seconds()
        await self._pause(max(min(max((min(times) - now).total_seconds(), 0.01), longest), paused))
        return True

    async def _pause(self, seconds: float) -> None:
        """Let time pass, unless we are asked to stop."""
        sleeping = asyncio.ensure_future(self._resources.clock.sleep(seconds))
        stopped = asyncio.create_task(self._resources.stop.wait())
        await asyncio.wait({sleeping, stopped}, return_when=asyncio.FIRST_COMPLETED)
        sleeping.cancel()
        stopped.cancel()

    async def _look(self) -> Outlook:
        return await self._resources.in_thread(outlook, self._resources.engine, self._scope)

    async def _keep_leases(self) -> None:
        resources = self._resources
        while True:
            await asyncio.sleep(resources.lease.total_seconds() / 3)
            tokens = list({page.token for page in self._in_flight.values()})
            if tokens:
                with suppress(DBAPIError):  # away for long: what runs out is claimed again, and our writes are fenced
                    await resources.in_thread(
                        renew, resources.engine, tokens, lease=resources.lease, now=resources.clock.now()
                    )

    async def _finish(self, grace: float) -> None:
        """Let what is in flight end, for ``grace`` seconds at most; then cancel it and give its records back."""
        self._resources.alloy.stop()
        if not self._in_flight:
            return
        tokens = list({page.token for page in self._in_flight.values()})
        try:
            if grace:
                await asyncio.wait(self._in_flight, timeout=grace)
        finally:  # also when we are interrupted once more
            for task in self._in_flight:
                task.cancel()
            ended = await asyncio.gather(*self._in_flight, return_exceptions=True)
            self._in_flight.clear()
            for tally in ended:
                if isinstance(tally, Counter):
                    self.driven.tally += tally
            with suppress(DBAPIError):  # away for long: what is not given back is taken over when its lease runs out
                await self._resources.in_thread(release, self._resources.engine, tokens)
