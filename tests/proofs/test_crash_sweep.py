"""One customer's way to the end, with every boundary between us, the database and Alloy hit in turn.

What this form can show: wherever a process dies, what is then in the database and at Alloy is enough for the next one
to bring the customer to the end with one of everything. Every boundary is hit, by its number, and not only those that
a timer happens to hit. What it cannot show: that the operating system's own kill does no more harm than this one
(`tests/journeys/test_killed.py` kills real processes), and what happens when several workers are about, or when Alloy
carries a dead process's call out after the next one has looked for it (the simulation lets that happen).

A process is killed at every boundary each time. Of the commits that lose their connection, or seem to fail, a part is
taken by default, chosen by a seed that differs between customers and databases; with ``-m long`` every one is.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.flows.world import StillClock, World
from tests.proofs.boundaries import Kind, Way
from tests.proofs.walking import CUSTOMERS, WITH_AN_API_KEY, Customer, prepare, run, some_of, walk

RecordProperty = Callable[[str, object], None]

every_customer = pytest.mark.parametrize("customer", CUSTOMERS.values(), ids=CUSTOMERS)


def up_to(number: int) -> pytest.MarkDecorator:
    """Do so many cases by default, and all of them in the long form."""
    whole = pytest.param(None, id="whole", marks=[pytest.mark.long, pytest.mark.timeout(1800)])
    return pytest.mark.parametrize("most", [pytest.param(number, id="part"), whole])


@every_customer
async def test_a_process_may_be_killed_at_any_boundary(
    customer: Customer, database_url: str, tmp_path: Path, record_property: RecordProperty
) -> None:
    async with World(database_url, tmp_path, knobs=customer.knobs, clock=StillClock()) as world:
        undisturbed = await walk(world, customer, Way())
        every = undisturbed.numbers(*Kind)

        for number in every:
            way = await walk(world, customer, Way(kills={number}))
            assert way.crossed[:number] == undisturbed.crossed[:number], f"{number} is not the same boundary each time"

        record_property("proof", f"killed at each of {undisturbed.count(every)}")


@every_customer
@up_to(3)
async def test_the_connection_may_be_lost_with_any_commit(
    customer: Customer, most: int | None, database_url: str, tmp_path: Path, record_property: RecordProperty
) -> None:
    async with World(database_url, tmp_path, knobs=customer.knobs, clock=StillClock()) as world:
        commits = (await walk(world, customer, Way())).numbers(Kind.after_commit)
        chosen = some_of(commits, most, world, customer)

        for number in chosen:
            await walk(world, customer, Way(disconnections={number}))

        record_property("proof", f"connection lost with {len(chosen)} of {len(commits)} commits that happened")


@every_customer
@up_to(3)
async def test_any_commit_may_be_reported_as_failed_though_it_happened(
    customer: Customer, most: int | None, database_url: str, tmp_path: Path, record_property: RecordProperty
) -> None:
    async with World(database_url, tmp_path, knobs=customer.knobs, clock=StillClock()) as world:
        commits = (await walk(world, customer, Way())).numbers(Kind.after_commit)
        chosen = some_of(commits, most, world, customer)

        for number in chosen:
            await walk(world, customer, Way(faults={number}))

        record_property("proof", f"{len(chosen)} of {len(commits)} commits reported as failed though they happened")


async def test_a_killed_process_asks_nothing_more_and_gives_nothing_back(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path, clock=StillClock()) as world:
        undisturbed = await walk(world, WITH_AN_API_KEY, Way())
        prepare(world, WITH_AN_API_KEY)

        await run(world, Way(kills={undisturbed.numbers(Kind.before_request)[0]}))

        assert len(world.sandbox.requests) == 0
        assert world.story().leased_by is not None
