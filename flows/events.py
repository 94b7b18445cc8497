"""Prefect events about the business: what alerts are built on, and what Prefect's feed of events shows beside the runs.

A run reads off our tables what has changed, when it begins, now and then while it works, and at its end
(:mod:`store.news`). So no call waits for an event, and what came about while nobody was at work is told by whoever
works next.

**What is guaranteed**: no two runs tell one change, and a change is told once, for it is marked as told in our database
before it is sent. What is lost is lost: a run that is killed in between, or a Prefect that is away, leaves a change
untold. What lasts (a halt, a standstill, too many for operators) is therefore told again every day. The truth is in our
records, and `onboard status` shows it.

An event names batches, integrations and numbers; no customer, no auth value, no link.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from prefect.events import Event, emit_event
from prefect.events.clients import get_events_client
from prefect.logging import get_run_logger
from pydantic import JsonValue
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from flows.resources import Resources
from flows.settings import DATABASE, Settings
from states.failures import Halted
from store.engine import make_engine, migrate, time_of
from store.news import (
    News,
    NewsKind,
    changes_of_batches,
    changes_of_quarantines,
    conditions,
    halt,
    is_over,
    leftovers_by_batch,
    tell,
)
from store.records import Scope
from store.standing import counts_of_batch

PREFIX = "onboarding."
EVERYTHING = f"{PREFIX}all"
"""The resource of what concerns no single batch."""
RESUMING = f"{PREFIX}resuming"
"""Told by every run that goes on with whatever is due, when it begins and now and then: its absence is an alert."""

EXPECTED = f"{PREFIX}resume.expected"
"""Told when the alerts are installed: from then on, too, a resume can be missed."""

_THOROUGH_EVERY = 300.0
"""Seconds between looks that count many records."""


def name_of(kind: NewsKind) -> str:
    """Return the name of the event."""
    return f"{PREFIX}{kind.value}"


@asynccontextmanager
async def announcing(resources: Resources, scope: Scope, *, most_for_operators: int) -> AsyncIterator[None]:
    """Tell what has changed, at the beginning of the block, now and then in it, and at its end unless it fails.

    Whatever keeps us from telling is written into the run's log, and keeps nobody from being onboarded.
    """

    async def look(*, thorough: bool) -> None:
        try:
            for event in await resources.in_thread(_untold, resources, most_for_operators if thorough else None):
                event.send()
        except DBAPIError:
            return  # away for long: told by whoever looks next
        except Exception as failure:
            with suppress(Exception):
                # By its kind alone: a text may hold what a customer's list does.
                get_run_logger().warning("what has changed could not be told: %s", type(failure).__name__)

    async def keep_looking() -> None:
        every = resources.lease.total_seconds() / 3
        looks = max(round(_THOROUGH_EVERY / every), 1)
        number = 0
        while True:
            await asyncio.sleep(every)
            number += 1
            await look(thorough=number % looks == 0)
            if number % looks == 0:
                tell_of_resuming(scope)

    await look(thorough=True)
    looking = asyncio.create_task(keep_looking(), name="announcing")
    try:
        yield
        if resources.alloy.calls:
            with suppress(DBAPIError):
                await resources.in_thread(is_over, resources.engine, ["halted"])
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
    await look(thorough=True)


def tell_of_resuming(scope: Scope) -> None:
    """Tell that a run goes on with whatever is due, if this is one."""
    if scope == Scope():
        emit_event(RESUMING, resource={"prefect.resource.id": EVERYTHING})


async def tell_that_resumes_are_expected() -> None:
    """Tell that somebody is there who goes on with whatever is due; when this returns, Prefect has been told.

    A Prefect that takes no events fails nobody: the alert that fires again begins to count by itself.
    """
    with suppress(Exception):
        async with get_events_client(reconnection_attempts=2) as prefect:
            await prefect.emit(Event(event=EXPECTED, resource={"prefect.resource.id": EVERYTHING}))


async def tell_of_halt(settings: Settings, halted: Halted, batch_id: int | None = None, batch: str = "") -> None:
    """Tell that nothing can go on until somebody mends it, also where a run could not even open what it works with.

    Only a machine that may not use a database of its own tells nobody: it has no place to note that it did, and would
    do so every five minutes.
    """
    if settings.onboard_shared and DATABASE in settings.of_this_machine:
        return
    with suppress(DBAPIError):
        for one in await asyncio.to_thread(_untold_halt, settings, halted, batch_id, batch):
            Happening.of(one).send()


@dataclass(frozen=True, slots=True)
class Happening:
    """One event, ready to be sent."""

    name: str
    resource: dict[str, str]
    payload: dict[str, JsonValue]

    @classmethod
    def of(cls, news: News, **more: JsonValue) -> "Happening":
        """Say it as Prefect wants it said; ``more`` are facts beside those of the news."""
        facts: dict[str, JsonValue] = {**news.facts, **more}
        if news.batch:
            facts["batch"] = news.batch
        facts["sentence"] = _SENTENCES[news.kind].format_map(facts)
        return cls(name_of(news.kind), _resource(news), facts)

    def send(self) -> None:
        """Hand it to Prefect, which sends it in the background."""
        emit_event(self.name, resource=self.resource, payload=self.payload)


def _untold(resources: Resources, most_for_operators: int | None) -> list[Happening]:
    """Return what nobody has told yet; with a threshold also what takes counting many records."""
    engine, now = resources.engine, resources.clock.now()
    found = [*changes_of_batches(engine), *changes_of_quarantines(engine)]
    if most_for_operators is not None:
        amiss, fine = conditions(engine, now, most_for_operators=most_for_operators)
        is_over(engine, fine)
        found += [*leftovers_by_batch(engine), *amiss]
    return [Happening.of(one, **_counts(engine, one)) for one in tell(engine, found, now)]


def _untold_halt(settings: Settings, halted: Halted, batch_id: int | None, batch: str) -> list[News]:
    engine = make_engine(settings.database_url)
    try:
        migrate(engine)
        now = time_of(engine)
        return tell(engine, [halt(now, halted.reason.value, halted.sentence, batch_id, batch)], now)
    finally:
        engine.dispose()


def _counts(engine: Engine, news: News) -> dict[str, int]:
    if news.kind in (NewsKind.batch_started, NewsKind.batch_finished) and news.batch_id is not None:
        return counts_of_batch(engine, news.batch_id)
    return {}


def _resource(news: News) -> dict[str, str]:
    if news.batch_id is not None:
        return {"prefect.resource.id": f"{PREFIX}batch.{news.batch_id}", "prefect.resource.name": news.batch}
    if news.kind in (NewsKind.quarantine_opened, NewsKind.quarantine_closed):
        number = news.subject.split("/")[1]
        return {
            "prefect.resource.id": f"{PREFIX}quarantine.{number}",
            "prefect.resource.name": str(news.facts["integration"]),
        }
    return {"prefect.resource.id": EVERYTHING}


_SENTENCES = {
    NewsKind.batch_started: "Batch {batch} was begun: {total} onboardings.",
    NewsKind.batch_finished: "Batch {batch} is finished: {completed} of {total} onboardings are completed.",
    NewsKind.batch_paused: "Batch {batch} is paused: {why}. To go on: onboard resume --batch.",
    NewsKind.quarantine_opened: "{integration} is held back at {stage}: most were refused ({reason}).",
    NewsKind.quarantine_closed: "{integration} goes on at {stage}.",
    NewsKind.leftover_suspected: "{count} calls of batch {batch} may have left something at Alloy: onboard leftovers.",
    NewsKind.halted: "Nothing can go on until it is mended: {sentence}",
    NewsKind.stalled: "Nothing was completed for an hour although work is due: onboard status.",
    NewsKind.operator_needed: "{count} onboardings wait for an operator, more than {threshold}: onboard status.",
}
