"""Whole onboardings while answers of Alloy are mangled on their way to us: nothing is lost, doubled or made up.

What Alloy does is done; what we hear of it is wrong, unmistakably. When that ends, everybody must be completed, with
one of everything in Alloy's own ledger, or be held for an operator with a reason; and no record may ever stand at a
stage that the ledger does not bear out. ``FUZZ_SEED=<seed> uv run pytest -n 0 tests/fuzz/test_onboarding.py`` replays.

Plausible lies are left out (see :mod:`tests.fuzz.mutations`): nobody can tell them from the truth.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from random import Random

import httpx
import pytest
import stamina
from sqlalchemy import select

from deployments.sandbox.account import digest_of
from deployments.sandbox.knobs import Knobs
from flows.alloy.transport import AiohttpTransport, Transport
from flows.loop import Driven
from flows.pacing import Pacing
from flows.resources import open_resources
from states.failures import Halted
from states.holds import HoldKind
from states.stage import Stage
from store.engine import reading
from store.models import CUSTOMER, ONBOARDING
from store.records import Scope
from tests.flows.test_journey import IDA, LIST, Row, assert_installed_once
from tests.flows.world import World
from tests.fuzz.mutations import RETRY_AFTERS, UNMISTAKABLE, Answer, Mutation, mangled, response_of
from tests.fuzz.seeds import seeds

ANSWERS, MANGLED = "answers", "mangled answers"
SHARES = (0.15, 0.3, 0.5)
MANGLED_RUNS = 3
LONG_FORM = range(4, 124)
_AROUND = tuple(one for one in UNMISTAKABLE if one.__name__ not in ("broken_host", "cut_short"))
ROWS = [row for row in LIST if not row.username.startswith("hal")]
STAGES = list(Stage)


class Mangling(httpx.AsyncBaseTransport):
    """Carries calls to the local Alloy, and mangles a share of what it answers."""

    def __init__(self, inner: Transport, seed: int, share: float, asked: Counter[str]) -> None:
        self._inner = inner
        self._seed = seed
        self._share = share
        self._asked = asked

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        # By what is asked and how often it was, so that it matters little in which order calls happen to be made.
        asked = re.sub(r"[0-9a-f]{24}", "ID", f"{request.method} {request.url.path}")
        self._asked[asked] += 1
        self._asked[ANSWERS] += 1
        random = Random(f"{self._seed} {asked} {self._asked[asked]}")  # noqa: S311 - a repeatable test
        if random.random() < self._share / 10:  # slowed down before anything happened, for how long is anybody's guess
            return response_of(Answer(429).said(retry_after=random.choice(RETRY_AFTERS)), request)
        response = await self._inner.handle_async_request(request)
        if random.random() >= self._share:
            return response
        self._asked[MANGLED] += 1
        return _mangled(response, random, UNMISTAKABLE if response.is_success else _AROUND)

    async def aclose(self) -> None:
        await self._inner.aclose()


def _mangled(response: httpx.Response, random: Random, menu: tuple[Mutation, ...]) -> httpx.Response:
    answer = Answer(response.status_code, dict(response.headers), response.content)
    return response_of(mangled(answer, random, menu), response.request)


class MangledWorld(World):
    """A world in which a share of the answers is mangled."""

    seed = 0
    share = 0.0
    halted = 0

    def __init__(self, database_url: str, home: Path, *, seed: int, dialect: str) -> None:
        super().__init__(database_url, home, knobs=Knobs(auto="grant"), dialect=dialect)
        self.seed = seed
        self.asked: Counter[str] = Counter()

    async def run(self, scope: Scope | None = None) -> Driven:
        transport = Mangling(AiohttpTransport(secure=False), self.seed, self.share, self.asked)
        async with open_resources(
            self.settings,
            clock=self.clock,
            pacing=Pacing(self.rate, clock=self.clock.monotonic, sleep=self.clock.sleep),
            random=Random(self.seed),  # noqa: S311 - a repeatable test
            transport=transport,
        ) as resources:
            return await self.loop(resources, scope).run()

    async def run_mangled(self) -> None:
        """Run as a process would, which says why it halted and ends; then let a while pass."""
        try:
            driven = await self.run()
        except Halted:
            self.halted += 1
            return
        if driven.next_due_at is not None:
            self.clock.ahead += max(driven.next_due_at - self.clock.now(), timedelta(0))


@pytest.fixture(autouse=True)
def no_waiting_between_attempts() -> Iterator[None]:
    with stamina.set_testing(True, attempts=4):
        yield


def assert_borne_out(world: World) -> None:
    """Check every record against the ledger: what its stage says has happened at Alloy, once, for this customer."""
    account, ledger = world.sandbox.account, world.ledger()
    assert ledger.users == len(ledger.users_of)
    assert all(len(ids) == 1 for ids in ledger.completed.values())
    columns = (
        CUSTOMER.c.username, CUSTOMER.c.alloy_user_id, ONBOARDING.c.integration, ONBOARDING.c.stage, ONBOARDING.c.hold,
        ONBOARDING.c.reason, ONBOARDING.c.sentence, ONBOARDING.c.credential_id, ONBOARDING.c.installation_id,
        ONBOARDING.c.lease_token,
    )  # fmt: skip
    with reading(world.engine) as connection:
        records = connection.execute(select(*columns).join(CUSTOMER, CUSTOMER.c.id == ONBOARDING.c.customer_id)).all()
    assert len(records) == len(ROWS)
    for record in records:
        stage = STAGES.index(record.stage)
        assert record.lease_token is None
        row = next(row for row in ROWS if (row.username, row.integration) == (record.username, record.integration))
        if stage >= STAGES.index(Stage.created):
            assert record.alloy_user_id == ledger.users_of[record.username]
        if stage >= STAGES.index(Stage.authed):
            credential = account.credentials[record.credential_id]
            assert credential.user_id == record.alloy_user_id
            assert credential.digest == digest_of(record.credential_id, dict(row.auth))
        if stage >= STAGES.index(Stage.installing):
            installation = account.installations[record.installation_id]
            assert (installation.user_id, installation.integration_id) == (record.alloy_user_id, row.integration_id)
            assert list(installation.credential_ids.values()) == [record.credential_id]
            assert (installation.completed_at is not None) or record.stage is not Stage.completed
        if record.hold is HoldKind.operator:
            assert record.reason
            assert record.sentence


def held(world: World, row: Row) -> bool:
    [onboarding] = [one for one in world.stories(row.username) if one.integration == row.integration]
    return onboarding.hold is HoldKind.operator


@pytest.mark.parametrize("seed", [*seeds(range(4)), *(pytest.param(one, marks=pytest.mark.long) for one in LONG_FORM)])
async def test_what_is_heard_wrong_is_never_believed(
    seed: int, database_url: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    dialect = ("seed", "2024-03", "2025-09")[seed % 3]
    async with MangledWorld(database_url, tmp_path, seed=seed, dialect=dialect) as world:
        ida = world.sandbox.account.add_user(IDA, "Ida")
        world.sandbox.account.add_credential(ida, connector="klaviyo", name="old", data={"apiKey": "an older key"})
        for row in ROWS:
            world.add(row.username, row.integration, auth=row.auth, answers=row.given)
        world.share = SHARES[seed // 3 % 3]
        for _ in range(MANGLED_RUNS):
            await world.run_mangled()
            assert_borne_out(world)
        world.share = 0.0
        standing = await world.run_to_the_end(patience=timedelta(days=3))

        assert_borne_out(world)
        done = [row for row in ROWS if not held(world, row)]
        told = [one.sentence for row in ROWS for one in world.stories(row.username) if one.hold is HoldKind.operator]
        heard = f"{world.asked[MANGLED]} of {world.asked[ANSWERS]} answers mangled, {world.halted} runs halted"
        record_property("proof", f"{heard}, {len(done)} of {len(ROWS)} done, the others held for {told}")
        assert standing.stages[Stage.completed] == len(done)
        assert standing.holds[HoldKind.operator] == len(ROWS) - len(done)
        for row in done:
            assert_installed_once(world, row)
        ledger = world.ledger()
        assert ledger.credentials_created <= len(ROWS)
        assert ledger.orphans <= standing.leftovers + len(ROWS) - len(done)
