"""The tags by which operators find runs: `batch:spring`, `integration:Slack alerts`, `trigger:create_user`.

A flow run bears those of what it has moved so far, beside those of its deployment: so a scheduled resume over
everything is found by the lists that it moved. The task run of one customer bears its own. That of many bears none:
each tag costs a kilobyte of Prefect's database, its name begins with the trigger, and the flow run has the others.
Prefect asks its server for leave before each task run that begins with a tag, so ours get theirs while they are under
way: they are recorded with the run's end.

A tag never names a customer. An integration is called what Alloy calls it; what a list calls a batch is cut.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar

from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext, TaskRunContext
from sqlalchemy.exc import DBAPIError, NoResultFound

from flows.resources import Resources
from states.transitions import BY_SOURCE
from store.figures.subject import batch_name
from store.records import Page, Record, Scope

LONGEST = 60
"""So many letters of a name are in its tag."""
MOST = 10
"""A flow run has the tags of so many batches at most, and of so many integrations: those that came first."""

_EVERY_SECONDS = 5.0
_LONGEST_SECONDS = 3.0

_LABELS: ContextVar["Labels | None"] = ContextVar("labels", default=None)


@asynccontextmanager
async def labelled(resources: Resources, scope: Scope) -> AsyncIterator["Labels"]:
    """Keep the flow run in which this is called tagged with what it moves, until the end of the block.

    Whatever keeps us from that keeps nobody from being moved.
    """
    labels = Labels(resources)
    token = _LABELS.set(labels)
    telling = asyncio.create_task(labels.keep_telling(scope), name="tags")
    try:
        yield labels
    finally:
        _LABELS.reset(token)
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
        with suppress(Exception):
            async with asyncio.timeout(_LONGEST_SECONDS):
                await labels.tell()


def tag_task_run(page: Page) -> None:
    """Tag the task run in which this is called as that of ``page``."""
    labels, inside = _LABELS.get(), TaskRunContext.get()
    if labels is not None and inside is not None:
        inside.task_run.tags = sorted({*inside.task_run.tags, *labels.of(page)})


class Labels:
    """The tags of one flow run and its task runs."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._batches: dict[int, str] = {}
        self._integrations: set[str] = set()
        self._told: set[str] = set()
        self._changed = asyncio.Event()

    async def begin(self, page: Page) -> None:
        """Note that ``page`` is moved from now on."""
        for batch_id in {record.batch_id for record in page.records}:
            await self._learn(batch_id)
        self._note_integrations(page)

    def of(self, page: Page) -> list[str]:
        """Return the tags of the task run of a page that was begun, as far as they are known by now."""
        self._note_integrations(page)
        if len(page.records) > 1:
            return []
        [record] = page.records
        others = self._batches.get(record.batch_id), self._integration(record)
        return [f"trigger:{BY_SOURCE[page.stage].trigger}", *filter(None, others)]

    async def keep_telling(self, scope: Scope) -> None:
        """Tag the flow run whenever it moves something else, though not more often than every five seconds."""
        if scope.batch_id is not None:
            await self._learn(scope.batch_id)
        while True:
            await self._changed.wait()
            with suppress(Exception):  # told the next time
                await self.tell()
            await asyncio.sleep(_EVERY_SECONDS)

    async def tell(self) -> None:
        """Tag the flow run, unless it has these tags already. Raises what Prefect's client does."""
        self._changed.clear()
        tags = {*list(self._batches.values())[:MOST], *self._integrations}
        inside = FlowRunContext.get()
        if inside is None or inside.flow_run is None or tags == self._told:
            return
        async with get_client() as client:
            await client.update_flow_run(inside.flow_run.id, tags=sorted(tags.union(inside.flow_run.tags)))
        self._told = tags

    async def _learn(self, batch_id: int) -> None:
        """Learn what a batch is called, unless it cannot be asked for now."""
        if batch_id not in self._batches:
            resources = self._resources
            with suppress(DBAPIError, NoResultFound):
                name = await resources.in_thread(batch_name, resources.engine, batch_id)
                self._batches[batch_id] = tag("batch", name)
                self._changed.set()

    def _note_integrations(self, page: Page) -> None:
        # By name, for a page of hundreds has a few of them.
        for record in {one.integration_id or one.integration: one for one in page.records}.values():
            integration = self._integration(record)
            if integration is not None and integration not in self._integrations and len(self._integrations) < MOST:
                self._integrations.add(integration)
                self._changed.set()

    def _integration(self, record: Record) -> str | None:
        """Return its tag; None for one that the account does not have: what a list calls it may be anything."""
        label = self._resources.catalogue.label(record.integration_id or record.integration)
        return tag("integration", label) if label is not None else None


def tag(kind: str, name: str) -> str:
    """Return a tag of a name that is not ours: on one line, of what can be read, and not endless."""
    words = "".join(letter if letter.isprintable() else "�" for letter in " ".join(name.split()))
    return f"{kind}:{words[:LONGEST]}…" if len(words) > LONGEST else f"{kind}:{words}"
