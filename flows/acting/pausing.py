"""A pause that ends by itself, and not red: where nobody fills a form in, the flow goes on without an answer.

Prefect fails a run for good whose pause has timed out. So Prefect is told a later time than the one that is waited for.
"""

import asyncio
from typing import TypeVar

from prefect.client.orchestration import get_client
from prefect.flow_runs import apause_flow_run
from prefect.input import RunInput
from prefect.input.run_input import keyset_from_base_key
from prefect.runtime import flow_run

Form = TypeVar("Form", bound=RunInput)

POLL_SECONDS = 3
"""How often a paused run asks Prefect whether it was resumed."""
_LONGER_SECONDS = 600


class Interrupted(Exception):
    """The run was asked to end while it was paused."""


async def ask(form: type[Form], stop: asyncio.Event, *, key: str, seconds: float) -> Form | None:
    """Pause this run until ``form`` is filled in; None if nobody does within ``seconds``.

    ``key`` tells this pause from the run's others. Raises :class:`Interrupted` once ``stop`` is set.
    """
    pausing = asyncio.ensure_future(
        apause_flow_run(
            wait_for_input=form, timeout=round(seconds) + _LONGER_SECONDS, poll_interval=POLL_SECONDS, key=key
        )
    )
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({pausing, stopping}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if pausing.done():
            return pausing.result()
    finally:
        for one in (pausing, stopping):
            one.cancel()
        await asyncio.gather(pausing, stopping, return_exceptions=True)
    if stop.is_set():
        raise Interrupted
    # Whoever filled it in just now was told that it was accepted.
    return await form.aload(keyset_from_base_key(f"paused-{key}")) if await _was_resumed() else None


async def _was_resumed() -> bool:
    async with get_client() as client:
        state = (await client.read_flow_run(flow_run.id)).state
    return state is not None and state.is_running()
