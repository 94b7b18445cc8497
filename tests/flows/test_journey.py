"""Twelve customers, as different as they come, brought to the end: in every dialect, with every knob turned.

The local Alloy's own ledger says how it ended: one user each, one live installation for each onboarding, made with the
credential that this onboarding brought, and nothing twice.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import JsonValue

from deployments.sandbox.account import Installation, digest_of
from deployments.sandbox.fixtures import fixture_id
from deployments.sandbox.installing import NOT_AUTHORIZED
from deployments.sandbox.knobs import Knobs
from states.failures import Halted
from states.forms import Given
from states.holds import HoldKind, Reason
from states.stage import Stage
from store.desk import Chosen, answer
from tests.flows.world import HUBSPOT_CONTACTS, HUBSPOT_DEALS, KLAVIYO, NETSUITE, SHOPIFY, SLACK, World, on_sqlite

AIRTABLE, MAGENTO = "airtable", "Magento 2"
_NAMED = {
    SHOPIFY: fixture_id("Shopify order sync"),
    SLACK: fixture_id("Slack alerts"),
    NETSUITE: fixture_id("NetSuite customer sync"),
    KLAVIYO: fixture_id("Klaviyo profiles"),
    AIRTABLE: fixture_id("Airtable everything"),
    MAGENTO: fixture_id("Magento catalogue"),
}
_OAUTH = (SHOPIFY, SLACK, HUBSPOT_CONTACTS, HUBSPOT_DEALS)
_REALM = ("realm", "consumerKey", "consumerSecret", "tokenId", "tokenSecret")


@dataclass(frozen=True)
class Row:
    """One row of the list, and the values that Alloy must have in the end."""

    username: str
    integration: str
    auth: Mapping[str, str]
    given: Mapping[str, JsonValue] = field(default_factory=dict)
    answers: frozenset[tuple[str, object]] = frozenset()

    @property
    def integration_id(self) -> str:
        return _NAMED.get(self.integration, self.integration)


def _realm(name: str) -> dict[str, str]:
    return {prop: f"{prop} of {name}" for prop in _REALM}


EVERYTHING: dict[str, JsonValue] = {
    "title": "A title", "colour": "Dark blue", "priority": "High", "limit": "12.5", "active": "yes",
    "größe": "Straße 尺寸", "schedule": "0 4 * * *", "table": "Table 499", "variables[0].value": "four",
}  # fmt: skip
ANSWERED = frozenset({
    ("title", "A title"), ("colour", "dark-blue"), ("priority", 2), ("limit", 12.5), ("active", True),
    ("größe", "Straße 尺寸"), ("schedule", "0 4 * * *"), ("table", "tbl499"), ("variables[0].value", "four"),
})  # fmt: skip

IDA = "ida@example.test"
HAL = "hal@example.test"
EVE = "eve@example.test"
LIST = (
    Row("ann@example.test", SHOPIFY, {"shopSubdomain": "ann-shop"}),
    Row(
        "bob@example.test", SLACK, {}, {"channel": "#orders", "message": "New: {{ order }}"},
        frozenset({("channel", fixture_id("channel/orders")[:11].upper()), ("message", "New: {{ order }}")}),
    ),
    Row("cyd@example.test", HUBSPOT_CONTACTS, {}),
    Row(
        "dan@example.test", NETSUITE, _realm("dan"), {"customerEmail": "dan@shop.test"},
        frozenset({("customerEmail", "dan@shop.test")}),
    ),
    Row(EVE, KLAVIYO, {"apiKey": "key of eve"}),
    Row("fay@example.test", AIRTABLE, {"apiKey": "key of fay"}, EVERYTHING, ANSWERED),
    Row("gus@example.test", MAGENTO, {"storeUrl": "https://gus.test", "accessToken": "token of gus"}),
    Row(HAL, NETSUITE, _realm("hal"), {}, frozenset({("customerEmail", "hal@shop.test")})),
    Row(IDA, KLAVIYO, {"apiKey": "key of ida"}),
    Row("jon@example.test", HUBSPOT_CONTACTS, {}),
    Row("jon@example.test", HUBSPOT_DEALS, {}),
    Row("kim+söder/x@example.test", SHOPIFY, {"shopSubdomain": "kim-shop"}),
    Row("lea@example.test", KLAVIYO, {"apiKey": "key of lea"}),
    Row("lea@example.test", AIRTABLE, {"apiKey": "key of lea"}, EVERYTHING, ANSWERED),
)  # fmt: skip
CUSTOMERS = {row.username for row in LIST}
CONSENTS = 5
CREDENTIALS = 14
"""One for each onboarding but jon's second, who shares; and the one that ida had before us."""


async def travel(world: World, patience: timedelta = timedelta(minutes=10)) -> None:
    """Bring everybody as far as they go; hal's answer comes while everybody else is under way."""
    ida = world.sandbox.account.add_user(IDA, "Ida")
    world.sandbox.account.add_credential(ida, connector="klaviyo", name="old", data={"apiKey": "an older key"})
    for row in LIST:
        world.add(row.username, row.integration, auth=row.auth, answers=row.given)
    await world.run()
    hals = [Given(name="customerEmail", value="hal@shop.test")]
    answer(world.engine, Chosen(username=HAL), hals, by="hal", now=world.clock.now())
    await world.run_to_the_end(patience=patience)


def installations_of(world: World, row: Row) -> list[Installation]:
    account = world.sandbox.account
    user = account.find_user(row.username)
    return account.installations_of(user.user_id, row.integration_id) if user is not None else []


def assert_installed_once(world: World, row: Row) -> None:
    """Check one onboarding against Alloy's books: one installation, its credential, its answers."""
    (installation,) = installations_of(world, row)
    (credential_id,) = installation.credential_ids.values()
    credential = world.sandbox.account.credentials[credential_id]
    answers = [
        (one["name"], one["value"])
        for block in installation.answers
        for one in block["fields"]  # type: ignore[attr-defined]
    ]
    assert installation.enabled
    assert credential.digest == digest_of(credential_id, dict(row.auth))
    # repr: for Python 1 and True are the same answer, for Alloy they are not
    assert {repr(one) for one in answers} == {repr(one) for one in row.answers}


def assert_everybody_is_installed_once(world: World, *, asked_again: bool = False) -> None:
    for row in LIST:
        assert_installed_once(world, row)
    ledger, standing = world.ledger(), world.standing()
    assert set(ledger.users_of) == CUSTOMERS
    assert len(ledger.users_of) == ledger.users == 12
    assert (ledger.installations_started, ledger.installations_completed) == (len(LIST), len(LIST))
    assert (ledger.credentials_created, ledger.unused_credentials) == (CREDENTIALS, 1)
    assert ledger.consents_granted == CONSENTS
    assert ledger.completions == len(LIST)
    # The adopted user's name is taken; where the look-up after that was refused, Alloy is asked, and says so, again.
    assert ledger.duplicate_user_creates >= 1 if asked_again else ledger.duplicate_user_creates == 1
    assert standing.stages[Stage.completed] == standing.total == len(LIST)
    assert standing.leftovers == 0


@pytest.mark.parametrize(
    ("dialect", "profile"),
    [(dialect, profile) for dialect in ("seed", "2024-03", "2025-09") for profile in ("seed", "strict")],
)
async def test_everybody_is_installed_once_in_every_dialect(
    database_url: str, tmp_path: Path, dialect: str, profile: str
) -> None:
    knobs = Knobs(profile=profile, auto="grant")  # type: ignore[arg-type]
    async with World(database_url, tmp_path, knobs=knobs, dialect=dialect) as world:
        await travel(world)

        assert_everybody_is_installed_once(world)


HARMLESS: tuple[dict[str, object], ...] = (
    {"dialect_fields": "2024-03"},
    {"dialect_fields": "2025-09"},
    {"installations_resource": False},
    {"credentials_route": "users"},
    {"credentials_route": "credentials"},
    {"reject_unknown": True},
    {"error_body": "empty"},
    {"error_body": "html"},
    {"raw_key": "accept"},
    {"raw_key": "refuse"},
    {"revoked_keys": ("prod",)},
    {"forbidden_keys": ("prod",)},
    {"dup_user": 200},
    {"dup_user": 400},
    {"dup_user": 422},
    {"fold_username_case": True},
    {"shuffle_users": True},
    {"hidden_cap": 1},
    {"unknown": 400},
    {"allow_token_import": True},
    {"verify_secret": True},
    {"shuffle_credentials": True},
    {"visibility_lag_ms": 7000},
    {"list_started": False},
    {"hidden_cap_installations": 0},
    {"dup_start": "existing"},
    {"dup_start": "409"},
    {"recomplete": "400"},
    {"recomplete": "409"},
    {"regrant": "refresh"},
    {"link_life_ms": 60_000},
    {"link_single_use": True},
    {"grant_lag_ms": 7000},
    {"post_oauth_redirect": "https://isv.example.test/connected"},
    {"auto_after_ms": 90_000},
    {"auto_repeats": True},
    {"latency_ms": 20},
    {"latency_after_ms": 20},
)


def _told(turned: dict[str, object]) -> str:
    return ", ".join(f"{name}={value}" for name, value in turned.items())


@pytest.mark.parametrize("turned", HARMLESS, ids=_told)
async def test_everybody_is_installed_once_whichever_knob_is_turned(
    database_url: str, tmp_path: Path, turned: dict[str, object]
) -> None:
    knobs = Knobs(**{"auto": "grant", **turned})  # type: ignore[arg-type]
    async with World(database_url, tmp_path, knobs=knobs) as world:
        await travel(world)

        assert_everybody_is_installed_once(world)


@on_sqlite
@pytest.mark.parametrize("form", ["seconds", "date", "absent", "zero", "huge"])
async def test_everybody_is_installed_once_under_a_rate_limit(database_url: str, tmp_path: Path, form: str) -> None:
    # A bucket that lets most calls through: how the others are waited for is what differs.
    knobs = Knobs(auto="grant", rate_limit_per_s=30, rate_limit_burst=15, retry_after=form)  # type: ignore[arg-type]
    async with World(database_url, tmp_path, knobs=knobs) as world:
        await travel(world, patience=timedelta(days=2))

        assert_everybody_is_installed_once(world, asked_again=True)
        assert any("429" in request.faults for request in world.sandbox.requests)


@on_sqlite
@pytest.mark.parametrize("turned", [{"auto": "ignore"}, {"auto": "deny"}, {"abandonment": 1.0}], ids=_told)
async def test_whoever_does_not_consent_waits_and_everybody_else_is_installed_once(
    database_url: str, tmp_path: Path, turned: dict[str, object]
) -> None:
    knobs = Knobs(**{"auto": "grant", **turned})  # type: ignore[arg-type]
    async with World(database_url, tmp_path, knobs=knobs) as world:
        await travel(world, patience=timedelta(minutes=1))

        asked = [row for row in LIST if row.integration in _OAUTH]
        others = [row for row in LIST if row not in asked]
        for row in others:
            assert_installed_once(world, row)
        standing = world.standing()
        assert (standing.stages[Stage.completed], standing.stages[Stage.created]) == (len(others), len(asked))
        assert standing.reasons == {Reason.awaiting_consent: len(asked)}
        assert world.ledger().installations_started == len(others)
        assert (world.ledger().users, world.ledger().consents_granted) == (12, 0)


@on_sqlite
async def test_a_user_who_may_not_install_is_held_and_everybody_else_is_installed_once(
    database_url: str, tmp_path: Path
) -> None:
    async with World(database_url, tmp_path, knobs=Knobs(auto="grant", barred_users=(EVE,))) as world:
        await travel(world)

        held = world.story(EVE)
        assert (held.stage, held.hold, held.reason) == (Stage.authed, HoldKind.operator, Reason.rejected)
        assert NOT_AUTHORIZED in (held.sentence or "")
        assert world.standing().stages[Stage.completed] == world.ledger().installations_started == len(LIST) - 1


@on_sqlite
@pytest.mark.parametrize(
    ("turned", "reason"),
    [({"revoked_keys": ("dev",)}, Reason.unauthorized), ({"forbidden_keys": ("dev",)}, Reason.forbidden)],
    ids=["revoked", "forbidden"],
)
@pytest.mark.parametrize("body", ["message", "empty", "html"])
async def test_a_key_that_is_refused_stops_the_run_and_blames_nobody(
    database_url: str, tmp_path: Path, turned: dict[str, object], reason: Reason, body: str
) -> None:
    async with World(database_url, tmp_path, knobs=Knobs(error_body=body, **turned)) as world:  # type: ignore[arg-type]
        with pytest.raises(Halted) as halted:
            await travel(world)

        standing = world.standing()
        assert halted.value.reason is reason
        assert (standing.moving, standing.reasons) == (len(LIST), {})
        assert world.ledger().users == 1
