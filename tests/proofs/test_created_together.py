"""Users who are created by one call for all of them, with the process killed at every boundary on the way there.

What it shows beside the sweep of one customer's way: whatever of the call's outcome was recorded, and of whomever, the
next process makes one user of each, and none of them is created again.
"""

from collections.abc import Callable
from datetime import timedelta
from itertools import takewhile
from pathlib import Path

from sqlalchemy import select

from states.stage import Stage
from store.engine import reading
from store.models import INTENT
from tests.flows.whole_pages import WholePages
from tests.flows.world import StillClock, World
from tests.proofs.boundaries import Boundary, Kind, Way
from tests.proofs.walking import ANN, WITH_AN_API_KEY, prepare, run

RecordProperty = Callable[[str, object], None]

OTHERS = ("bob@example.test", "cyd@example.test", "dan@example.test")


def on_the_list(world: World) -> None:
    prepare(world, WITH_AN_API_KEY)
    for name in OTHERS:
        world.add(name)


def is_about_users(boundary: Boundary) -> bool:
    return "credentials" not in boundary.what


async def to_the_end(world: World) -> None:
    world.clock.ahead += timedelta(seconds=world.lease_seconds + 1)
    await world.run_to_the_end()
    ledger = world.ledger()
    assert set(ledger.users_of) == {ANN, *OTHERS}
    assert (ledger.users, ledger.duplicate_user_creates) == (4, 0)
    assert (ledger.credentials_created, ledger.completions, ledger.orphans) == (4, 4, 0)
    assert world.standing().stages[Stage.completed] == 4
    with reading(world.engine) as connection:
        assert connection.scalars(select(INTENT.c.id).where(INTENT.c.closed_at.is_(None))).all() == []


async def test_a_process_may_be_killed_wherever_users_are_created_together(
    database_url: str, tmp_path: Path, record_property: RecordProperty
) -> None:
    async with World(database_url, tmp_path, clock=StillClock()) as world:
        world.pages, world.users_worth_a_batch = WholePages, 4
        await run(world, Way())  # the tables are made
        undisturbed = Way()
        on_the_list(world)
        await run(world, undisturbed)
        await to_the_end(world)
        on_the_way = list(takewhile(is_about_users, undisturbed.crossed))
        assert Boundary(Kind.after_answer, "POST /users/batch") in on_the_way

        for number in range(1, len(on_the_way) + 1):
            on_the_list(world)
            await run(world, Way(kills={number}))
            await to_the_end(world)

        record_property("proof", f"killed at each of {len(on_the_way)} boundaries, four users at once")
