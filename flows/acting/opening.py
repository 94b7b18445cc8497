"""What the forms work with: the database and its clock, and not the client, for no form calls Alloy."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from sqlalchemy import Engine

from flows.settings import Settings, not_shared
from states.failures import Halted
from states.holds import Reason
from store.engine import make_engine, migrate, time_of


@asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[Engine]:
    """Open the database, its tables up to date, and close it with the block.

    Raises :class:`states.failures.Halted` where a database of this machine's own would be used.
    """
    missing = [name for name in settings.of_this_machine if name == "ONBOARD_DATABASE_URL"]
    if settings.onboard_shared and missing:
        raise Halted(Reason.not_shared, not_shared(missing))
    engine = make_engine(settings.database_url)
    try:
        await asyncio.to_thread(migrate, engine)
        yield engine
    finally:
        engine.dispose()


async def time_by(engine: Engine) -> datetime:
    """Return the time by the database's clock: one that all workers reckon their leases by (D10)."""
    return await asyncio.to_thread(time_of, engine)
