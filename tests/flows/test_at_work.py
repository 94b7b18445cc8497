"""What a run has cost is noted while it is at work: one that is killed has told by then."""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from flows.at_work import at_work
from flows.resources import Resources, open_resources
from store.engine import reading
from store.models import RUN
from store.records import Scope
from tests.flows.world import World

SECONDS = 12.5


def noted(world: World) -> list[Any]:
    """Return what is noted of each run, the first one first."""
    with reading(world.engine) as connection:
        return list(connection.execute(select(RUN).order_by(RUN.c.id)))


async def noted_again(world: World) -> Any:
    """Return what the one run says next that it has cost, or said last if it says nothing for several leases."""
    [before] = noted(world)
    with suppress(TimeoutError):
        async with asyncio.timeout(4 * world.lease_seconds):
            while noted(world)[0].seen_at == before.seen_at:  # noqa: ASYNC110 - in a thread
                await asyncio.sleep(0.01)
    return noted(world)[0]


@pytest.fixture
async def world(database_url: str, tmp_path: Path) -> Any:
    async with World(database_url, tmp_path) as world:
        world.lease_seconds = 2.0  # it is noted three times a lease
        yield world


async def call(resources: Resources) -> None:
    await resources.alloy.some_user()


async def test_while_a_run_is_at_work_its_calls_are_noted_so_that_a_killed_one_has_told_them(world: World) -> None:
    async with open_resources(world.settings) as resources, at_work(resources, Scope(), lambda: SECONDS):
        await call(resources)
        calls = resources.alloy.calls

        run = await noted_again(world)

        assert calls >= 1
        assert (run.calls, run.seconds, run.ended_at) == (calls, SECONDS, None)


async def test_a_run_that_fails_is_noted_as_ended_with_all_that_it_cost(world: World) -> None:
    async with open_resources(world.settings) as resources:

        async def fail() -> None:
            async with at_work(resources, Scope(), lambda: SECONDS):
                await call(resources)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fail()
        [run] = noted(world)
        assert (run.calls, run.seconds) == (resources.alloy.calls, SECONDS)
        assert run.ended_at is not None
