"""One customer's way to the end, walked again and again, each time with another misfortune.

A case costs some tens of milliseconds: the local Alloy and the database are the same for all, and emptied in between.
Every process has an event loop of its own, which ends with it; the local Alloy has the proof's.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random

from pydantic import JsonValue
from sqlalchemy import delete, select
from sqlalchemy.exc import DBAPIError
from sqlmodel import SQLModel

from deployments.sandbox.knobs import Knobs
from flows.alloy.transport import AiohttpTransport
from flows.loop import Driven
from flows.pacing import Pacing
from flows.resources import open_resources
from states.stage import Stage, Trigger
from store.engine import reading, writing
from store.journal import Closing
from store.models import AUTH_VALUE, CONSENT_LINK, INTENT, ONBOARDING
from store.records import Scope
from store.views import links
from tests.flows.world import KLAVIYO, NETSUITE, SHOPIFY, SLACK, World, of
from tests.proofs.boundaries import PROCESS, Killed, Process, Threads, Watched, Way, watched_databases

ANN = "ann@example.test"

_MOST_RUNS = 20


def _does_nothing(world: World) -> None:
    """Most have nothing to do."""


def _consents_once_there_is_a_link(world: World) -> None:
    """Nobody can follow a link that was lost before we had kept it."""
    if links(world.engine) and not world.ledger().consents_granted:
        world.sandbox.grant(ANN, "slack")


@dataclass(frozen=True, slots=True)
class Customer:
    """Who is onboarded, and what they and their Alloy are like."""

    integration: str
    auth: Mapping[str, str] = field(default_factory=dict)
    answers: Mapping[str, JsonValue] = field(default_factory=dict)
    knobs: Knobs = field(default_factory=Knobs)
    acts: Callable[[World], None] = _does_nothing
    """What they do between two runs."""


WITH_AN_API_KEY = Customer(KLAVIYO, {"apiKey": "canary-value"})
"""The shortest way."""

CUSTOMERS = {
    "an API key": WITH_AN_API_KEY,
    "OAuth, consents to every link at once": Customer(
        SHOPIFY, {"shopSubdomain": "ann-shop"}, knobs=Knobs(auto="grant")
    ),
    "OAuth, mapped, consents to links that were kept": Customer(
        SLACK, answers={"channel": "#orders", "message": "Hello"}, acts=_consents_once_there_is_a_link
    ),
    "an API key, mapped, no list of installations": Customer(
        NETSUITE,
        {name: f"canary-{name}" for name in ("realm", "consumerKey", "consumerSecret", "tokenId", "tokenSecret")},
        {"customerEmail": ANN},
        knobs=Knobs(installations_resource=False),
    ),
}


def prepare(world: World, customer: Customer) -> None:
    """Empty ``world`` of everybody, and put ``customer`` on the list."""
    world.sandbox.reset()
    with writing(world.engine) as connection:
        for table in reversed(SQLModel.metadata.sorted_tables):
            connection.execute(delete(table))
    world.add(ANN, customer.integration, auth=customer.auth, answers=customer.answers)


async def walk(world: World, customer: Customer, way: Way) -> Way:
    """Bring ``customer`` from the list to the end on ``way``, run after run; prove that all is exact there."""
    prepare(world, customer)
    for _ in range(_MOST_RUNS):
        driven = await run(world, way)
        customer.acts(world)
        if driven is None:  # what it held is taken over when its lease has run out
            world.clock.ahead += timedelta(seconds=world.lease_seconds + 1)
        elif driven.next_due_at is None:
            break
        else:
            world.clock.ahead += max(driven.next_due_at - world.clock.now(), timedelta(0))
    try:
        assert_exact(world, customer)
    except AssertionError as wrong:
        wrong.add_note(f"on this way:\n{way.describe()}")
        raise
    return way


async def run(world: World, way: Way, scope: Scope | None = None) -> Driven | None:
    """Do what one process does with one run; return None if it was killed, or ended by a fault of the database."""
    with watched_databases():
        return await asyncio.to_thread(asyncio.run, _live(world, way, scope))


async def _live(world: World, way: Way, scope: Scope | None) -> Driven | None:
    process = Process(way)
    PROCESS.set(process)
    threads = Threads(process, 2)
    working = asyncio.create_task(_work(world, process, threads, scope))
    dying = asyncio.create_task(process.died.wait())
    await asyncio.wait({working, dying}, return_when=asyncio.FIRST_COMPLETED)
    if process.died.is_set():
        # Some of it may wait for ever for what has died. While it is cleared away it can reach nothing any more.
        await asyncio.to_thread(threads.shutdown)
        working.cancel()
    try:
        return await working
    except (Killed, asyncio.CancelledError, DBAPIError):
        return None


async def _work(world: World, process: Process, threads: Threads, scope: Scope | None) -> Driven:
    async with (
        AiohttpTransport(secure=False) as carrying,
        open_resources(
            world.settings,
            clock=world.clock,
            pacing=Pacing(world.rate, clock=world.clock.monotonic, sleep=world.clock.sleep),
            random=Random(1),  # noqa: S311 - a repeatable proof
            transport=Watched(process, carrying),
            executor=threads,
            users_worth_a_batch=world.users_worth_a_batch,
        ) as resources,
    ):
        return await world.loop(resources, scope).run()


def some_of(numbers: Sequence[int], most: int | None, world: World, customer: Customer) -> Sequence[int]:
    """Return ``most`` of ``numbers``, the same ones each time for a customer on a kind of database; or all of them."""
    if most is None or most >= len(numbers):
        return numbers
    seed = f"{customer.integration} {world.engine.dialect.name} {len(numbers)}"
    return sorted(Random(seed).sample(numbers, most))  # noqa: S311 - a repeatable proof


def assert_exact(world: World, customer: Customer) -> None:
    """Hold Alloy's book and ours against what was wanted: one of everything, each step once, and nothing left open."""
    ledger, ours = world.ledger(), world.story(ANN)
    key = of(ANN, customer.integration)
    assert {one.method for one in world.sandbox.requests} == {"GET", "POST"}, "nothing at Alloy is ever deleted"
    assert (ours.stage, ours.hold) == (Stage.completed, None)
    assert (ledger.users, ledger.duplicate_user_creates) == (1, 0)
    assert (ledger.credentials, ledger.credentials_created, ledger.unused_credentials) == (1, 1, 0)
    assert ledger.credentials_of == {ANN: [ours.credential_id]}
    assert (ledger.installations_completed, ledger.completions) == (1, 1)
    assert ledger.completed == ledger.enabled == {key: [ours.installation_id]}
    assert [event.trigger for event in ours.history if event.trigger is not None] == list(Trigger)
    assert all(intent.outcome is not None for intent in ours.intents)
    # Only where Alloy has no list to find it in may a started installation be left behind, and then it is told.
    told = [intent for intent in ours.intents if intent.outcome in (Closing.leftover, Closing.late)]
    assert ledger.orphans <= (0 if customer.knobs.installations_resource else len(told))
    assert world.standing().leftovers == len(told)
    with reading(world.engine) as connection:
        assert connection.scalars(select(INTENT.c.id).where(INTENT.c.closed_at.is_(None))).all() == []
        assert connection.scalars(select(ONBOARDING.c.id).where(ONBOARDING.c.lease_token.is_not(None))).all() == []
        assert [connection.execute(select(secrets)).all() for secrets in (AUTH_VALUE, CONSENT_LINK)] == [[], []]
