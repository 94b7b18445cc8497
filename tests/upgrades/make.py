"""Makes the fixture of the schema that the code it runs in has: ``python -m tests.upgrades.make``.

It drives real onboardings against the local Alloy, each to where it is to be shown, and writes down all tables and the
local Alloy's state. To make the fixture of an earlier version, check that version out elsewhere, copy this folder into
its tests and run it there: what earlier code left behind can only be made by earlier code.
"""

import asyncio
import tempfile
from datetime import UTC, datetime
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from states.forms import Given
from store.engine import migrate
from store.records import Scope
from store.revisions import known_revisions
from store.runs import begin_run, update_run
from store.vault import KEY_FILE, Vault
from tests.flows.world import KEY, World
from tests.upgrades.fixture import TEST_KEY, Fixture, dump_alloy, dump_tables
from tests.upgrades.living import Life, take_in_rows
from tests.upgrades.people import PEOPLE

BEGINS = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
FOR_ALL = [Given(name="customerEmail", value="{{ username }}@shop.test")]
BATCHES = {"spring": None, "autumn": FOR_ALL, "sealed-elsewhere": None}


def keep_test_key(home: Path) -> None:
    """Put the key that seals what is in a fixture where a process finds it."""
    file = home / KEY_FILE
    file.touch(mode=0o600)
    file.write_text(TEST_KEY, encoding="ascii")


def keep_a_pace(world: World) -> None:
    """Have a limit found and met. The first versions shared no pace."""
    if find_spec("store.pace") is None:
        return
    shared, told = import_module("store.pace"), import_module("states.pace").News
    account = shared.account_of(world.sandbox.url, KEY.get_secret_value())
    for news in (told(successes=50), told(refused_in=0)):
        shared.exchange(world.engine, account, None, news, 1, world.clock.now().timestamp())


async def make(home: Path) -> Fixture:
    """Let everybody live as far as they go, and return what is left behind."""
    keep_test_key(home)
    async with World(f"sqlite:///{home / 'onboard.db'}", home) as world:
        migrate(world.engine)
        world.clock.ahead = BEGINS - datetime.now(UTC)
        for batch, for_all in BATCHES.items():
            rows = [row for one in PEOPLE if one.batch == batch for row in one.list_rows()]
            vault = Vault.open(None, home / "another key") if batch == "sealed-elsewhere" else None
            take_in_rows(world, batch, rows, vault=vault, for_all=for_all)
        plain = world.sandbox.knobs
        for one in PEOPLE:
            await one.lives(Life(world, one.username))
            world.sandbox.knobs = plain
            world.sandbox.faults.clear()
        keep_a_pace(world)
        run = begin_run(world.engine, Scope(), BEGINS)
        update_run(world.engine, run, BEGINS, calls=world.sandbox.requests.total, seconds=60.0, ended=True)
        return Fixture(
            schema=known_revisions()[-1],
            made_at=world.clock.now().isoformat(),
            secret_key=TEST_KEY,
            alloy_url=world.sandbox.url,
            people=[one.as_json() for one in PEOPLE],
            tables=dump_tables(world.engine),
            alloy=dump_alloy(world.sandbox, home / "alloy.json"),
        )


def main() -> None:
    """Make the fixture and keep it."""
    with tempfile.TemporaryDirectory() as home:
        fixture = asyncio.run(make(Path(home)))
    print(f"{fixture.write()}: {', '.join(f'{len(rows)} {name}' for name, rows in fixture.tables.items())}")


if __name__ == "__main__":
    main()
