"""The real thing behind plain calls: one local Alloy, one database and one event loop, emptied between examples."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sqlalchemy import delete, select
from sqlmodel import SQLModel

from deployments.sandbox.knobs import Knobs
from states.forms import Given
from states.holds import HoldKind, Reason
from states.stage import Stage
from store.cancelling import cancel
from store.choosing import Chosen
from store.desk import answer, redrive
from store.engine import reading, writing
from store.finding import NotFound
from store.intake.take_in import take_in
from store.lists.rows import CustomerRow, RawRow, build_row
from store.models import AUTH_VALUE, CONSENT_LINK, CUSTOMER, ONBOARDING
from store.records import Scope
from store.views import find_customer, links
from tests.flows.world import World
from tests.proofs.boundaries import Way
from tests.proofs.walking import run as run_on

LATER = timedelta(hours=7)
"""Longer than any look or lease: by then everything is due that falls due by itself."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One onboarding as the database has it."""

    stage: Stage
    hold: HoldKind | None
    reason: Reason | None
    sealed: int
    links: int


class House:
    """What operators and customers can do, as they would do it."""

    def __init__(self, world: World, runner: asyncio.Runner) -> None:
        self.world = world
        self._runner = runner

    def empty(self) -> None:
        """Forget everybody, here and at Alloy."""
        self.world.sandbox.reset()
        with writing(self.world.engine) as connection:
            for table in reversed(SQLModel.metadata.sorted_tables):
                connection.execute(delete(table))

    def take_in(self, username: str, integration: str, auth: dict[str, str], answers: dict[str, str]) -> str:
        """Take one row in; say what became of it."""
        cells: dict[str, object] = {"username": username, "integration": integration}
        cells |= {f"auth.{name}": value for name, value in auth.items()}
        cells |= {f"map.{name}": value for name, value in answers.items()}
        row = build_row(RawRow(2, cells), Path())  # type: ignore[arg-type]
        assert isinstance(row, CustomerRow)
        intake = take_in(
            self.world.engine,
            "spring",
            [row],
            source="list.csv",
            templates=None,
            catalogue=None,
            vault=self.world.vault,
            now=self.world.clock.now(),
        )
        counts = {"added": intake.added, "updated": intake.updated, "refused": intake.refused_count}
        return next((name for name, number in counts.items() if number), "unchanged")

    def run(self, username: str | None = None) -> None:
        """Let time pass, and do what one process does with one run, over everybody or over one customer."""
        self.world.clock.ahead += LATER
        self._runner.run(self.world.run(self._over(username)))

    def run_and_die(self, username: str, boundary: int) -> None:
        """Run over one customer, whose boundaries come in one order, and be killed at one of them."""
        # By now the lease of one that died before has run out, which a run would wait for in small steps.
        self.world.clock.ahead += timedelta(seconds=self.world.lease_seconds + 1)
        self._runner.run(run_on(self.world, Way(kills={boundary}), self._over(username)))

    def _over(self, username: str | None) -> Scope:
        return Scope() if username is None else Scope(customer_id=find_customer(self.world.engine, username))

    def answer(self, username: str, name: str, value: str) -> bool:
        """Answer for a customer; tell whether there was anything to answer."""
        given = [Given(name=name, value=value)]
        try:
            answer(self.world.engine, Chosen(username=username), given, by="ops", now=self.world.clock.now())
        except NotFound:
            return False
        return True

    def cancel(self, chosen: Chosen) -> int:
        """Cancel; return how many that were."""
        return cancel(self.world.engine, chosen, by="ops", now=self.world.clock.now()).number

    def redrive(self, chosen: Chosen) -> int:
        """Let go; return how many that were."""
        return redrive(self.world.engine, chosen, by="ops", now=self.world.clock.now())

    def links(self) -> dict[str, str]:
        """Return the links that are out, by username."""
        return {
            link.username: self.world.vault.open_value(link.sealed).get_secret_value()
            for link in links(self.world.engine)
        }

    def standings(self) -> dict[tuple[str, str], Standing]:
        """Return everybody as the database has them."""
        with reading(self.world.engine) as connection:
            sealed = list(connection.scalars(select(AUTH_VALUE.c.onboarding_id)))
            issued = list(connection.scalars(select(CONSENT_LINK.c.onboarding_id)))
            rows = connection.execute(
                select(
                    ONBOARDING.c.id, CUSTOMER.c.username, ONBOARDING.c.integration,
                    ONBOARDING.c.stage, ONBOARDING.c.hold, ONBOARDING.c.reason,
                ).join(CUSTOMER, CUSTOMER.c.id == ONBOARDING.c.customer_id)
            ).all()  # fmt: skip
        return {
            (row.username, row.integration): Standing(
                row.stage, row.hold, row.reason, sealed.count(row.id), issued.count(row.id)
            )
            for row in rows
        }


@contextmanager
def open_house(database_url: str, home: Path) -> Iterator[House]:
    """Open the world for as long as the block lasts."""
    with asyncio.Runner() as runner:
        world = World(database_url, home, knobs=Knobs())
        runner.run(world.__aenter__())
        try:
            yield House(world, runner)
        finally:
            runner.run(world.__aexit__(None, None, None))
