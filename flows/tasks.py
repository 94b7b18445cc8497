"""The Prefect tasks: one a trigger, each moving a page.

They are awaited directly, never submitted: a submitted task costs ten times as much and buys nothing, since the page
is the unit of parallel work. Their parameters are a page's key and a name for people; their result is a named
state.
"""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed, Failed

from flows.alloy.counted import counted
from flows.desk.words import count
from flows.labels import tag_task_run
from flows.moving import move_page
from flows.resources import RESOURCES, Resources
from flows.run_log import write_in_run_log
from flows.tally import Tally, Verdict, describe
from states.failures import Halted
from states.stage import Trigger
from states.transitions import BY_SOURCE, BY_TRIGGER
from store.records import Page

PageTask = Task[[str, str], Coroutine[Any, Any, State[None]]]


def _task_for(trigger: Trigger) -> PageTask:
    transition = BY_TRIGGER[trigger]

    @task(
        name=trigger.value,
        description=f"{transition.source} → {transition.dest}: {transition.call}",
        task_run_name=trigger.value + " · {customers}",
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=0,
    )
    async def move(page: str, customers: str) -> State[None]:
        resources = RESOURCES.get()
        moved, began = resources.pages[page], time.monotonic()
        with counted() as sent:
            state = await _moved(moved, resources)
        took = f"{time.monotonic() - began:.1f} s, {count(sent.calls, 'call')}"
        write_in_run_log(f"{trigger} · {customers}: {state.message} ({took})")
        tag_task_run(moved)
        return state

    return move


TASKS: dict[Trigger, PageTask] = {trigger: _task_for(trigger) for trigger in Trigger}


async def run_task(page: Page) -> Tally:
    """Move ``page`` in a task run of its own; return what came of its records.

    Raises :class:`states.failures.Halted` when no record can be moved by anybody.
    """
    resources = RESOURCES.get()
    await TASKS[BY_SOURCE[page.stage].trigger](page.key, name_page(page))
    outcome = resources.outcomes.pop(page.key, None)
    if outcome is None:
        raise asyncio.CancelledError
    if isinstance(outcome, Halted):
        raise outcome
    return outcome


async def _moved(page: Page, resources: Resources) -> State[None]:
    """Move the page; return how its task run ends: red only where somebody must act, and never with a traceback."""
    try:
        tally = await move_page(page, resources)
    except Halted as halted:
        resources.outcomes[page.key] = halted
        first, resources.halted = not resources.halted, True
        if first:
            return Failed(name="Halted", message=halted.sentence)
        return Completed(name="Given back", message="given back, since the run is halted")
    except asyncio.CancelledError:  # goes on once Prefect was told, see `run_task`
        return Cancelled(name="Given back", message="cut off and given back: what became of its calls is looked up")
    resources.outcomes[page.key] = tally
    return Completed(name=_state_name(tally), message=describe(tally))


def name_page(page: Page) -> str:
    """Name a page by its customer, or by its first one and the number of the others."""
    first, others = page.records[0].username, len(page.records) - 1
    return f"{first} and {others} more" if others else first


def _state_name(tally: Tally) -> str:
    return "Moved" if set(+tally) <= {Verdict.moved} else describe(tally)
