"""Customers for a list: of every kind of app, with and without questions, and every auth value a canary.

What is secret begins with "canary", or with "refused-canary" where Alloy is to refuse it; nothing else holds that word.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from deployments.sandbox.fixtures import fixture_id

API_KEY = "canary-of-the-api-key"
CONSENT_LINK = "/api/strategy/"
"""What every consent link of the local Alloy holds."""

_IDS = {
    "klaviyo": fixture_id("Klaviyo profiles"),
    "netsuite": fixture_id("NetSuite customer sync"),
    "shopify": fixture_id("Shopify order sync"),
    "slack": fixture_id("Slack alerts"),
}
_SLACK = {"map.channel": "#orders", "map.message": "Hello"}
_KINDS = ("klaviyo", "slack", "netsuite", "shopify")


@dataclass(frozen=True)
class Person:
    """One row of a list."""

    username: str
    integration: str
    cells: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str]:
        """What the ledger calls this customer's installations."""
        return self.username, _IDS[self.integration]


def klaviyo(username: str, key: str = "canary-private-key") -> Person:
    """Return a customer with an API key, whom nothing is asked."""
    return Person(username, "klaviyo", {"auth.apiKey": key})


def slack(username: str) -> Person:
    """Return a customer who has to consent, with all answers."""
    return Person(username, "slack", _SLACK)


def shopify(username: str) -> Person:
    """Return a customer who has to consent for one shop, and whom nothing is asked."""
    return Person(username, "shopify", {"auth.shopSubdomain": "canary-shop"})


def netsuite(username: str, *, answered: bool = True) -> Person:
    """Return a customer with five auth values, with or without the answer that is asked for."""
    names = ("realm", "consumerKey", "consumerSecret", "tokenId", "tokenSecret")
    answers = {"map.customerEmail": username} if answered else {}
    return Person(username, "netsuite", {f"auth.{name}": f"canary/{name}+=" for name in names} | answers)


def people(number: int) -> list[Person]:
    """Return as many customers, of all kinds in turn."""
    made = {"klaviyo": klaviyo, "slack": slack, "netsuite": netsuite, "shopify": shopify}
    return [made[_KINDS[one % len(_KINDS)]](f"c{one:03d}@example.test") for one in range(number)]


def write_list(path: Path, listed: Iterable[Person]) -> Path:
    """Write the list as CSV."""
    rows = [{"username": one.username, "integration": one.integration, **one.cells} for one in listed]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)))
        writer.writeheader()
        writer.writerows(rows)
    return path
