"""The flows that publish pages by themselves: all of them now and then, or one because somebody asks for it.

They only read, so they need no API key and disturb nobody who is at work.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed
from sqlalchemy import Engine

from flows.desk.keys import address
from flows.desk.publishing import Page, batch_page, customer_page, overview_page, publish, waiting_page
from flows.overdue import cancel_overdue
from flows.settings import Settings, not_shared
from states.failures import Halted
from states.holds import Reason
from store.engine import make_engine, migrate
from store.finding import NotFound


def _run_name() -> str:
    parameters = flow_run.parameters
    return f"show {parameters.get('username') or parameters.get('batch') or 'everybody'}"


@flow(name="refresh-desk", flow_run_name=_run_name, retries=0, persist_result=False)
async def refresh_desk() -> State[None]:
    """Bring the overview and the list of who waits up to date."""
    state = await _shown([overview_page(), waiting_page()], anew=False)
    await cancel_overdue(before=datetime.now(UTC))
    return state


@flow(name="show-customer", flow_run_name=_run_name, retries=0, persist_result=False)
async def show_customer(username: str) -> State[None]:
    """Publish one customer's story: the timeline, the calls and their outcomes, what is waited for, and what is next.

    Args:
        username: Your key for the customer, for example their e-mail address.
    """
    return await _shown([customer_page(username)], anew=True)


@flow(name="show-batch", flow_run_name=_run_name, retries=0, persist_result=False)
async def show_batch(batch: str) -> State[None]:
    """Publish the page of one batch: its funnel, and its failures by reason.

    Args:
        batch: The batch's name.
    """
    return await _shown([batch_page(batch)], anew=True)


async def _shown(wanted: Sequence[Page], *, anew: bool) -> State[None]:
    try:
        async with _opened() as engine:
            await publish(engine, wanted, anew=anew)
    except Halted as halted:
        return Failed(name="Halted", message=halted.sentence)
    except NotFound as missing:
        return Failed(name="Not found", message=str(missing))
    return Completed(message=f"Published: {', '.join(address(page.key) for page in wanted)}")


@asynccontextmanager
async def _opened() -> AsyncIterator[Engine]:
    """Open the database. Raises :class:`Halted` where one of this machine's own would be used against the settings."""
    settings = Settings()
    if settings.onboard_shared and (missing := settings.of_this_machine):
        raise Halted(Reason.not_shared, not_shared(missing))
    engine = make_engine(settings.database_url)
    try:
        await asyncio.to_thread(migrate, engine)
        yield engine
    finally:
        await asyncio.to_thread(engine.dispose)
