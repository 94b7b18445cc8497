"""However many consents are awaited, looking for them leaves most calls to those who can be moved."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from flows.crowd import Crowd
from states.holds import LOOKED_FOR_FREELY
from states.stage import Stage
from store.leases import count_awaited_consents
from tests.flows.world import HUBSPOT_CONTACTS, HUBSPOT_DEALS, SHOPIFY, World

SHOP = {"shopSubdomain": "a-shop"}
MANY = LOOKED_FOR_FREELY + 40


class Counting:
    """A store that is asked how many wait, and a clock."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.asked = 0
        self.time = datetime(2026, 1, 5, tzinfo=UTC)

    async def count(self) -> int:
        self.asked += 1
        return self.number

    def now(self) -> datetime:
        return self.time


async def test_few_are_never_counted() -> None:
    store = Counting(0)
    crowd = Crowd(LOOKED_FOR_FREELY, store.count, store.now)
    store.time += timedelta(hours=1)

    assert (await crowd.wait(1.0), store.asked) == (timedelta(0), 0)


async def test_whoever_joins_has_everybody_looked_for_less_often_at_once() -> None:
    store = Counting(0)
    crowd = Crowd(LOOKED_FOR_FREELY, store.count, store.now)
    for _ in range(100):
        crowd.join()

    assert (await crowd.wait(5.0), store.asked) == (timedelta(seconds=100), 0)


async def test_many_are_counted_anew_every_few_seconds_whoever_has_joined_elsewhere() -> None:
    store = Counting(LOOKED_FOR_FREELY + 200)
    crowd = Crowd(LOOKED_FOR_FREELY + 1, store.count, store.now)
    store.time += timedelta(seconds=10)

    waits = [await crowd.wait(5.0) for _ in range(3)]

    assert (waits, store.asked) == ([timedelta(seconds=200)] * 3, 1)


async def test_of_many_who_wait_few_are_looked_for_at_once(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        world.rate = 10.0
        for number in range(MANY):
            world.add(f"customer{number}@example.test", SHOPIFY, auth=SHOP)

        while world.clock.ahead < timedelta(minutes=1):
            await world.run()
            world.clock.ahead += timedelta(seconds=2)

        assert count_awaited_consents(world.engine) == MANY
        looks = len(world.sandbox.requests.of("list_credentials")) - MANY  # the snapshots
        assert MANY <= looks <= world.clock.ahead.total_seconds() * world.rate / 5


async def test_whoever_can_be_moved_is_moved_while_many_wait(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        for number in range(MANY):
            world.add(f"customer{number}@example.test", SHOPIFY, auth=SHOP)
        await world.run()
        world.rate = 2.0
        world.add("late@example.test")

        await world.run()

        assert world.story("late@example.test").stage is Stage.completed


async def test_one_look_serves_all_onboardings_of_a_customer_that_share_a_consent(
    database_url: str, tmp_path: Path
) -> None:
    async with World(database_url, tmp_path) as world:
        world.add(integration=HUBSPOT_CONTACTS, auth={})
        world.add(integration=HUBSPOT_DEALS, auth={})
        await world.run()
        before = len(world.sandbox.requests.of("list_credentials"))

        for _ in range(3):
            world.clock.ahead += timedelta(hours=8)
            await world.run()

        assert len(world.sandbox.requests.of("list_credentials")) - before == 3
