"""What a flow run works with: whose clock it goes by, and how it is closed."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

import pytest
from sqlalchemy import Engine, text

from flows.resources import open_resources
from store.engine import reading
from tests.flows.world import World, on_sqlite

HOURS = timedelta(hours=3)
A_MOMENT = timedelta(minutes=1)


@on_sqlite
async def test_the_databases_clock_decides_whatever_the_machines_own_says(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.resources.time_of", lambda _: datetime.now(UTC) + HOURS)
    async with World(database_url, tmp_path) as world, open_resources(world.settings) as resources:
        assert abs(resources.clock.now() - datetime.now(UTC) - HOURS) < A_MOMENT


@on_sqlite
async def test_the_databases_clock_is_followed_when_it_is_set(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = HOURS
    monkeypatch.setattr("flows.resources.time_of", lambda _: datetime.now(UTC) + ahead)
    world = World(database_url, tmp_path)
    world.lease_seconds = 2  # it is looked at again three times a lease
    async with world, open_resources(world.settings) as resources:
        ahead = 2 * HOURS

        async with asyncio.timeout(10):
            while abs(resources.clock.now() - datetime.now(UTC) - ahead) > A_MOMENT:  # noqa: ASYNC110 - in a thread
                await asyncio.sleep(0.01)


@on_sqlite
async def test_a_thread_that_is_still_at_work_is_waited_for_and_holds_nobody_up(
    database_url: str, tmp_path: Path
) -> None:
    begun, let_go, seen = Event(), Event(), []

    def ask(engine: Engine) -> None:
        begun.set()
        assert let_go.wait(10)
        with reading(engine) as connection:
            seen.append(connection.scalar(text("SELECT 1")))

    async def live() -> Engine:
        async with open_resources(world.settings) as resources:
            asking = asyncio.ensure_future(resources.in_thread(ask, resources.engine))
            await asyncio.to_thread(begun.wait)
            asking.cancel()
            with suppress(asyncio.CancelledError):
                await asking
            return resources.engine

    async with World(database_url, tmp_path) as world:
        living = asyncio.create_task(live())
        await asyncio.to_thread(begun.wait)
        done, _ = await asyncio.wait({living}, timeout=0.3)
        let_go.set()  # nobody could, were the event loop waiting for the thread
        engine = await living

    assert not done
    assert seen == [1]
    assert engine.pool.checkedin() == 0  # type: ignore[attr-defined]  # every pool that keeps connections has it
