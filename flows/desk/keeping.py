"""A run keeps the desk up to date: the progress of its batch moves while it works, and its pages are there at its end.

Nothing of this is waited for by whoever moves pages, and nothing of it can fail a run or hold up its end for long.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from uuid import UUID

from prefect.artifacts import acreate_progress_artifact, aupdate_progress_artifact
from prefect.logging import get_run_logger
from sqlalchemy import Engine

from flows.desk.keys import progress_key
from flows.desk.publishing import Page, batch_page, customer_page, overview_page, publish, waiting_page
from flows.resources import Resources
from flows.tally import Tally, Verdict
from states.holds import HoldKind
from states.stage import Stage
from store.figures.subject import batch_name, customer_name
from store.records import Scope
from store.standing import Standing, standing

EVERY_SECONDS = 3.0
_SHARE_OF_TIME = 0.01
"""Counting a large batch takes long: it may cost no more than this share of the time."""
_MOST_BATCHES = 10
"""A run over everything shows the pages of so many batches, those on which most has moved."""
_LONGEST_SECONDS = 20.0
_LONGEST_SECONDS_INTERRUPTED = 3.0


@asynccontextmanager
async def kept_desk(resources: Resources, scope: Scope) -> AsyncIterator["Desk"]:
    """Keep the desk for a run over ``scope``, from :meth:`Desk.begin` to the end of the block.

    Whoever is cancelled publishes nothing more.
    """
    desk = Desk(resources, scope)
    try:
        yield desk
    except Exception:
        await desk.end()
        raise
    else:
        await desk.end()
    finally:
        await desk.close()


class Desk:
    """What one run shows."""

    def __init__(self, resources: Resources, scope: Scope) -> None:
        self._resources = resources
        self._scope = scope
        self._moving: asyncio.Task[None] | None = None
        self._moved: Counter[int] = Counter()
        self._ended = asyncio.Event()

    def begin(self) -> None:
        """Show from now on how far the batch is; without it, the run shows nothing at all."""
        self._moving = asyncio.create_task(self._keep_moving(), name="progress shown in Prefect")

    def note(self, batches: Iterable[int], tally: Tally) -> None:
        """Note of which batches a page was, so that those on which something has changed are shown in the end."""
        if tally[Verdict.moved] or tally[Verdict.operator]:
            self._moved.update(batches)

    async def end(self) -> None:
        """Show the progress and the pages as they are in the end."""
        if self._moving is None:
            return
        self._ended.set()
        interrupted = self._resources.stop.is_set()
        try:
            async with asyncio.timeout(_LONGEST_SECONDS_INTERRUPTED if interrupted else _LONGEST_SECONDS):
                await self._moving
                resources = self._resources
                most = [batch for batch, _ in self._moved.most_common(_MOST_BATCHES)]
                wanted = await resources.in_thread(_pages_of, resources.engine, self._scope, most)
                await publish(resources.engine, wanted, in_thread=resources.in_thread, anew=resources.alloy.calls > 0)
        except Exception as failure:  # whatever it is, the run has done its work
            _warn("the operators' pages could not be brought up to date", failure)

    async def close(self) -> None:
        """End what is still going on."""
        if self._moving is not None:
            self._moving.cancel()
            await asyncio.gather(self._moving, return_exceptions=True)

    async def _keep_moving(self) -> None:
        resources, batch_id = self._resources, self._scope.batch_id
        if batch_id is None:
            return
        with suppress(Exception):  # shown the next time, or by the page
            name = await resources.in_thread(batch_name, resources.engine, batch_id)
            shown = _Progress(name)
            while not self._ended.is_set():
                await self._pause(await shown.show(resources))
            await shown.show(resources)

    async def _pause(self, took: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), max(EVERY_SECONDS, took / _SHARE_OF_TIME))


class _Progress:
    """The progress artifact of one batch, made when it is first shown."""

    def __init__(self, batch: str) -> None:
        self._batch = batch
        self._artifact: UUID | None = None
        self._told: tuple[float, str] | None = None

    async def show(self, resources: Resources) -> float:
        """Show how far the batch is; return how many seconds counting took."""
        began = time.monotonic()
        now = await resources.in_thread(standing, resources.engine, self._batch)
        took = time.monotonic() - began
        told = percentage(now), describe(now)
        if told == self._told:
            return took
        if self._artifact is None:
            self._artifact = await acreate_progress_artifact(
                told[0], key=progress_key(self._batch), description=told[1]
            )
        else:
            await aupdate_progress_artifact(self._artifact, told[0], description=told[1])
        self._told = told
        return took


def percentage(now: Standing) -> float:
    """Return how many of a hundred are completed."""
    return 100 * now.stages[Stage.completed] / now.total if now.total else 0.0


def describe(now: Standing) -> str:
    """Say who is completed, and who is not, and why."""
    parts = [f"{now.stages[Stage.completed]:,} of {now.total:,} completed"] + [
        f"{number:,} {words}"
        for number, words in (
            (now.moving, "on the way"),
            (now.holds[HoldKind.customer], "wait for the customer"),
            (now.holds[HoldKind.retry], "tried again"),
            (now.holds[HoldKind.operator], "need an operator"),
            (now.holds[HoldKind.cancelled], "cancelled"),
        )
        if number
    ]
    return ", ".join(parts)


def _pages_of(engine: Engine, scope: Scope, moved: Sequence[int]) -> Sequence[Page]:
    """Return the pages that a run over ``scope`` changes; over everything, those of the batches that have ``moved``."""
    found = [overview_page(), waiting_page()]
    batches = moved if scope.batch_id is None else [scope.batch_id]
    found.extend(batch_page(batch_name(engine, one)) for one in batches)
    if scope.customer_id is not None:
        found.append(customer_page(customer_name(engine, scope.customer_id)))
    return found


def _warn(what: str, failure: Exception) -> None:
    """Say so in the run's log: by its kind alone, since an error's text may hold an address with a password."""
    with suppress(Exception):
        get_run_logger().warning("%s: %s", what, type(failure).__name__)
