"""Our records say that a run is at work while it is, and what it has cost by then.

A killed run's calls are counted, too; and of runs that would go on with everything that is due, one that would be one
too many is told. Prefect's own limit keeps its places in its server's memory: a restart there ends every run that has
one, in the middle of its calls.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from sqlalchemy.exc import DBAPIError

from flows.resources import Resources
from store.records import Scope
from store.runs import begin_run, count_sweeps_before, update_run


@asynccontextmanager
async def at_work(resources: Resources, scope: Scope, seconds: Callable[[], float]) -> AsyncIterator[int]:
    """Note a run over ``scope`` as at work until the end of the block; give its id.

    ``seconds`` tells how long it has been working so far.
    """
    clock = resources.clock
    run_id = await resources.in_thread(begin_run, resources.engine, scope, clock.now(), worker=resources.worker)

    async def note(*, ended: bool) -> None:
        await resources.in_thread(
            update_run,
            resources.engine,
            run_id,
            clock.now(),
            calls=resources.alloy.calls,
            seconds=seconds(),
            ended=ended,
        )

    async def keep_noting() -> None:
        while True:
            await asyncio.sleep(resources.lease.total_seconds() / 3)
            with suppress(DBAPIError):  # told the next time
                await note(ended=False)

    noting = asyncio.create_task(keep_noting(), name="run at work")
    try:
        yield run_id
    finally:
        noting.cancel()
        await asyncio.gather(noting, return_exceptions=True)
        await note(ended=True)


async def is_one_too_many(resources: Resources, run_id: int, at_once: int) -> bool:
    """Tell whether so many runs go on with everything that is due already, without the run ``run_id``.

    A dead one counts until its leases run out: what it held cannot be claimed before.
    """
    before = await resources.in_thread(
        count_sweeps_before,
        resources.engine,
        run_id,
        resources.worker,
        seen_since=resources.clock.now() - resources.lease,
    )
    return before >= at_once
