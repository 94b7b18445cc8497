"""What the simulated account offers: the local Alloy's fixtures, and second integrations on the same apps.

Two onboardings of one customer on one app are where credentials can be confused, so every kind of app has a pair.
"""

from dataclasses import dataclass, field, replace

from deployments.sandbox.catalogue import Block, Catalogue, Integration, Workflow
from deployments.sandbox.fixtures import default_catalogue, fixture_id

SHOPIFY, SHOPIFY_RETURNS = fixture_id("Shopify order sync"), fixture_id("Shopify returns")
HUBSPOT_CONTACTS, HUBSPOT_DEALS = fixture_id("HubSpot contacts"), fixture_id("HubSpot deals")
KLAVIYO, KLAVIYO_LISTS = fixture_id("Klaviyo profiles"), fixture_id("Klaviyo lists")
SLACK, NETSUITE, MAGENTO = (
    fixture_id("Slack alerts"),
    fixture_id("NetSuite customer sync"),
    fixture_id("Magento catalogue"),
)


@dataclass(frozen=True)
class Offer:
    """An integration: which app, whether by consent, which auth values it wants, and answers that fit its form."""

    integration_id: str
    app: str
    is_oauth: bool = False
    auth: tuple[str, ...] = ()
    answers: dict[str, str] = field(default_factory=dict)


OFFERS = {
    offer.integration_id: offer
    for offer in (
        Offer(SHOPIFY, "shopify", is_oauth=True, auth=("shopSubdomain",)),
        Offer(SHOPIFY_RETURNS, "shopify", is_oauth=True, auth=("shopSubdomain",)),
        Offer(HUBSPOT_CONTACTS, "hubspot", is_oauth=True),
        Offer(HUBSPOT_DEALS, "hubspot", is_oauth=True),
        Offer(SLACK, "slack", is_oauth=True, answers={"channel": "#orders", "message": "An order"}),
        Offer(KLAVIYO, "klaviyo", auth=("apiKey",)),
        Offer(KLAVIYO_LISTS, "klaviyo", auth=("apiKey",)),
        Offer(MAGENTO, "magento", auth=("storeUrl", "accessToken")),
        Offer(
            NETSUITE,
            "netsuite",
            auth=("realm", "consumerKey", "consumerSecret", "tokenId", "tokenSecret"),
            answers={"customerEmail": "orders@example.test"},
        ),
    )
}

PAIRS = ((SHOPIFY, SHOPIFY_RETURNS), (HUBSPOT_CONTACTS, HUBSPOT_DEALS), (KLAVIYO, KLAVIYO_LISTS))
"""Two integrations on one app."""


def simulated_catalogue() -> Catalogue:
    """Return what the account offers."""
    fixtures = default_catalogue()
    known = tuple(one for one in fixtures.integrations if one.integration_id in OFFERS)
    seconds = (_second("Shopify returns", "Shopify", "shopify"), _second("Klaviyo lists", "Klaviyo", "klaviyo"))
    return replace(fixtures, integrations=known + seconds)


def _second(name: str, app: str, connector: str) -> Integration:
    workflow_id, block_id = fixture_id(f"{name}/workflow"), fixture_id(f"{name}/block")
    workflow = Workflow(
        workflow_id=workflow_id, name=name, blocks=(Block(block_id=block_id, name=name, connector=connector),)
    )
    return Integration(integration_id=fixture_id(name), name=name, app=app, workflows=(workflow,))
