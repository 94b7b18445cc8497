"""The Prefect tasks: one a trigger, each moving a page.

They are awaited directly, never submitted: a submitted task costs ten times as much and buys nothing, since the page
is the unit of parallel work. Their parameters are a page's key and a name for people; their result is a named
state.
"""

from collections.abc import Coroutine
from typing import Any

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.moving import move_page
from flows.resources import RESOURCES
from flows.tally import Tally, Verdict, describe
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
        del customers  # for the run's name
        resources = RESOURCES.get()
        tally = await move_page(resources.pages[page], resources)
        resources.tallies[page] = tally
        return Completed(name=_state_name(tally), message=describe(tally))

    return move


TASKS: dict[Trigger, PageTask] = {trigger: _task_for(trigger) for trigger in Trigger}


async def run_task(page: Page) -> Tally:
    """Move ``page`` in a task run of its own; return what came of its records."""
    resources = RESOURCES.get()
    await TASKS[BY_SOURCE[page.stage].trigger](page.key, name_page(page))
    return resources.tallies.pop(page.key)


def name_page(page: Page) -> str:
    """Name a page by its customer, or by its first one and the number of the others."""
    first, others = page.records[0].username, len(page.records) - 1
    return f"{first} and {others} more" if others else first


def _state_name(tally: Tally) -> str:
    return "Moved" if set(+tally) <= {Verdict.moved} else describe(tally)
