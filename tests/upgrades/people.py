"""Who is in a fixture: one customer for every stage, every kind of hold and every place where a process may have died.

Each says in a sentence what they stand for, how they came there (``lives``), what is to happen once the present code
has opened the database (``then``, one round after another), and how that must end: at our end for each of their
onboardings, and at Alloy.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from deployments.sandbox.fixtures import fixture_id
from states.holds import LAST_ATTEMPT
from tests.upgrades.living import Life, Row

KLAVIYO, SHOPIFY = fixture_id("Klaviyo profiles"), fixture_id("Shopify order sync")
CONTACTS, DEALS = fixture_id("HubSpot contacts"), fixture_id("HubSpot deals")
REALM = {name: f"test {name}" for name in ("realm", "consumerKey", "consumerSecret", "tokenId", "tokenSecret")}
KEY = {"apiKey": "test key"}
SHOP = {"shopSubdomain": "test-shop"}

COMPLETED = ["completed", None]


@dataclass(frozen=True, kw_only=True)
class Person:
    """One customer of a fixture."""

    username: str
    tells: str
    lives: Callable[[Life], Awaitable[None]]
    rows: tuple[Row, ...] = ()
    """What their lists say of them; by default Klaviyo, which needs an API key and asks nothing."""
    batch: str = "spring"
    then: tuple[Row, ...] = ()
    ends: tuple[list[str | None], ...] = (COMPLETED,)
    """Stage, and reason or the word cancelled, of each of their onboardings."""
    credentials: int = 1
    started: int = 1
    """Installations that were ever started."""
    live: int = 1

    def list_rows(self) -> list[Row]:
        """Return the rows by which they came onto a list."""
        rows = self.rows or ({"integration": "Klaviyo", "auth": KEY},)
        return [{"username": self.username, **row} for row in rows]

    def as_json(self) -> Row:
        """Return what the fixture keeps of them."""
        return {
            "username": self.username, "tells": self.tells, "batch": self.batch, "rows": self.list_rows(),
            "then": [self._round(one) for one in self.then], "ends": list(self.ends),
            "at_alloy": {"credentials": self.credentials, "started": self.started, "live": self.live},
        }  # fmt: skip

    def _round(self, what: Row) -> Row:
        return {"rows": [{"username": self.username, **row} for row in what["rows"]]} if "rows" in what else what


def klaviyo(auth: dict[str, str] = KEY, integration: str = "Klaviyo") -> Row:
    return {"integration": integration, "auth": auth}


def shopify(auth: dict[str, str] = SHOP) -> Row:
    return {"integration": "Shopify", "auth": auth}


def netsuite(**answers: str) -> Row:
    return {"integration": "netsuite", "auth": REALM, **({"map": answers} if answers else {})}


def steps(times: int) -> Callable[[Life], Awaitable[None]]:
    """Return the life of whoever met with nothing on their way."""

    async def lives(life: Life) -> None:
        await life.step(times)

    return lives


def lost(steps_before: int, kind: str, route: str, **more: Any) -> Callable[[Life], Awaitable[None]]:
    """Return the life of whoever had one call go wrong."""

    async def lives(life: Life) -> None:
        await life.step(steps_before)
        life.strike(kind, route, **more)
        await life.step()

    return lives


async def consented(life: Life) -> None:
    await life.step(2)
    life.consent("shopify")


async def had_an_older_credential(life: Life) -> None:
    life.was_there(app="shopify", data={"shopSubdomain": "older-shop"})
    await life.step(2)


async def looked_in_vain(life: Life) -> None:
    await life.step(1)
    life.strike("drop_before", "create_credential")
    await life.step()
    await life.later(45)
    await life.step()


async def refused_key(life: Life) -> None:
    life.turn(verify_secret=True)
    await life.step(2)


async def barred(life: Life) -> None:
    life.turn(barred_users=("barred",))
    await life.step(3)


async def invalid_answer(life: Life) -> None:
    await life.step(2)
    life.consent("slack")
    await life.step(3)


async def installed_before(life: Life) -> None:
    user_id = life.was_there(app="klaviyo", data={"apiKey": "older key"})
    await life.was_installed(user_id, KLAVIYO)
    await life.step(2)


async def conflicting(life: Life) -> None:
    life.turn(dup_start="409", list_started=False)
    await life.step(2)
    life.strike("drop_after", "start_installation")
    await life.step(4)


async def gave_up(life: Life) -> None:
    await life.step(1)
    life.strike("429", "oauth_url", count=None, retry_after_s=3600)
    await life.step(LAST_ATTEMPT)


async def dies_claimed(life: Life) -> None:
    await life.step(1)
    await life.be_claimed()


def dies_in(steps_before: int, route: str) -> Callable[[Life], Awaitable[None]]:
    async def lives(life: Life) -> None:
        await life.step(steps_before)
        await life.die_in_a_call(route)

    return lives


async def answered_late(life: Life) -> None:
    await life.step(1)
    await life.lose_the_lease_in_a_call("create_credential")


async def nudged(life: Life) -> None:
    await life.step(3)
    await life.be_claimed()
    life.answer(customerEmail="nudged@shop.test")


async def cancelled(life: Life) -> None:
    await life.step(2)
    life.cancel()
    life.consent("shopify")


CONSENT: Row = {"consent": "shopify"}
REDRIVE: Row = {"redrive": True}

PEOPLE = (
    Person(
        username="gave-up", tells="was refused for now until an operator was asked", lives=gave_up, rows=(shopify(),),
        then=(REDRIVE, CONSENT),
    ),
    Person(username="new", tells="is on the list and nothing more", lives=steps(0)),
    Person(username="created", tells="has a user, and is due", lives=steps(1)),
    Person(username="authed", tells="has a credential, and is due", lives=steps(2)),
    Person(
        username="installing", tells="has an installation begun, and is due", lives=steps(3),
        rows=(netsuite(customerEmail="installing@shop.test"),),
    ),
    Person(
        username="mapped", tells="has the form filled in, and is due", lives=steps(4),
        rows=(netsuite(customerEmail="mapped@shop.test"),),
    ),
    Person(username="completed", tells="was brought to the end", lives=steps(5)),
    Person(
        username="templated", tells="gets an answer from the mapping file of the batch", lives=steps(3),
        rows=(netsuite(),), batch="autumn",
    ),
    Person(
        username="awaiting-consent", tells="has a link that nobody has followed yet", lives=steps(2), rows=(shopify(),),
        then=(CONSENT,),
    ),
    Person(
        username="consented", tells="has consented, and nobody has looked since", lives=consented, rows=(shopify(),)
    ),
    Person(
        username="older-credential", tells="has a link, and had a credential before us that never counts",
        lives=had_an_older_credential, rows=(shopify(),), then=({}, CONSENT), credentials=2,
    ),
    Person(
        username="awaiting-answer", tells="is asked for a field that the list does not bring", lives=steps(4),
        rows=(netsuite(),), then=({"answer": {"customerEmail": "answer@shop.test"}},),
    ),
    Person(
        username="sharing", tells="has two onboardings that share one consent", lives=steps(4),
        rows=({"integration": CONTACTS}, {"integration": DEALS}), then=({"consent": "hubspot"},),
        ends=(COMPLETED, COMPLETED), started=2, live=2,
    ),
    Person(
        username="taking-turns", tells="has two onboardings whose consents go one after the other", lives=steps(4),
        rows=({"integration": CONTACTS, "auth": {"portal": "1"}}, {"integration": DEALS, "auth": {"portal": "2"}}),
        then=({"consent": "hubspot"}, {"consent": "hubspot"}),
        ends=(COMPLETED, COMPLETED), credentials=2, started=2, live=2,
    ),
    Person(
        username="lost-user", tells="was created, and the answer was lost", lives=lost(0, "drop_after", "create_user"),
    ),
    Person(
        username="lost-credential", tells="has a credential, and the answer was lost",
        lives=lost(1, "drop_after", "create_credential"),
    ),
    Person(
        username="lost-start", tells="has an installation begun, and the answer was lost",
        lives=lost(2, "err_after", "start_installation"),
    ),
    Person(
        username="lost-completion", tells="is installed, and the answer was lost",
        lives=lost(4, "drop_after", "complete_installation"),
    ),
    Person(
        username="unsent-user", tells="may have been created, and was not",
        lives=lost(0, "drop_before", "create_user"),
    ),
    Person(
        username="unsent-credential", tells="may have a credential, and has none",
        lives=lost(1, "drop_before", "create_credential"),
    ),
    Person(
        username="unsent-start", tells="may have an installation begun, and has none",
        lives=lost(2, "err_before", "start_installation"),
    ),
    Person(
        username="unsent-completion", tells="may be installed, and is not",
        lives=lost(4, "drop_before", "complete_installation"),
    ),
    Person(
        username="looked-in-vain", tells="had a call looked for in vain once, which is not enough",
        lives=looked_in_vain,
    ),
    Person(
        username="rate-limited", tells="was refused for an hour",
        lives=lost(2, "429", "start_installation", retry_after_s=3600),
    ),
    Person(
        username="unconfirmed", tells="is installed, and could not be read back",
        lives=lost(4, "drop_before", "get_integration", count=None),
    ),
    Person(
        username="refused-key", tells="brought a key that Alloy refuses", lives=refused_key,
        rows=(klaviyo({"apiKey": "refused-key"}),), then=({"rows": [klaviyo({"apiKey": "mended key"})]},),
    ),
    Person(username="barred", tells="was not allowed to install", lives=barred, then=(REDRIVE,)),
    Person(
        username="invalid-answer", tells="brought an answer that is none of the options", lives=invalid_answer,
        rows=({"integration": "Slack", "map": {"channel": "#nowhere", "message": "Hello"}},),
        then=({"answer": {"channel": "#orders"}},),
    ),
    Person(
        username="installed-before", tells="had the integration installed before us, and an operator wants it again",
        lives=installed_before, then=(REDRIVE,), credentials=2, started=2, live=2,
    ),
    Person(
        username="conflicting", tells="has an installation begun that Alloy does not show", lives=conflicting,
        then=(REDRIVE,), started=2,
    ),
    Person(
        username="unknown-integration", tells="asked for an integration that there is not", lives=steps(2),
        rows=({"integration": "Shoppify", "auth": SHOP},), then=({"rows": [shopify()]}, CONSENT),
    ),
    Person(
        username="ambiguous-integration", tells="asked for one of two integrations", lives=steps(2),
        rows=({"integration": "HubSpot"},), then=({"rows": [{"integration": DEALS}]}, {"consent": "hubspot"}),
    ),
    Person(
        username="missing-auth", tells="brought no auth value", lives=steps(2),
        rows=({"integration": "Shopify"},), then=({"rows": [shopify()]}, CONSENT),
    ),
    Person(
        username="lost-key", tells="brought a value whose key is gone", lives=steps(2), batch="sealed-elsewhere",
        then=({"rows": [klaviyo({"apiKey": "brought again"})]},),
    ),
    Person(
        username="twice", tells="is on the list twice, by two names of one integration", lives=steps(7),
        rows=(klaviyo(), klaviyo(integration=KLAVIYO)), ends=(COMPLETED, ["created", "same_onboarding_twice"]),
    ),
    Person(username="dead-claimed", tells="was claimed by a worker that died then", lives=dies_claimed),
    Person(
        username="dead-in-user", tells="was being created by a worker that died", lives=dies_in(0, "create_user"),
    ),
    Person(
        username="dead-in-credential", tells="was getting a credential from a worker that died",
        lives=dies_in(1, "create_credential"),
    ),
    Person(
        username="dead-in-start", tells="had an installation begun by a worker that died",
        lives=dies_in(2, "start_installation"),
    ),
    Person(
        username="dead-in-completion", tells="was installed by a worker that died",
        lives=dies_in(4, "complete_installation"),
    ),
    Person(
        username="answered-late", tells="has a credential of which the answer came after the lease",
        lives=answered_late,
    ),
    Person(
        username="nudged", tells="answered while a worker, now dead, had the record", lives=nudged, rows=(netsuite(),),
    ),
    Person(
        username="cancelled", tells="was cancelled, and consented all the same", lives=cancelled, rows=(shopify(),),
        ends=(["created", "cancelled"],), started=0, live=0,
    ),
)  # fmt: skip
