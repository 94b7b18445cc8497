"""The three flows. All of them are the same loop, over a batch, over everything that is due, or over one customer."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed, Failed
from sqlalchemy import Engine

from flows.at_work import at_work, is_one_too_many
from flows.desk.keeping import kept_desk
from flows.events import announcing, tell_of_halt, tell_of_resuming
from flows.fetching import NotFetched, fetched, is_url, name_of
from flows.garbage import calm_collector
from flows.labels import labelled
from flows.loop import Driven, Loop
from flows.overdue import NOT_NEEDED, cancel_overdue
from flows.receive import ListRefused, describe_left_out, receive_customer, receive_list
from flows.resources import RESOURCES, Resources, open_resources
from flows.settings import Settings
from flows.stopping import stopped_by_signals
from flows.tally import Tally, describe
from flows.tasks import run_task
from states.failures import Halted
from store.finding import NotFound, find_batch, find_customer
from store.pausing import go_on
from store.records import Page, Scope
from store.standstill import paused_batches, quarantined_cohorts


@dataclass(slots=True)
class Watcher:
    """Whoever started a flow in this process: is told what happens, and may ask it to stop."""

    on_page: Callable[[Tally], None] | None = None
    on_stop: Callable[[asyncio.Event], None] | None = None
    """Is given the event that ends the run cleanly."""
    on_end: Callable[[], None] | None = None
    """Is called when the flow has come to its end, before Prefect is told so."""
    ended: State[None] | Exception | None = None
    """How it did: the state, or what it failed with. Whoever watches need not depend on Prefect's having been told."""
    driven: Driven | None = None
    calls: int = 0
    task_runs: int = 0


WATCHER: ContextVar[Watcher | None] = ContextVar("watcher", default=None)


def _run_name() -> str:
    """Name a run by what it was started for, so that an operator finds it in a list of runs."""
    parameters = flow_run.parameters
    path = parameters.get("list_path")
    what = parameters.get("username") or parameters.get("batch") or (_stem(path) if path else "all that is due")
    return f"{str(flow_run.flow_name or 'onboard').split('-')[0]} {what}"


def _stem(place: str) -> str:
    return Path(name_of(place)).stem


@flow(name="onboard-customers", flow_run_name=_run_name, retries=0, persist_result=False)
async def onboard_customers(
    list_path: str = "", batch: str = "", mapping: str = "", accept_valid: bool = False
) -> State[None]:
    """Take a list in and bring every customer on it as far as they can go for now.

    Args:
        list_path: CSV or JSONL file, by its path on the machine that runs it, or a URL (https://, s3:// and so on),
            never one with a password in it. Blank: the batch below goes on, which was taken in before.
        batch: The batch's name. Blank: the list's file name.
        mapping: JSON or TOML file with answers for everyone on the list, by its path or a URL. Blank: none.
        accept_valid: Takes the good rows in although others are faulty. Otherwise one fault refuses the whole list.
    """
    list_path, batch, mapping = list_path.strip(), batch.strip(), mapping.strip()
    if not list_path and not batch:
        return Failed(
            name="No list given", message="Run it once more and fill in list_path: the path or URL of a list."
        )
    name = batch or _stem(list_path)
    left_out: list[str] = []

    async def prepare(resources: Resources) -> Scope:
        if list_path:
            async with fetched(list_path) as path, fetched(mapping) as answers:
                received = await receive_list(
                    resources,
                    path,
                    name,
                    mapping=answers if mapping else None,
                    accept_valid=accept_valid,
                    references=not is_url(list_path),  # whoever can write there need not be whoever runs this
                )
            left_out.extend(describe_left_out(received.check))
        return Scope(batch_id=await resources.in_thread(find_batch, resources.engine, name))

    state = await _run(prepare, batch=name)
    return state.model_copy(update={"message": "\n".join([state.message or "", *left_out])}) if left_out else state


@flow(name="resume-onboardings", flow_run_name=_run_name, retries=0, persist_result=False)
async def resume_onboardings(batch: str = "", at_once: int = 0) -> State[None]:
    """Go on with whatever is due, of one batch or of all: retries, consents, answers, what a dead worker held.

    Args:
        batch: Only this batch; if it is paused, it goes on. Blank: all that is due.
        at_once: So many runs over all batches are enough. It is set by the deployment; leave it as it is.
    """
    batch = batch.strip()

    async def prepare(resources: Resources) -> Scope:
        if not batch:
            return Scope()
        scope = Scope(batch_id=await resources.in_thread(find_batch, resources.engine, batch))
        await resources.in_thread(go_on, resources.engine, scope.batch_id, resources.clock.now())
        return scope

    if batch:
        return await _run(prepare, batch=batch)
    state = await _run(prepare, at_once=at_once or None)
    if state.is_completed():
        await cancel_overdue(before=datetime.now(UTC))
    return state


@flow(name="onboard-customer", flow_run_name=_run_name, retries=0, persist_result=False)
async def onboard_customer(username: str, integration: str, full_name: str = "") -> State[None]:
    """Onboard one customer now.

    For an app that asks for an API key or other auth values use a list: whatever is written here, everybody can read
    who sees this page.

    Args:
        username: Your key for the customer, for example their e-mail address.
        integration: Its id, label or connector; the id if an app has several integrations.
        full_name: The customer's name. It may be left blank, and is no place for a key or a password.
    """

    async def prepare(resources: Resources) -> Scope:
        await receive_customer(resources, username, integration, full_name)
        return Scope(customer_id=await resources.in_thread(find_customer, resources.engine, username))

    return await _run(prepare)


async def _run(
    prepare: Callable[[Resources], Awaitable[Scope]], *, batch: str = "", at_once: int | None = None
) -> State[None]:
    """Run the flow, and let whoever watches know how it ended."""
    watcher = WATCHER.get() or Watcher()
    try:
        state = await _outcome(prepare, batch, at_once)
    except Exception as failure:
        watcher.ended = failure
        raise
    else:
        watcher.ended = state
        return state
    finally:
        if watcher.on_end is not None:
            watcher.on_end()


async def _outcome(prepare: Callable[[Resources], Awaitable[Scope]], batch: str, at_once: int | None) -> State[None]:
    """Open the resources, find out what is to be moved, and move it; what keeps us from it becomes a named state."""
    settings, scope = Settings(), Scope()
    try:
        async with open_resources(settings) as resources:
            token = RESOURCES.set(resources)
            try:
                scope = await prepare(resources)
                return await _drive(resources, scope, at_once, settings.onboard_alert_operators)
            finally:
                RESOURCES.reset(token)
    except Halted as halted:
        await tell_of_halt(settings, halted, scope.batch_id, batch)
        return Failed(name="Halted", message=halted.sentence)
    except ListRefused as refused:
        return Failed(name="List refused", message=refused.describe())
    except NotFetched as missing:
        return Failed(name="List refused", message=f"{missing}; nothing was taken in")
    except NotFound as missing:
        return Failed(name="Not found", message=str(missing))


async def _drive(resources: Resources, scope: Scope, at_once: int | None, most_for_operators: int) -> State[None]:
    watcher = WATCHER.get() or Watcher()
    signals: AbstractContextManager[None] = nullcontext()
    if watcher.on_stop is not None:
        watcher.on_stop(resources.stop)
    else:
        signals = stopped_by_signals(resources.stop)

    async def move_page(page: Page) -> Tally:
        await labels.begin(page)
        tally = await run_task(page)
        desk.note((record.batch_id for record in page.records), tally)
        if watcher.on_page is not None:
            watcher.on_page(tally)
        return tally

    loop = Loop(resources, scope, move_page)
    tell_of_resuming(scope)
    async with (
        kept_desk(resources, scope) as desk,
        labelled(resources, scope) as labels,
        at_work(resources, scope, lambda: loop.driven.seconds) as run_id,
    ):
        if at_once is not None:
            if await is_one_too_many(resources, run_id, at_once):
                return Cancelled(name=NOT_NEEDED, message="Enough other runs go on with all that is due.")
            await cancel_overdue(before=datetime.now(UTC), keep=at_once - 1)
        desk.begin()
        try:
            with signals, calm_collector():
                async with announcing(resources, scope, most_for_operators=most_for_operators):
                    driven = await loop.run()
        finally:
            watcher.calls, watcher.task_runs, watcher.driven = resources.alloy.calls, loop.driven.pages, loop.driven
    if driven.interrupted:
        return Cancelled(name="Interrupted", message=describe(driven.tally))
    held_back = await resources.in_thread(_held_back, resources.engine, scope.batch_id)
    return Completed(name=describe(driven.tally), message=" ".join([*held_back, _ahead(driven)]))


def _held_back(engine: Engine, batch_id: int | None) -> list[str]:
    cohorts, batches = quarantined_cohorts(engine, batch_id), paused_batches(engine, batch_id)
    return [
        *(f"{one.label} is held back at {one.stage}: most were refused ({one.reason})." for one in cohorts),
        *(f"Batch {one.batch} is paused: {one.why}." for one in batches),
    ]


def _ahead(driven: Driven) -> str:
    if driven.next_due_at is None:
        return "Nothing falls due by itself any more."
    return f"The next one falls due at {driven.next_due_at:%Y-%m-%d %H:%M:%S} UTC."
