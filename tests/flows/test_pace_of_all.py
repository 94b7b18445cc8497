"""Several workers of one database, each with its own connections, call one Alloy no faster than one may."""

import asyncio
from pathlib import Path

from deployments.sandbox.knobs import Knobs
from flows.loop import Driven
from flows.resources import open_resources
from states.pace import CATCH_UP
from tests.flows.world import World

RATE = 60.0
LATE = 0.5
"""So many seconds after its turn may a call arrive: its intent is written in between, on a busy machine."""


async def work(world: World) -> Driven:
    """Do what a process does, with the pace that all share."""
    async with open_resources(world.settings) as resources:
        return await world.loop(resources).run()


def most_within(times: list[float], seconds: float) -> int:
    return max(sum(1 for other in times if start <= other < start + seconds) for start in times)


async def test_three_workers_together_call_no_faster_than_the_rate_that_is_given(
    database_url: str, tmp_path: Path
) -> None:
    async with World(database_url, tmp_path) as world:
        world.rate = RATE
        for number in range(30):
            world.add(f"customer{number}@example.test")

        driven = await asyncio.gather(*(work(world) for _ in range(3)))

        arrived = [one.at / 1000 for one in world.sandbox.requests]
        assert world.ledger().installations_completed == 30
    assert len([one for one in driven if one.pages]) > 1
    assert most_within(arrived, 1) <= RATE * (1 + CATCH_UP + LATE) + 1


async def test_where_the_limit_is_unknown_it_is_found_by_all_together(database_url: str, tmp_path: Path) -> None:
    knobs = Knobs(rate_limit_per_s=50, rate_limit_burst=10, retry_after="absent")
    async with World(database_url, tmp_path, knobs=knobs) as world:
        world.rate = None
        for number in range(40):
            world.add(f"customer{number}@example.test")

        await asyncio.gather(*(work(world) for _ in range(2)))

        asked = list(world.sandbox.requests)
        assert world.ledger().installations_completed == 40
    refused = [one for one in asked if "429" in one.faults]
    accepted = sorted(one.at / 1000 for one in asked if "429" not in one.faults)
    assert most_within(accepted, 1) <= 50 + 10 + 1
    assert len(refused) < len(asked) / 10


async def test_what_alloy_tells_one_worker_to_wait_for_all_wait_for(database_url: str, tmp_path: Path) -> None:
    async with (
        World(database_url, tmp_path) as world,
        open_resources(world.settings) as one,
        open_resources(world.settings) as other,
    ):
        turn = await one.alloy.pacing.turn()
        await other.alloy.pacing.turn()
        one.alloy.pacing.refused(turn, retry_after=30)
        async with asyncio.timeout(10):
            while not other.alloy.pacing.paused_for():
                asking = asyncio.ensure_future(other.alloy.pacing.turn())
                await asyncio.wait({asking}, timeout=0.3)
                asking.cancel()

        assert other.alloy.pacing.paused_for() > 20
