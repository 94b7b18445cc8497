"""A whole world in one process: the local Alloy over a real socket, a database, and runs that stand for processes.

Every run opens its resources anew and closes them, as a process would. The clock jumps ahead where the loop would
sleep, so that a day of waiting costs nothing; calls and answers take the time that they take.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Self

import pytest
from pydantic import JsonValue, SecretStr
from sqlalchemy import Engine, insert, select

from deployments.sandbox.fixtures import fixture_id
from deployments.sandbox.knobs import Knobs
from deployments.sandbox.ledger import Ledger
from deployments.sandbox.server import Sandbox, SandboxSettings
from flows.alloy.transport import Transport
from flows.loop import Driven, Loop
from flows.moving import move_page
from flows.pacing import Pacing
from flows.pages import PageBudget, PageSizes
from flows.resources import USERS_WORTH_A_BATCH, Resources, open_resources
from flows.settings import Settings
from flows.tally import Tally
from states.forms import Given
from states.stage import Stage
from store.engine import make_engine, writing
from store.models import AUTH_VALUE, BATCH, CUSTOMER, ONBOARDING
from store.records import Page, Scope
from store.vault import Vault
from store.views import OnboardingStory, Standing, standing, story

SHOPIFY, SLACK, NETSUITE, KLAVIYO = "Shopify", "Slack", "netsuite", "Klaviyo"
HUBSPOT_CONTACTS, HUBSPOT_DEALS = fixture_id("HubSpot contacts"), fixture_id("HubSpot deals")
_IDS = {
    SHOPIFY: fixture_id("Shopify order sync"),
    SLACK: fixture_id("Slack alerts"),
    NETSUITE: fixture_id("NetSuite customer sync"),
    KLAVIYO: fixture_id("Klaviyo profiles"),
}
KEY = SecretStr("sandbox-dev-key")


class WarpClock:
    """The real time, plus all that was slept."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead.total_seconds()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0.001)
        self.ahead += timedelta(seconds=seconds)


class StillClock(WarpClock):
    """Time that passes only while somebody sleeps: a way is then the same however busy the machine is."""

    def __init__(self) -> None:
        super().__init__()
        self._began = datetime.now(UTC)

    def now(self) -> datetime:
        return self._began + self.ahead

    def monotonic(self) -> float:
        return self.ahead.total_seconds()


class AlloysClock:
    """The same time, told as the local Alloy wants it told: in milliseconds since 1970."""

    def __init__(self, clock: WarpClock) -> None:
        self._clock = clock

    def now(self) -> int:
        return int(self._clock.now().timestamp() * 1000)


class World(AbstractAsyncContextManager["World"]):
    """Customers, runs, and what came of them at either end."""

    def __init__(
        self,
        database_url: str,
        home: Path,
        *,
        knobs: Knobs | None = None,
        dialect: str = "seed",
        clock: WarpClock | None = None,
    ) -> None:
        self.clock = clock or WarpClock()
        self.sandbox = Sandbox(SandboxSettings(knobs=knobs or Knobs(), clock=AlloysClock(self.clock)))
        self.database_url = database_url
        self.home = home
        self.dialect = dialect
        self.engine: Engine = make_engine(database_url)
        self.vault = Vault.open(None, home)
        self.api_key = KEY
        self.lease_seconds = 60.0
        self.rate: float | None = 100_000.0
        self.pages: Callable[[int, Callable[[], float]], PageSizes] = PageBudget
        self.users_worth_a_batch = USERS_WORTH_A_BATCH
        self.concurrency = 20
        self.failure_count: int | None = None
        self.address: str | None = None
        """Where processes call instead of the local Alloy itself."""
        self.carried_by: Callable[[], Transport | None] = lambda: None
        """What carries the calls of a process instead of the real thing."""

    async def __aenter__(self) -> Self:
        await self.sandbox.__aenter__()
        return self

    async def __aexit__(self, *exception: Any) -> None:
        await self.sandbox.__aexit__(*exception)
        self.engine.dispose()

    @property
    def settings(self) -> Settings:
        """What a process of this world is told."""
        return Settings(
            _env_file=None,  # type: ignore[call-arg]  # pydantic-settings takes it, its plugin does not know it
            alloy_api_key=self.api_key,
            alloy_base_url=self.address or self.sandbox.url,
            alloy_api_version=self.dialect,
            alloy_rate=self.rate,
            alloy_concurrency=self.concurrency,
            onboard_failure_count=self.failure_count,
            onboard_home=self.home,
            onboard_database_url=self.database_url,
            onboard_lease_seconds=self.lease_seconds,
        )

    def add(
        self,
        username: str = "ann@example.test",
        integration: str = KLAVIYO,
        *,
        auth: Mapping[str, str] | None = None,
        answers: Mapping[str, JsonValue] | None = None,
        full_name: str = "",
    ) -> int:
        """Put an onboarding on the list; by default with the auth values of its app."""
        values = dict(auth if auth is not None else {"apiKey": "canary-value"})
        with writing(self.engine) as connection:
            batch = connection.scalar(select(BATCH.c.id))
            if batch is None:
                new_batch = {"name": "spring", "source": "spring.csv", "templates": [], "created_at": self.clock.now()}
                batch = connection.execute(insert(BATCH).values(**new_batch).returning(BATCH.c.id)).scalar_one()
            customer = connection.scalar(select(CUSTOMER.c.id).where(CUSTOMER.c.username == username))
            if customer is None:
                person = {"username": username, "full_name": full_name, "adopted": False}
                customer = connection.execute(
                    insert(CUSTOMER).values(**person, created_at=self.clock.now()).returning(CUSTOMER.c.id)
                ).scalar_one()
            given = [Given(name=name, value=value).model_dump(mode="json") for name, value in (answers or {}).items()]
            onboarding: int = connection.execute(
                insert(ONBOARDING)
                .values(
                    batch_id=batch, customer_id=customer, line=2, columns={}, integration=integration,
                    integration_key=integration.casefold(), stage=Stage.new, stage_since=self.clock.now(),
                    due_at=self.clock.now(), attempts=0, nudged=False, version=0, given=given, answered=[],
                    auth_names=sorted(values), auth_digest=self.vault.fingerprint(values), created_at=self.clock.now(),
                )
                .returning(ONBOARDING.c.id)
            ).scalar_one()  # fmt: skip
            for name, value in values.items():
                connection.execute(
                    insert(AUTH_VALUE).values(onboarding_id=onboarding, name=name, sealed=self.vault.seal(value))
                )
        return onboarding

    async def run(self, scope: Scope | None = None) -> Driven:
        """Do what one process does with one run."""
        async with open_resources(
            self.settings,
            clock=self.clock,
            pacing=Pacing(self.rate, clock=self.clock.monotonic, sleep=self.clock.sleep),
            random=Random(1),  # noqa: S311 - a repeatable test
            transport=self.carried_by(),
            users_worth_a_batch=self.users_worth_a_batch,
        ) as resources:
            return await self.loop(resources, scope).run()

    def loop(self, resources: Resources, scope: Scope | None = None) -> Loop:
        """Return the loop of one run, without Prefect."""

        async def move(page: Page) -> Tally:
            return await move_page(page, resources)

        return Loop(resources, scope or Scope(), move, self.pages)

    async def run_to_the_end(self, runs: int = 40, patience: timedelta = timedelta(hours=1)) -> Standing:
        """Run again whenever something falls due within ``patience``, as a schedule would."""
        for _ in range(runs):
            driven = await self.run()
            if driven.next_due_at is None or driven.next_due_at - self.clock.now() > patience:
                break
            self.clock.ahead += max(driven.next_due_at - self.clock.now(), timedelta(0))
        return self.standing()

    def standing(self) -> Standing:
        """Where everybody stands, by our books."""
        return standing(self.engine)

    def ledger(self) -> Ledger:
        """What there is at Alloy, by its own books."""
        return self.sandbox.ledger()

    def story(self, username: str = "ann@example.test") -> OnboardingStory:
        """One customer's first onboarding."""
        return self.stories(username)[0]

    def stories(self, username: str = "ann@example.test") -> list[OnboardingStory]:
        """One customer's onboardings, in the order in which they were put on the list."""
        return story(self.engine, username).onboardings


on_sqlite = pytest.mark.parametrize("database_kind", ["sqlite"])
"""For what both databases cannot tell apart: the fixture ``database_url`` then is a SQLite file."""


def of(username: str, integration: str) -> tuple[str, str]:
    """Return the key of an installation in the ledger."""
    return username, _IDS.get(integration, integration)
