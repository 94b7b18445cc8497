"""Bringing one customer to where a fixture is to show them, by the program's own steps, one at a time.

A whole run would go on for as long as something falls due; here it must stop in the middle, as a process does that
dies. So each step claims the customer's record and moves it once, with the claim and the step that every run uses.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import JsonValue
from sqlalchemy import update

from deployments.sandbox.faults import Fault
from flows.moving import move_page
from flows.pacing import Pacing
from flows.resources import Resources, open_resources
from states.forms import Given
from states.holds import HoldKind
from store.catalogue import load
from store.desk import Chosen, answer
from store.engine import writing
from store.intake.take_in import take_in
from store.leases import claim
from store.lists.check import check_rows, read_rows
from store.models import ONBOARDING
from store.records import Page, Scope
from store.vault import Vault
from store.views import find_customer
from tests.flows.world import World

Row = dict[str, Any]
LEASE = timedelta(seconds=60)


def take_in_rows(
    world: World, batch: str, rows: Sequence[Row], *, vault: Vault | None = None, for_all: Sequence[Given] | None = None
) -> None:
    """Take a list in as the program does, from a JSONL file."""
    file = Path(world.home) / f"{batch}.jsonl"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    intake = take_in(
        world.engine,
        batch,
        check_rows(read_rows(file)),
        source=file.name,
        templates=for_all,
        catalogue=load(world.engine),
        vault=vault or world.vault,
        now=world.clock.now(),
    )
    if intake.refused or intake.elsewhere:
        raise RuntimeError(f"the list {batch} was not taken in whole: {intake.refused}")


class Life:
    """What happens to one customer until the fixture is made."""

    def __init__(self, world: World, username: str) -> None:
        self._world = world
        self._username = username
        self._scope = Scope(customer_id=find_customer(world.engine, username))

    async def step(self, times: int = 1) -> None:
        """Claim what the customer has due and move it once; as often as said, letting time pass where it must."""
        for _ in range(times):
            async with self._process() as resources:
                await move_page(await self._claim(resources), resources)

    async def later(self, seconds: float) -> None:
        """Let time pass."""
        self._world.clock.ahead += timedelta(seconds=seconds)

    def strike(self, kind: str, route: str, **more: Any) -> None:
        """Have the customer's next call of ``route`` go wrong."""
        self._world.sandbox.faults.add(Fault(kind=kind, route=route, user=self._username, **more))  # type: ignore[arg-type]

    def turn(self, **knobs: Any) -> None:
        """Have Alloy behave otherwise for this customer; everything is as it was when their life is over."""
        self._world.sandbox.knobs = replace(self._world.sandbox.knobs, **knobs)

    def consent(self, app: str) -> None:
        """Have the customer consent."""
        self._world.sandbox.grant(self._username, app)

    def was_there(self, *, app: str, data: dict[str, str]) -> str:
        """Have had the user and a credential at Alloy before us; return the user's id."""
        account = self._world.sandbox.account
        user = account.add_user(self._username, "Somebody of before")
        account.add_credential(user, connector=app, name="of before us", data=data)
        return user.user_id

    async def was_installed(self, user_id: str, integration_id: str) -> None:
        """Have had the integration installed before us."""
        async with self._process() as resources:
            started = await resources.alloy.start_installation(user_id, integration_id, [])
            await resources.alloy.complete_installation(started.installation_id, [])

    async def be_claimed(self) -> None:
        """Have a worker claim the record and die before it did anything."""
        async with self._process() as resources:
            await self._claim(resources)

    async def die_in_a_call(self, route: str) -> None:
        """Have a worker die after Alloy has carried the call out and before the answer arrives."""
        self.strike("latency", route, delay_ms=1000, after_commit=True)
        async with self._process() as resources:
            moving = asyncio.create_task(move_page(await self._claim(resources), resources))
            await self._carried_out(route)
            moving.cancel()
            await asyncio.gather(moving, return_exceptions=True)

    async def lose_the_lease_in_a_call(self, route: str) -> None:
        """Have the answer of a call come when its worker's lease has run out."""
        self.strike("latency", route, delay_ms=200, after_commit=True)
        async with self._process() as resources:
            moving = asyncio.create_task(move_page(await self._claim(resources), resources))
            await self._carried_out(route)
            await self.later(2 * LEASE.total_seconds())
            await moving

    def answer(self, **answers: JsonValue) -> None:
        """Have the customer answer."""
        given = [Given(name=name, value=value) for name, value in answers.items()]
        answer(self._world.engine, Chosen(username=self._username), given, by="ops", now=self._world.clock.now())

    def cancel(self) -> None:
        """Cancel the onboarding. The first version knew the word and had no verb for it: there the columns are set."""
        if find_spec("store.cancelling") is not None:
            cancelling = import_module("store.cancelling")
            cancelling.cancel(
                self._world.engine, Chosen(username=self._username), by="ops", now=self._world.clock.now()
            )
            return
        with writing(self._world.engine) as connection:
            connection.execute(
                update(ONBOARDING)
                .where(ONBOARDING.c.customer_id == self._scope.customer_id)
                .values(hold=HoldKind.cancelled, due_at=None)
            )

    def _process(self) -> Any:
        world = self._world
        # A pacing of its own each time: what one customer is refused must not make the others wait.
        pacing = Pacing(world.rate, clock=world.clock.monotonic, sleep=world.clock.sleep)
        return open_resources(world.settings, clock=world.clock, pacing=pacing)

    async def _claim(self, resources: Resources) -> Page:
        clock = self._world.clock
        for _ in range(2):
            page = claim(
                resources.engine, self._scope, worker="worker-of-the-fixture", limit=1, lease=LEASE, now=clock.now()
            )
            if page is not None:
                return page
            dues = [one.due_at for one in self._world.stories(self._username) if one.due_at is not None]
            clock.ahead += max(min(dues) - clock.now(), timedelta(0))
        raise RuntimeError(f"{self._username} is not due")

    async def _carried_out(self, route: str) -> None:
        asked = self._world.sandbox.requests
        while not any(one.committed for one in asked.of(route, self._username)):  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)
