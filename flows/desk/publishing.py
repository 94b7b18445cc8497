"""Putting pages into Prefect, each under its key, so that Prefect keeps what it showed before.

A page on which nothing has changed but the time is brought up to date in place: a schedule that finds the same every
five minutes leaves one entry, not hundreds a day. What the pages are made of is in our records; a page that cannot be
published is shown late, and fails nobody.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from prefect.artifacts import acreate_markdown_artifact
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import ArtifactUpdate
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.sorting import ArtifactSort
from sqlalchemy import Engine

from flows.desk.batch import render_batch
from flows.desk.forms import NO_FORMS, Forms, registered_forms
from flows.desk.keys import OVERVIEW, WAITING, batch_key, customer_key
from flows.desk.overview import render_overview
from flows.desk.story import render_story
from flows.desk.waiting import render_waiting
from store.engine import time_of
from store.figures import pages

LARGEST = 1_000_000
"""Bytes of one page. Prefect repeats it in an event, escaped, and takes no event of more than 1.5 million."""

T = TypeVar("T")
Render = Callable[[Engine, datetime, Forms], str]

_AS_OF = re.compile(r"^As of [\d: -]+ UTC\.", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Page:
    """One page: its key, what it is in a few words, and how it is made."""

    key: str
    description: str
    render: Render


class PageTooLarge(RuntimeError):
    """A page is larger than Prefect takes."""


def overview_page() -> Page:
    """Return the page of where everybody stands."""
    return Page(
        OVERVIEW,
        "Where everybody stands",
        lambda engine, now, forms: render_overview(pages.overview(engine, now), forms),
    )


def waiting_page() -> Page:
    """Return the page of who waits."""
    return Page(
        WAITING,
        "Who waits, and for what",
        lambda engine, now, forms: render_waiting(pages.waiting_list(engine, now), forms),
    )


def batch_page(name: str) -> Page:
    """Return the page of one batch."""
    return Page(
        batch_key(name),
        "One batch: its funnel, and its failures by reason",
        lambda engine, now, forms: render_batch(pages.batch_figures(engine, name, now), forms),
    )


def customer_page(username: str) -> Page:
    """Return the page of one customer."""
    return Page(
        customer_key(username),
        "One customer's story",
        lambda engine, now, forms: render_story(pages.customer_figures(engine, username, now), forms),
    )


async def publish(
    engine: Engine,
    wanted: Sequence[Page],
    *,
    in_thread: Callable[..., Awaitable[str]] = asyncio.to_thread,
    anew: bool = False,
) -> None:
    """Publish ``wanted`` from within a flow run; ``anew`` also where nothing has changed, to show them on the run.

    Raises :class:`store.finding.NotFound`, :class:`PageTooLarge`, and what the database or Prefect fails with.
    """
    async with get_client() as client:
        forms = NO_FORMS
        with suppress(Exception):  # a page without links says which command acts
            forms = await registered_forms(client)
        for page in wanted:
            markdown = await in_thread(_made, engine, page, forms)
            if anew or not await _brought_up_to_date(client, page.key, markdown):
                await acreate_markdown_artifact(markdown=markdown, key=page.key, description=page.description)


def _made(engine: Engine, page: Page, forms: Forms) -> str:
    markdown = page.render(engine, time_of(engine), forms)
    if len(markdown.encode()) > LARGEST:
        raise PageTooLarge(f"the page {page.key} has {len(markdown.encode()):,} bytes, and Prefect takes {LARGEST:,}")
    return markdown


async def _brought_up_to_date(client: PrefectClient, key: str, markdown: str) -> bool:
    """Write the time into the latest page of that key if it says the same otherwise; tell whether it does."""
    found = await client.read_artifacts(
        artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])),
        sort=ArtifactSort.UPDATED_DESC,
        limit=1,
    )
    if not found or not isinstance(found[0].data, str) or _timeless(found[0].data) != _timeless(markdown):
        return False
    await client.update_artifact(found[0].id, ArtifactUpdate(data=markdown))
    return True


def _timeless(markdown: str) -> str:
    return _AS_OF.sub("", markdown, count=1)
