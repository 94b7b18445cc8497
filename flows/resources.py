"""What a flow run works with, opened once: the database, the client, the vault, the recorder.

Tasks get ids as parameters and nothing else, since Prefect hashes, stores and shows parameters; they find the rest
here, through a context variable.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import TypeVar
from uuid import uuid4

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from flows.alloy.client import AlloyClient
from flows.alloy.dialects import Capabilities
from flows.alloy.transport import Transport
from flows.clock import Clock, FollowingClock
from flows.crowd import Crowd
from flows.heap import share_one_heap
from flows.pacing import Pacing
from flows.recorder import Recorder
from flows.settings import Settings, not_shared
from flows.shared_pacing import SharedPacing
from flows.tally import Tally
from states.failures import Halted
from states.holds import Reason
from states.pace import Block, News
from store.catalogue import Catalogue, load, load_capabilities, save_capabilities
from store.engine import make_engine, migrate, time_of
from store.leases import count_awaited_consents
from store.pace import account_of, exchange
from store.records import Page
from store.vault import Vault
from store.work import record_group
from store.writes import LeaseLost, Write

T = TypeVar("T")

USERS_WORTH_A_BATCH = 20
"""One call and one list of all users in place of so many calls: less would hardly be felt."""

_THREADS = 4


@dataclass(slots=True)
class Resources:
    """Everything that a step may use, and the pages that are being moved at this moment."""

    engine: Engine
    executor: Executor
    alloy: AlloyClient
    recorder: Recorder
    vault: Vault
    home: Path
    """The folder of what is not in the database: the key, and what faults of this program leave."""
    clock: Clock
    worker: str
    lease: timedelta
    call_deadline: timedelta
    concurrency: int
    random: Random
    catalogue: Catalogue
    crowd: Crowd
    catalogue_read_at: datetime | None = None
    """When this run last read the account's integrations from Alloy."""
    catalogue_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users_worth_a_batch: int = USERS_WORTH_A_BATCH
    """So many new users of one page are created by one call."""
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by whoever interrupts: nothing more is claimed, what is in flight is finished."""
    pages: dict[str, Page] = field(default_factory=dict)
    """By key: a task is given the key and finds the page here."""
    unfinished: dict[str, int] = field(default_factory=dict)
    """By key: how many of the page's records are still being worked on."""
    together: int = 0
    """How many of these one call each is under way for that creates the users of a whole page."""
    outcomes: dict[str, Tally | Halted] = field(default_factory=dict)
    """What came of each page: a task returns a state, and leaves its tally here, or why nobody can be moved."""
    halted: bool = False
    """Whether a page was told already that nothing can be moved."""

    async def in_thread(self, work: Callable[..., T], *arguments: object, **named: object) -> T:
        """Run a piece of the store in a worker thread, off the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self.executor, partial(work, *arguments, **named))


RESOURCES: ContextVar[Resources] = ContextVar("resources")


def worker_name() -> str:
    """Return a name by which an operator finds this process: host, process id, and what tells restarts apart."""
    return f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:6]}"


@asynccontextmanager
async def open_resources(
    settings: Settings,
    *,
    clock: Clock | None = None,
    pacing: Pacing | None = None,
    random: Random | None = None,
    transport: Transport | None = None,
    executor: Executor | None = None,
    users_worth_a_batch: int = USERS_WORTH_A_BATCH,
) -> AsyncIterator[Resources]:
    """Open everything for one flow run and close it afterwards; tables are brought up to date first.

    What passes time, draws lots, carries calls and runs the store can be handed in, and how many users are many; by
    default it is the real thing.
    Raises :class:`states.failures.Halted` without an API key, or where a database of this machine's own would be used.
    """
    if settings.alloy_api_key is None:
        raise Halted(Reason.unauthorized, "ALLOY_API_KEY is not set: put it into the environment or into .env")
    if settings.onboard_shared and (missing := settings.of_this_machine):
        raise Halted(Reason.not_shared, not_shared(missing))
    host = f"{settings.alloy_base_url} {settings.alloy_api_version}"
    worker = worker_name()
    async with _open_store(settings, executor) as (engine, executor):
        in_thread = partial(asyncio.get_running_loop().run_in_executor, executor)
        await in_thread(migrate, engine)
        learnt = await in_thread(load_capabilities, engine, host)
        capabilities = Capabilities.load(learnt)
        catalogue, waiting = await in_thread(_load, engine)

        def write_group(writes: Sequence[Write]) -> list[int | LeaseLost | None]:
            return record_group(engine, writes, worker=worker, now=common.now(), budget=settings.failure_budget)

        async with (
            _common_clock(clock, engine, executor, settings.lease) as common,
            _common_pace(pacing, settings, engine, executor, common) as pace,
            AlloyClient.open(
                base_url=settings.alloy_base_url,
                api_key=settings.alloy_api_key,
                dialect=settings.alloy_api_version,
                concurrency=settings.alloy_concurrency,
                pacing=pace,
                capabilities=capabilities,
                deadline=settings.call_deadline.total_seconds(),
                send_within=settings.send_within,
                now=common.now,
                transport=transport,
            ) as alloy,
            Recorder.open(write_group, executor) as recorder,
        ):
            yield Resources(
                engine=engine,
                executor=executor,
                alloy=alloy,
                recorder=recorder,
                vault=Vault.open(settings.onboard_secret_key, settings.onboard_home),
                home=settings.onboard_home,
                clock=common,
                worker=worker,
                lease=settings.lease,
                call_deadline=settings.call_deadline,
                concurrency=settings.alloy_concurrency,
                random=random or Random(),  # noqa: S311 - spreads waits, guards nothing
                catalogue=catalogue,
                crowd=Crowd(waiting, partial(in_thread, count_awaited_consents, engine), common.now),
                users_worth_a_batch=users_worth_a_batch,
            )
        if capabilities.save() != learnt:
            await in_thread(save_capabilities, engine, host, capabilities.save())


def _load(engine: Engine) -> tuple[Catalogue, int]:
    return load(engine), count_awaited_consents(engine)


@asynccontextmanager
async def _open_store(settings: Settings, handed_in: Executor | None) -> AsyncIterator[tuple[Engine, Executor]]:
    """Open the database and the threads that work on it.

    At the end the threads finish what they are at, without holding the event loop up, and only then the connections
    are closed: a thread would open a new one.
    """
    share_one_heap()
    engine = make_engine(settings.database_url, pool_size=_THREADS)
    executor = handed_in or ThreadPoolExecutor(_THREADS, thread_name_prefix="store")
    try:
        yield engine, executor
    finally:
        try:
            if handed_in is None:
                await asyncio.shield(asyncio.to_thread(executor.shutdown))
            else:
                handed_in.shutdown()
        finally:
            engine.dispose()


@asynccontextmanager
async def _common_clock(
    handed_in: Clock | None, engine: Engine, executor: Executor, lease: timedelta
) -> AsyncIterator[Clock]:
    """Give out the clock that all workers have in common, looked at again as often as leases are renewed."""
    if handed_in is not None:
        yield handed_in
        return
    clock = FollowingClock(partial(time_of, engine))
    in_thread = partial(asyncio.get_running_loop().run_in_executor, executor)
    await in_thread(clock.follow)

    async def follow_on() -> None:
        while True:
            await clock.sleep((lease / 3).total_seconds())
            with suppress(DBAPIError):  # what was seen last is good for some minutes more
                await in_thread(clock.follow)

    following = asyncio.create_task(follow_on(), name="clock")
    try:
        yield clock
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


@asynccontextmanager
async def _common_pace(
    handed_in: Pacing | None, settings: Settings, engine: Engine, executor: Executor, clock: Clock
) -> AsyncIterator[Pacing]:
    """Give out the turns that all workers of the database share."""
    if handed_in is not None:
        yield handed_in
        return
    key = settings.alloy_api_key.get_secret_value() if settings.alloy_api_key else ""
    account = account_of(settings.alloy_base_url, key)
    loop = asyncio.get_running_loop()

    async def fetch(news: News, wanted: int, now: float) -> Block:
        return await loop.run_in_executor(executor, exchange, engine, account, settings.alloy_rate, news, wanted, now)

    async with SharedPacing.open(fetch, clock=lambda: clock.now().timestamp(), sleep=clock.sleep) as shared:
        yield shared
