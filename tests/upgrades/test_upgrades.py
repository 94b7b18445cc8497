"""What an earlier version left behind is opened by the present code and driven to the end; nothing of it is lost."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import select

from deployments.sandbox.account import Installation, digest_of
from states.forms import Given
from states.holds import HoldKind
from states.stage import Stage
from store.desk import Chosen, answer, redrive
from store.engine import migrate, reading, writing
from store.models import AUTH_VALUE, CONSENT_LINK, INTENT
from store.revisions import MIGRATIONS
from store.views import OnboardingStory
from tests.flows.world import World
from tests.upgrades.fixture import Fixture, Row, dump_tables, load_alloy, load_tables, versions
from tests.upgrades.living import take_in_rows
from tests.upgrades.make import keep_test_key

pytestmark = pytest.mark.parametrize("schema", versions())

LONGER_THAN_ANY_WAIT = timedelta(hours=7)
SOON = timedelta(minutes=10)


@asynccontextmanager
async def opened(schema: str, database_url: str, home: Path) -> AsyncIterator[tuple[World, Fixture]]:
    """A world that goes on where the fixture of ``schema`` was left: its rows, its Alloy, its time."""
    keep_test_key(home)
    async with World(database_url, home) as world:
        fixture = Fixture.read(schema).moved_to(world.sandbox.url)
        world.clock.ahead = datetime.fromisoformat(fixture.made_at) - datetime.now(UTC)
        load_alloy(world.sandbox, fixture, home / "alloy.json")
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        with writing(world.engine) as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, schema)
        load_tables(world.engine, fixture)
        migrate(world.engine)
        yield world, fixture


async def happens(world: World, person: Row, number: int) -> None:
    """Let happen what is to happen to one customer in one round."""
    what = person["then"][number] if number < len(person["then"]) else {}
    username = person["username"]
    if "consent" in what:
        world.sandbox.grant(username, what["consent"])
    if "answer" in what:
        given = [Given(name=name, value=value) for name, value in what["answer"].items()]
        answer(world.engine, Chosen(username=username), given, by="a test", now=world.clock.now())
    if "redrive" in what:
        redrive(world.engine, Chosen(username=username), by="a test", now=world.clock.now())
    if "rows" in what:
        take_in_rows(world, person["batch"], what["rows"])


async def drive_to_the_end(world: World, fixture: Fixture) -> None:
    """Run until everybody stands still, let happen what is to happen, and again."""
    await world.run_to_the_end(patience=SOON)
    for number in range(max(len(person["then"]) for person in fixture.people)):
        for person in fixture.people:
            await happens(world, person, number)
        world.clock.ahead += LONGER_THAN_ANY_WAIT
        await world.run_to_the_end(patience=SOON)


def installations_of(world: World, username: str) -> list[Installation]:
    return [
        one
        for one in world.sandbox.account.installations.values()
        if world.sandbox.account.users[one.user_id].username == username
    ]


def at_alloy(world: World, username: str) -> Row:
    ledger, installations = world.ledger(), installations_of(world, username)
    return {
        "credentials": len(ledger.credentials_of[username]),
        "started": len(installations),
        "live": sum(one.enabled for one in installations),
    }


def stands(told: OnboardingStory) -> list[str | None]:
    """Where an onboarding stands, as a fixture says how it must end."""
    return [told.stage, "cancelled" if told.hold is HoldKind.cancelled else told.reason]


def last_rows(person: Row) -> list[Row]:
    """What a customer's lists said in the end."""
    rows: list[Row] = [one["rows"] for one in ({"rows": person["rows"]}, *person["then"]) if "rows" in one][-1]
    return rows


def assert_made_with_its_own_values(world: World, onboarding: OnboardingStory, row: Row) -> None:
    """Check an installation at Alloy against what the list brought, by the credential that it was made with."""
    installation = world.sandbox.account.installations[onboarding.installation_id or ""]
    assert list(installation.credential_ids.values()) == [onboarding.credential_id]
    credential = world.sandbox.account.credentials[onboarding.credential_id or ""]
    app = world.sandbox.catalogue.app(credential.type)
    assert app is not None
    values = {one.name: row["auth"][one.name] for one in app.properties}
    assert credential.digest == digest_of(credential.credential_id, values)


def assert_nothing_is_left_of_what_was_needed(world: World, told: list[OnboardingStory]) -> None:
    """Check that no completed onboarding keeps a sealed value, a link, or an intent in doubt."""
    others = {one.id for one in told if one.stage is not Stage.completed}
    with reading(world.engine) as connection:
        sealed = set(connection.scalars(select(AUTH_VALUE.c.onboarding_id)))
        links = set(connection.scalars(select(CONSENT_LINK.c.onboarding_id)))
        in_doubt = set(connection.scalars(select(INTENT.c.onboarding_id).where(INTENT.c.closed_at.is_(None))))
    assert sealed | links | in_doubt <= others


def counted(rows: list[Row], name: str) -> dict[Any, int]:
    found = [row[name] for row in rows if name in row]
    return {value: found.count(value) for value in found}


async def test_nothing_that_was_written_is_lost_by_opening_it(
    schema: str, empty_database_url: str, tmp_path: Path
) -> None:
    async with opened(schema, empty_database_url, tmp_path) as (world, fixture):
        after = dump_tables(world.engine)

    assert {name: len(after[name]) for name in fixture.tables} == {
        name: len(rows) for name, rows in fixture.tables.items()
    }
    for name, rows in fixture.tables.items():
        for row, now in zip(rows, after[name], strict=True):
            assert {column: now.get(column) for column in row} == row


async def test_everybody_is_counted_where_they_were_left(schema: str, empty_database_url: str, tmp_path: Path) -> None:
    async with opened(schema, empty_database_url, tmp_path) as (world, fixture):
        standing = world.standing()

    onboardings = fixture.tables["onboarding"]
    held = [row for row in onboardings if "hold" in row]
    assert standing.total == len(onboardings)
    assert {stage: count for stage, count in standing.stages.items() if count} == counted(onboardings, "stage")
    assert {kind: count for kind, count in standing.holds.items() if count} == counted(held, "hold")
    assert standing.reasons == counted(held, "reason")


async def test_everybody_is_driven_to_the_end(schema: str, empty_database_url: str, tmp_path: Path) -> None:
    async with opened(schema, empty_database_url, tmp_path) as (world, fixture):
        await drive_to_the_end(world, fixture)

        stories = {person["username"]: world.stories(person["username"]) for person in fixture.people}
        assert {name: [stands(one) for one in told] for name, told in stories.items()} == {
            person["username"]: person["ends"] for person in fixture.people
        }
        assert {person["username"]: at_alloy(world, person["username"]) for person in fixture.people} == {
            person["username"]: person["at_alloy"] for person in fixture.people
        }
        assert sorted(world.ledger().users_of) == sorted(person["username"] for person in fixture.people)
        for person in fixture.people:
            for told, row in zip(stories[person["username"]], last_rows(person), strict=True):
                if told.stage is Stage.completed:
                    assert_made_with_its_own_values(world, told, row)
        assert_nothing_is_left_of_what_was_needed(world, [one for told in stories.values() for one in told])


def test_a_fixture_shows_every_stage_and_every_kind_of_hold(schema: str) -> None:
    onboardings = Fixture.read(schema).tables["onboarding"]

    assert set(counted(onboardings, "stage")) == set(Stage)
    assert set(counted(onboardings, "hold")) == set(HoldKind)
