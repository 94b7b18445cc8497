"""The catalogue that a fresh sandbox offers: one integration for every kind of form and of app.

Ids are derived from names, so they are the same in every process and never need to be looked up in a test.
"""

import hashlib
import uuid

from deployments.sandbox.catalogue import (
    ACCOUNT_VARIABLES,
    App,
    AuthProperty,
    Block,
    Catalogue,
    Integration,
    Option,
    Question,
    Workflow,
)


def fixture_id(name: str) -> str:
    """Return the 24 hex digits that stand for this name, as the vendor's object ids look."""
    return hashlib.sha256(f"fixture/{name}".encode()).hexdigest()[:24]


def _integration(name: str, *, app: str, workflows: dict[str, tuple[Block, ...]]) -> Integration:
    return Integration(
        integration_id=fixture_id(name),
        name=name,
        app=app,
        workflows=tuple(
            Workflow(workflow_id=fixture_id(f"{name}/{workflow}"), name=workflow, blocks=blocks)
            for workflow, blocks in workflows.items()
        ),
    )


def _block(integration: str, name: str, connector: str, *questions: Question) -> Block:
    block_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{integration}/{name}"))
    return Block(block_id=block_id, name=name, connector=connector, questions=questions)


def _properties(**labels: str) -> tuple[AuthProperty, ...]:
    return tuple(AuthProperty(name=name, display_name=label) for name, label in labels.items())


_APPS = (
    App(
        connector="shopify",
        label="Shopify",
        is_oauth=True,
        scopes=("read_orders", "write_orders"),
        properties=(
            AuthProperty(
                name="shopSubdomain",
                display_name="Shop Subdomain",
                description=(
                    "Enter your store subdomain. If your store domain is example.myshopify.com, "
                    "the subdomain would be example."
                ),
            ),
        ),
    ),
    App(connector="slack", label="Slack", is_oauth=True, scopes=("channels:read", "chat:write")),
    App(
        connector="netsuite",
        label="NetSuite",
        is_oauth=False,
        properties=_properties(
            realm="Realm",
            consumerKey="Consumer Key",
            consumerSecret="Consumer Secret",
            tokenId="Token ID",
            tokenSecret="Token Secret",
        ),
    ),
    App(connector="klaviyo", label="Klaviyo", is_oauth=False, properties=_properties(apiKey="Private API Key")),
    App(connector="airtable", label="Airtable", is_oauth=False, properties=_properties(apiKey="Access Token")),
    App(
        connector="magento",
        label="Magento 2",
        is_oauth=False,
        properties=_properties(storeUrl="Store URL", accessToken="Access Token"),
    ),
    App(connector="hubspot", label="HubSpot", is_oauth=True, scopes=("crm.objects.contacts.read",)),
    App(connector="shipStation", label="ShipStation", is_oauth=False, properties=_properties(apiKey="API Key")),
    App(connector="googleSheets", label="Google Sheets", is_oauth=True, scopes=("spreadsheets",)),
)


def _slack() -> Integration:
    name = "Slack alerts"
    channels = tuple(
        Option(display_name=f"#{label}", value=fixture_id(f"channel/{label}")[:11].upper())
        for label in ("general", "orders", "alerts")
    )
    questions = (
        Question(name="channel", display_name="Channel", options=channels),
        Question(name="message", display_name="Message"),
    )
    workflow = (_block(name, "Send a message", "slack", *questions),)
    return _integration(name, app="Slack", workflows={"Send alerts": workflow})


def _netsuite() -> Integration:
    name = "NetSuite customer sync"
    question = Question(name="customerEmail", display_name="Customer's Email")
    workflow = (_block(name, "Create a customer", "netsuite", question),)
    return _integration(name, app="netsuite", workflows={"Customer sync": workflow})


def _everything() -> Integration:
    name = "Airtable everything"
    kinds = (
        Question(name="title", display_name="Title"),
        Question(name="note", display_name="Note", required=False),
        Question(
            name="colour",
            display_name="Colour",
            type="dropdown",
            options=(Option(display_name="Red", value="red"), Option(display_name="Dark blue", value="dark-blue")),
        ),
        Question(
            name="priority",
            display_name="Priority",
            type="dropdown",
            sub_type="number",
            options=(Option(display_name="Low", value=1), Option(display_name="High", value=2)),
        ),
        Question(name="limit", display_name="Limit", type="number"),
        Question(name="active", display_name="Active", type="boolean"),
        Question(name="größe", display_name="Größe (Straße, 尺寸)"),
        Question(name="schedule", display_name="Schedule", type="cronExpression", required=False),
        Question(
            name="table",
            display_name="Table",
            type="dropdown",
            options=tuple(Option(display_name=f"Table {n:03d}", value=f"tbl{n:03d}") for n in range(500)),
        ),
    )
    create = _block(name, "Create a record", "airtable", *kinds)
    copy = _block(name, "Copy a record", "airtable", Question(name="title", display_name="Title of the copy"))
    variables = _block(name, "Variables", ACCOUNT_VARIABLES, Question(name="variables[0].value", display_name="Value"))
    return _integration(name, app="Airtable", workflows={"Write records": (create, copy), "Variables": (variables,)})


def _plain(name: str, *, app: str, workflow: str, **blocks: str) -> Integration:
    """Return an integration that asks nothing; `blocks` maps connector to block name."""
    made = tuple(_block(name, label, connector) for connector, label in blocks.items())
    return _integration(name, app=app, workflows={workflow: made})


def default_catalogue() -> Catalogue:
    """Return the fixtures: the same value, with the same ids, every time."""
    return Catalogue(
        apps=_APPS,
        integrations=(
            _plain("Shopify order sync", app="Shopify", workflow="Order sync", shopify="New order"),
            _slack(),
            _netsuite(),
            _plain("Klaviyo profiles", app="Klaviyo", workflow="Profile sync", klaviyo="Add a profile"),
            _everything(),
            _plain("Magento catalogue", app="Magento 2", workflow="Catalogue sync", magento="New product"),
            _plain("HubSpot contacts", app="HubSpot", workflow="Contact sync", hubspot="New contact"),
            _plain("HubSpot deals", app="HubSpot", workflow="Deal sync", hubspot="New deal"),
            _plain(
                "Shipment ledger",
                app="ShipStation",
                workflow="Shipments to sheet",
                shipStation="New shipment",
                googleSheets="Add a row",
            ),
        ),
    )
