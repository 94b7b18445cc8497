"""The three flows. All of them are the same loop, over a batch, over everything that is due, or over one customer."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed, Failed

from flows.garbage import calm_collector
from flows.loop import Driven, Loop
from flows.receive import receive_customer, receive_list
from flows.resources import RESOURCES, Resources, open_resources
from flows.settings import Settings
from flows.tally import Tally, describe
from flows.tasks import run_task
from states.failures import Halted
from store.records import Page, Scope
from store.runs import begin_run, update_run
from store.views import find_batch, find_customer


@dataclass(slots=True)
class Watcher:
    """Whoever started a flow in this process: is told what happens, and may ask it to stop."""

    on_page: Callable[[Tally], None] | None = None
    on_stop: Callable[[asyncio.Event], None] | None = None
    """Is given the event that ends the run cleanly."""
    driven: Driven | None = None
    calls: int = 0
    task_runs: int = 0


WATCHER: ContextVar[Watcher | None] = ContextVar("watcher", default=None)


@flow(name="onboard-customers", flow_run_name="onboard {batch}", retries=0, persist_result=False)
async def onboard_customers(list_path: str | None = None, batch: str | None = None) -> State[None]:
    """Take a list in and bring every customer on it as far as they can go for now.

    Args:
        list_path: a CSV or JSONL file that this process can read; without it, the batch was taken in before.
        batch: the batch's name; by default the list's file name.
    """
    name = batch or (Path(list_path).stem if list_path else None)
    if name is None:
        return Failed(name="Nothing to do", message="give a list_path or a batch")
    async with _resources() as resources:
        if list_path is not None:
            await receive_list(resources, Path(list_path), name)
        batch_id = await resources.in_thread(find_batch, resources.engine, name)
        return await _drive(resources, Scope(batch_id=batch_id))


@flow(name="resume-onboardings", retries=0, persist_result=False)
async def resume_onboardings(batch: str | None = None) -> State[None]:
    """Go on with whatever is due, of one batch or of all: retries, consents, answers, what a dead worker held.

    Args:
        batch: only this batch.
    """
    async with _resources() as resources:
        batch_id = await resources.in_thread(find_batch, resources.engine, batch) if batch else None
        return await _drive(resources, Scope(batch_id=batch_id))


@flow(name="onboard-customer", flow_run_name="onboard {username}", retries=0, persist_result=False)
async def onboard_customer(username: str, integration: str, full_name: str = "") -> State[None]:
    """Onboard one customer now. For an app that asks for auth values use a list: they do not belong into parameters.

    Args:
        username: our key for the customer.
        integration: the integration's id, label or connector.
        full_name: the customer's name.
    """
    async with _resources() as resources:
        await receive_customer(resources, username, integration, full_name)
        customer_id = await resources.in_thread(find_customer, resources.engine, username)
        return await _drive(resources, Scope(customer_id=customer_id))


@asynccontextmanager
async def _resources() -> AsyncIterator[Resources]:
    async with open_resources(Settings()) as resources:
        token = RESOURCES.set(resources)
        try:
            yield resources
        finally:
            RESOURCES.reset(token)


async def _drive(resources: Resources, scope: Scope) -> State[None]:
    watcher = WATCHER.get() or Watcher()
    if watcher.on_stop is not None:
        watcher.on_stop(resources.stop)

    async def move_page(page: Page) -> Tally:
        tally = await run_task(page)
        if watcher.on_page is not None:
            watcher.on_page(tally)
        return tally

    run_id = await resources.in_thread(begin_run, resources.engine, scope, resources.clock.now())
    loop = Loop(resources, scope, move_page)
    try:
        with calm_collector():
            driven = await loop.run()
    except Halted as halted:
        return Failed(name="Halted", message=halted.sentence)
    finally:
        watcher.calls, watcher.task_runs, watcher.driven = resources.alloy.calls, loop.driven.pages, loop.driven
        await resources.in_thread(
            update_run, resources.engine, run_id, calls=resources.alloy.calls, seconds=loop.driven.seconds
        )
    if driven.interrupted:
        return Cancelled(name="Interrupted", message=describe(driven.tally))
    return Completed(name=describe(driven.tally), message=_ahead(driven))


def _ahead(driven: Driven) -> str:
    if driven.next_due_at is None:
        return "Nothing falls due by itself any more."
    return f"The next one falls due at {driven.next_due_at:%Y-%m-%d %H:%M:%S} UTC."
