"""A cohort that Alloy refuses is held back and goes on by itself; a batch that fails too much waits for somebody."""

from datetime import timedelta
from pathlib import Path

from deployments.sandbox.knobs import Knobs
from states.health import COHORT_SAMPLE, PROBES
from states.holds import HoldKind, Reason
from states.stage import Stage
from store.choosing import Chosen
from store.desk import redrive
from store.pausing import go_on
from store.records import Scope
from store.views import find_batch
from tests.flows.world import KLAVIYO, SHOPIFY, World, on_sqlite
from tests.upgrades.living import take_in_rows

REFUSED = {"apiKey": "refused-canary"}
REFUSING = Knobs(verify_secret=True, auto="grant")
"""An app that takes none of the keys which begin with "refused-"."""
IN_HAND = 10


def sick_world(database_url: str, home: Path) -> World:
    """A world whose processes have ten records in hand at most, and one integration is refused."""
    world = World(database_url, home, knobs=REFUSING)
    world.concurrency = 2
    return world


def add_many(world: World, refused: int, well: int = 0) -> None:
    for number in range(refused):
        world.add(f"refused-{number:03d}@example.test", KLAVIYO, auth=REFUSED)
    for number in range(well):
        world.add(f"well-{number:03d}@example.test", SHOPIFY, auth={"shopSubdomain": f"shop-{number}"})


def take_in_keys(world: World, key: str) -> None:
    """Take a list of sixty in, or take it in again with another key."""
    rows = [{"username": f"{n}@example.test", "integration": KLAVIYO, "auth": {"apiKey": key}} for n in range(60)]
    take_in_rows(world, "spring", rows)


async def test_one_integration_is_held_back_and_the_others_complete(database_url: str, tmp_path: Path) -> None:
    async with sick_world(database_url, tmp_path) as world:
        add_many(world, 60, well=8)

        driven = await world.run()

        standing = world.standing()
        assert COHORT_SAMPLE <= standing.holds[HoldKind.operator] <= COHORT_SAMPLE + IN_HAND
        assert standing.stages[Stage.completed] == 8
        [cohort] = standing.quarantined
        assert (cohort.stage, cohort.reason) == (Stage.created, Reason.rejected)
        assert cohort.held_back == 60 - standing.holds[HoldKind.operator]
        assert driven.next_due_at == cohort.probe_at


async def test_once_the_cause_is_mended_all_go_on_by_themselves(database_url: str, tmp_path: Path) -> None:
    async with sick_world(database_url, tmp_path) as world:
        add_many(world, 60)
        await world.run()
        refused = world.standing().holds[HoldKind.operator]
        world.sandbox.knobs = Knobs()

        standing = await world.run_to_the_end()

        assert (standing.stages[Stage.completed], standing.quarantined) == (60 - refused, [])
        assert world.ledger().installations_completed == 60 - refused


@on_sqlite
async def test_while_it_lasts_only_a_few_are_tried_ever_more_rarely(database_url: str, tmp_path: Path) -> None:
    async with sick_world(database_url, tmp_path) as world:
        add_many(world, 60)
        await world.run()
        before = world.standing().holds[HoldKind.operator]
        runs = 12  # five minutes apart, as scheduled
        for _ in range(runs):
            world.clock.ahead += timedelta(minutes=5)
            await world.run()

        tried = world.standing().holds[HoldKind.operator] - before
        assert tried <= 5 * PROBES


@on_sqlite
async def test_who_is_redriven_is_tried_at_once_and_frees_the_others(database_url: str, tmp_path: Path) -> None:
    async with sick_world(database_url, tmp_path) as world:
        add_many(world, 60)
        await world.run()
        world.sandbox.knobs = Knobs()
        redrive(world.engine, Chosen(reason=Reason.rejected), by="ops", now=world.clock.now())

        await world.run()

        assert world.standing().stages[Stage.completed] == 60


async def test_a_corrected_list_is_tried_at_once(database_url: str, tmp_path: Path) -> None:
    async with sick_world(database_url, tmp_path) as world:
        take_in_keys(world, "refused-canary")
        await world.run()
        assert len(world.standing().quarantined) == 1

        take_in_keys(world, "a-good-key")
        await world.run()

        assert world.standing().stages[Stage.completed] == 60


@on_sqlite
async def test_a_batch_is_paused_when_its_budget_is_spent_and_goes_on_when_told(
    database_url: str, tmp_path: Path
) -> None:
    async with sick_world(database_url, tmp_path) as world:
        world.failure_count = 5
        add_many(world, 15, well=30)
        driven = await world.run()
        before = world.standing()
        assert [paused.batch for paused in before.paused] == ["spring"]
        assert 5 < before.holds[HoldKind.operator] <= 5 + IN_HAND
        assert driven.next_due_at is None
        await world.run()
        assert world.standing().stages == before.stages

        world.failure_count = None
        batch = find_batch(world.engine, "spring")
        go_on(world.engine, batch, world.clock.now())
        await world.run(Scope(batch_id=batch))

        assert world.standing().stages[Stage.completed] == 30
        assert world.standing().holds[HoldKind.operator] == 15
