"""One customer's way to the end, with every boundary between us, the database and Alloy hit in turn.

What this form can show: wherever a process dies, what is then in the database and at Alloy is enough for the next one
to bring the customer to the end with one of everything. Every boundary is hit, by its number, and not only those that
a timer happens to hit. What it cannot show: that the operating system's own kill does no more harm than this one
(`tests/journeys/test_killed.py` kills real processes), and what happens when several workers are about, or when Alloy
carries a dead process's call out after the next one has looked for it (the simulation lets that happen).
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.flows.world import World
from tests.proofs.boundaries import Kind, Way, counted
from tests.proofs.walking import CUSTOMERS, WITH_AN_API_KEY, Customer, prepare, run, walk

RecordProperty = Callable[[str, object], None]

pytestmark = pytest.mark.long

every_customer = pytest.mark.parametrize("customer", CUSTOMERS.values(), ids=CUSTOMERS)


@every_customer
async def test_a_process_may_be_killed_at_any_boundary(
    customer: Customer, database_url: str, tmp_path: Path, record_property: RecordProperty
) -> None:
    async with World(database_url, tmp_path, knobs=customer.knobs) as world:
        crossed = (await walk(world, customer, Way())).crossed

        for number in range(1, len(crossed) + 1):
            way = await walk(world, customer, Way(kills={number}))
            assert way.crossed[:number] == crossed[:number], f"boundary {number} is not the same one each time"

        record_property("proof", f"killed at each of {counted(crossed)}")


@every_customer
async def test_the_connection_may_be_lost_with_any_commit(
    customer: Customer, database_url: str, tmp_path: Path, record_property: RecordProperty
) -> None:
    async with World(database_url, tmp_path, knobs=customer.knobs) as world:
        commits = (await walk(world, customer, Way())).numbers(Kind.after_commit)

        for number in commits:
            await walk(world, customer, Way(disconnections={number}))

        record_property("proof", f"the connection lost with each of {len(commits)} commits that happened")


@every_customer
async def test_any_commit_may_be_reported_as_failed_though_it_happened(
    customer: Customer, database_url: str, tmp_path: Path, record_property: RecordProperty
) -> None:
    async with World(database_url, tmp_path, knobs=customer.knobs) as world:
        commits = (await walk(world, customer, Way())).numbers(Kind.after_commit)

        for number in commits:
            await walk(world, customer, Way(faults={number}))

        record_property("proof", f"each of {len(commits)} commits reported as failed though it happened")


async def test_a_killed_process_asks_nothing_more_and_gives_nothing_back(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        undisturbed = await walk(world, WITH_AN_API_KEY, Way())
        prepare(world, WITH_AN_API_KEY)

        await run(world, Way(kills={undisturbed.numbers(Kind.before_request)[0]}))

        assert len(world.sandbox.requests) == 0
        assert world.story().leased_by is not None
