"""The loop: shared, killed, halted, stopped; and when it ends, and how fast it calls."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import OperationalError

from deployments.sandbox.faults import Fault
from deployments.sandbox.knobs import Knobs
from flows.clock import SystemClock
from flows.loop import Loop
from flows.moving import STEPS, move_page
from flows.resources import Resources, open_resources
from flows.steps.attempt import Attempt, Evidence
from flows.tally import Tally
from states.failures import Halted
from states.holds import HoldKind, Reason
from states.stage import Stage, Trigger
from store.engine import reading, writing
from store.leases import claim
from store.models import BATCH, INTENT, ONBOARDING
from store.records import Page, Scope
from store.standing import standing
from tests.flows.world import KLAVIYO, SHOPIFY, World, of, on_sqlite

ROOT = Path(__file__).parents[2]
SHOP = {"shopSubdomain": "ann-shop"}


def usernames(customers: int) -> list[str]:
    return [f"customer-{number:03d}@example.test" for number in range(customers)]


def add_many(world: World, customers: int) -> None:
    for name in usernames(customers):
        world.add(name, auth={"apiKey": f"key of {name}"})


@asynccontextmanager
async def a_process(world: World) -> AsyncIterator[Resources]:
    """What a process works with, by the time that is really passing."""
    async with open_resources(world.settings, clock=SystemClock()) as resources:
        yield resources


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not happened():  # noqa: ASYNC110 - it happens in other processes and in databases
            await asyncio.sleep(0.002)


def leased(world: World) -> int:
    with reading(world.engine) as connection:
        return connection.scalar(select(func.count()).where(ONBOARDING.c.lease_token.is_not(None))) or 0


def open_intents(world: World) -> int:
    with reading(world.engine) as connection:
        return connection.scalar(select(func.count()).where(INTENT.c.closed_at.is_(None))) or 0


def assert_exactly_one_of_everything_for(world: World, customers: int) -> None:
    ledger = world.ledger()
    assert world.standing().stages[Stage.completed] == world.standing().total == customers
    assert set(ledger.users_of) == set(usernames(customers))
    assert (ledger.users, ledger.credentials_created) == (customers, customers)
    assert {name: len(ids) for name, ids in ledger.enabled.items()} == {
        of(name, KLAVIYO): 1 for name in usernames(customers)
    }
    assert ledger.installations_completed == customers


# --- shared


async def test_two_processes_share_two_hundred_customers_and_nothing_is_done_twice(
    database_url: str, tmp_path: Path
) -> None:
    async with World(database_url, tmp_path) as world:
        add_many(world, 200)

        async with a_process(world) as one, a_process(world) as other:
            both = await asyncio.gather(world.loop(one).run(), world.loop(other).run())

        assert_exactly_one_of_everything_for(world, 200)
        assert (world.ledger().installations_started, world.ledger().duplicate_user_creates) == (200, 0)
        assert [driven.tally["moved"] > 0 for driven in both] == [True, True]
        assert sum(driven.tally["moved"] for driven in both) == 200 * 5


async def test_what_a_killed_process_held_is_finished_by_the_next(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        add_many(world, 40)
        arguments = (world.sandbox.url, database_url, str(tmp_path), "sandbox-dev-key", "60")
        killed = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.flows.worker", *arguments, cwd=ROOT)
        await until(lambda: len(world.sandbox.requests) >= 100)
        killed.send_signal(signal.SIGKILL)
        assert await killed.wait() == -signal.SIGKILL
        assert leased(world) > 0

        world.clock.ahead += timedelta(seconds=61)
        await world.run_to_the_end()

        assert_exactly_one_of_everything_for(world, 40)
        assert world.ledger().installations_started == 40


@on_sqlite
async def test_calls_that_queue_for_their_turn_have_no_intent_yet(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        add_many(world, 60)
        world.rate = 20.0
        most_open = 0
        async with a_process(world) as resources:
            running = asyncio.create_task(world.loop(resources).run())
            while len(world.sandbox.requests) < 30:
                most_open = max(most_open, open_intents(world))
                await asyncio.sleep(0.002)
            in_hand = leased(world)
            resources.stop.set()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    assert in_hand > 30
    assert 0 < most_open < 15


@on_sqlite
async def test_a_long_batch_keeps_no_short_one_waiting(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        add_many(world, 300)
        short = [world.add(f"late{one}@example.test") for one in range(3)]
        with writing(world.engine) as connection:
            batch = {"name": "short", "source": "short.csv", "templates": [], "created_at": world.clock.now()}
            of_short = connection.execute(insert(BATCH).values(**batch).returning(BATCH.c.id)).scalar_one()
            connection.execute(update(ONBOARDING).where(ONBOARDING.c.id.in_(short)).values(batch_id=of_short))
        world.concurrency = 2
        async with a_process(world) as resources:
            running = asyncio.create_task(world.loop(resources).run())
            await until(lambda: standing(world.engine, "short").stages[Stage.completed] == len(short))
            resources.stop.set()
            await running

        assert standing(world.engine).stages[Stage.new] > 150


@on_sqlite
async def test_what_another_process_holds_is_waited_for(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        world.add()
        claimed = claim(
            world.engine, Scope(), worker="died", limit=1, lease=timedelta(seconds=60), now=world.clock.now()
        )
        assert claimed is not None

        await world.run()

        assert world.story().stage is Stage.completed


# --- halted


@on_sqlite
async def test_a_wrong_key_halts_the_run(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        add_many(world, 30)
        world.api_key = SecretStr("a-wrong-key")

        with pytest.raises(Halted) as halted:
            await world.run()

        assert halted.value.reason is Reason.unauthorized
        assert "ALLOY_API_KEY" in str(halted.value)
        assert world.ledger().users == 0


async def test_nobody_is_blamed_for_a_wrong_key(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        add_many(world, 30)
        world.api_key = SecretStr("a-wrong-key")

        with pytest.raises(Halted):
            await world.run()

        assert (world.standing().moving, world.standing().holds[HoldKind.operator]) == (30, 0)
        assert (leased(world), open_intents(world)) == (0, 0)


async def test_a_key_that_is_revoked_midway_halts_the_run_and_blames_nobody(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        add_many(world, 30)
        world.sandbox.faults.add(Fault(kind="auth_flip", nth=60, count=None))
        with pytest.raises(Halted):
            await world.run()
        standing = world.standing()
        assert standing.moving + standing.stages[Stage.completed] == 30
        assert (leased(world), open_intents(world)) == (0, 0)

        world.sandbox.faults.clear()
        await world.run_to_the_end()

        assert_exactly_one_of_everything_for(world, 30)
        assert world.ledger().installations_started == 30


# --- stopped


async def test_a_run_that_is_stopped_finishes_what_is_in_flight_and_gives_the_rest_back(
    database_url: str, tmp_path: Path
) -> None:
    async with World(database_url, tmp_path, knobs=Knobs(latency_ms=2)) as world:
        add_many(world, 40)
        async with a_process(world) as resources:
            running = asyncio.create_task(world.loop(resources).run())
            await until(lambda: len(world.sandbox.requests) >= 50)
            resources.stop.set()
            driven = await running

        assert driven.interrupted
        assert (leased(world), open_intents(world)) == (0, 0)
        assert 0 < world.standing().moving <= 40
        assert world.standing().holds == dict.fromkeys(HoldKind, 0)


@on_sqlite
async def test_a_run_that_is_stopped_begins_nothing_that_was_still_queueing(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        add_many(world, 60)
        world.rate = 10.0
        async with a_process(world) as resources:
            running = asyncio.create_task(world.loop(resources).run())
            await until(lambda: len(world.sandbox.requests) >= 15)
            resources.stop.set()
            asked = len(world.sandbox.requests)
            driven = await running

        assert driven.tally["released"] > 20
        assert len(world.sandbox.requests) - asked < 10
        assert (leased(world), open_intents(world)) == (0, 0)


@on_sqlite
async def test_a_run_that_was_stopped_is_taken_up_again_without_anything_done_twice(
    database_url: str, tmp_path: Path
) -> None:
    async with World(database_url, tmp_path, knobs=Knobs(latency_ms=2)) as world:
        add_many(world, 40)
        async with a_process(world) as resources:
            running = asyncio.create_task(world.loop(resources).run())
            await until(lambda: len(world.sandbox.requests) >= 50)
            resources.stop.set()
            await running

        await world.run_to_the_end()

        assert_exactly_one_of_everything_for(world, 40)
        assert world.ledger().installations_started == 40


# --- leases


async def test_what_is_in_hand_for_longer_than_a_lease_is_kept(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path, knobs=Knobs(latency_ms=1600)) as world:
        world.lease_seconds = 3
        world.concurrency = 1
        add_many(world, 2)  # both in hand at once, and called for one after the other: in more than three seconds
        async with a_process(world) as resources:
            running = asyncio.create_task(world.loop(resources).run())
            await until(lambda: len(world.sandbox.requests) >= 3)
            resources.stop.set()
            driven = await running

    assert driven.tally["moved"] >= 2
    assert driven.tally["lost"] == 0


@pytest.mark.parametrize("fault", [KeyError("a canary"), Halted(Reason.unauthorized, "the key is wrong")])
@on_sqlite
async def test_a_database_that_is_away_at_the_end_hides_no_fault_and_leaves_nothing_at_work(
    fault: Exception, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise OperationalError("ROLLBACK", None, Exception("away"))

    async def break_down(_: Page) -> Tally:
        raise fault

    monkeypatch.setattr("flows.loop.release", away)
    async with World(database_url, tmp_path) as world:
        add_many(world, 2)
        async with a_process(world) as resources:
            with pytest.raises(type(fault)):
                await Loop(resources, Scope(), break_down).run()

            assert "lease keeper" not in {task.get_name() for task in asyncio.all_tasks()}


# --- a fault of this program


async def test_a_fault_at_one_customer_holds_that_one_and_nobody_else(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authenticate, secret = STEPS[Trigger.authenticate], "canary-value"

    async def break_for_one(attempt: Attempt) -> Evidence:
        if attempt.record.username == usernames(6)[2]:
            raise KeyError(secret)
        return await authenticate(attempt)

    monkeypatch.setitem(STEPS, Trigger.authenticate, break_for_one)
    async with World(database_url, tmp_path) as world:
        add_many(world, 6)

        await world.run_to_the_end()

        assert world.standing().stages[Stage.completed] == 5
        held = world.story(usernames(6)[2])
        assert (held.stage, held.hold, held.reason) == (Stage.created, HoldKind.operator, Reason.our_fault)
        assert "KeyError" in str(held.sentence)
        assert "canary" not in str(held.sentence)
        written = (world.home / "faults.log").read_text()
        assert "break_for_one" in written
        assert "canary" not in written


# --- side by side


async def test_a_slow_customer_keeps_nobody_of_their_page_waiting(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        add_many(world, 5)
        slow = usernames(5)[2]
        # Far longer than the test takes: it ends as soon as the others are done.
        world.sandbox.faults.add(Fault(kind="latency", user=slow, delay_ms=30_000, count=None))
        async with a_process(world) as resources:
            now = resources.clock.now()
            page = claim(world.engine, Scope(), worker=resources.worker, limit=5, lease=timedelta(hours=1), now=now)
            assert page is not None
            assert len(page.records) == 5
            moving = asyncio.create_task(move_page(page, resources))
            running = asyncio.create_task(world.loop(resources).run())

            await until(lambda: world.standing().stages[Stage.completed] == 4)

            assert not moving.done()
            assert world.story(slow).leased_by == resources.worker
            for task in (moving, running):
                task.cancel()
            await asyncio.gather(moving, running, return_exceptions=True)


# --- the end


@on_sqlite
async def test_a_run_ends_when_nothing_falls_due_within_ten_seconds_and_says_when_the_next_does(
    database_url: str, tmp_path: Path
) -> None:
    async with World(database_url, tmp_path) as world:
        world.add(integration=SHOPIFY, auth=SHOP)

        driven = await world.run()

        assert driven.next_due_at == world.story().due_at
        assert driven.next_due_at is not None
        assert driven.next_due_at - world.clock.now() > timedelta(seconds=9)
        assert not driven.interrupted


@on_sqlite
async def test_a_run_goes_on_while_something_falls_due_within_ten_seconds(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path, knobs=Knobs(auto="grant", auto_after_ms=9000)) as world:
        world.add(integration=SHOPIFY, auth=SHOP)

        driven = await world.run()

        assert (world.story().stage, driven.next_due_at) == (Stage.completed, None)


@on_sqlite
async def test_a_run_ends_though_alloy_asked_everybody_to_wait_when_nothing_is_due_any_sooner(
    database_url: str, tmp_path: Path
) -> None:
    async with World(database_url, tmp_path) as world:
        world.add()
        world.sandbox.faults.add(Fault(kind="429", retry_after_s=60))

        driven = await world.run()

        assert (world.story().reason, len(world.sandbox.requests)) == (Reason.rate_limited, 1)
        assert driven.next_due_at is not None
        assert driven.next_due_at - world.clock.now() > timedelta(seconds=55)


@on_sqlite
async def test_whoever_is_due_goes_on_after_the_pause_that_alloy_asked_for(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        add_many(world, 60)
        world.sandbox.faults.add(Fault(kind="429", nth=30, retry_after_s=30))

        await world.run_to_the_end()

        assert_exactly_one_of_everything_for(world, 60)


@on_sqlite
async def test_a_run_with_nothing_to_do_ends_at_once_without_a_call(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        driven = await world.run()

        assert (driven.pages, driven.next_due_at, len(world.sandbox.requests)) == (0, None, 0)


@on_sqlite
async def test_a_run_moves_only_what_it_may(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        add_many(world, 3)
        with reading(world.engine) as connection:
            customer = connection.scalar(select(func.min(ONBOARDING.c.customer_id)))

        await world.run(Scope(customer_id=customer))

        stages = world.standing().stages
        assert (stages[Stage.completed], stages[Stage.new]) == (1, 2)


# --- how fast


@on_sqlite
async def test_calls_are_spread_evenly_over_time_at_the_rate_that_was_set(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        add_many(world, 15)
        world.rate = 80
        async with a_process(world) as resources:
            await world.loop(resources).run()

        begun = sorted(request.at for request in world.sandbox.requests)
        # A quarter of a second's worth may come at once, and the machine may bunch up as much again.
        busiest = max(sum(start <= other < start + 500 for other in begun) for start in begun)
        assert busiest <= 80 * (0.5 + 0.25 + 0.25)
        assert (begun[-1] - begun[0]) / 1000 >= (len(begun) - 80 * 0.25) / 80


@on_sqlite
async def test_nobody_calls_while_alloy_has_asked_everybody_to_wait(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        add_many(world, 10)
        world.rate = 200
        world.sandbox.faults.add(Fault(kind="429", nth=12, retry_after_s=1))
        async with a_process(world) as resources:
            await world.loop(resources).run()

        refused = next(request.at for request in world.sandbox.requests if request.faults == ("429",))
        # What was on its way already may still arrive just after it.
        meanwhile = [request.at for request in world.sandbox.requests if refused + 300 < request.at < refused + 990]
        assert meanwhile == []
        assert_exactly_one_of_everything_for(world, 10)
