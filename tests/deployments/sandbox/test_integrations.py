"""The catalogue as a user sees it, in every dialect."""

from dataclasses import replace

import pytest

from deployments.sandbox.fixtures import default_catalogue, fixture_id


async def listed(api, app, user="a@example.test"):
    answer = await api.get("/integrations", userId=user)
    return [one for one in answer["data"] if app in (one.get("app"), one.get("primaryConnector"))]


async def test_the_list_is_annotated_for_the_user(api):
    await api.user("b@example.test")
    await api.installed()

    mine = (await listed(api, "Klaviyo"))[0]
    theirs = (await listed(api, "Klaviyo", "b@example.test"))[0]

    assert (mine["installed"], theirs["installed"]) == (True, False)
    workflow = mine["workflows"][0]
    assert (workflow["installed"], workflow["active"], workflow["installedVersion"]) == (True, True, 1)
    assert "installedVersion" not in theirs["workflows"][0]


async def test_a_started_installation_does_not_count_as_installed(api):
    user = await api.user()
    await api.credential(user)
    await api.start(user)

    assert (await listed(api, "Klaviyo"))[0]["installed"] is False


async def test_the_list_needs_a_user_that_exists(api):
    await api.get("/integrations", status=400)
    await api.get("/integrations", status=404, userId="nobody")
    assert len((await api.get("/integrations/all"))["data"]) == len(default_catalogue().integrations)


async def test_one_integration_is_found_by_id_and_by_its_custom_name(api):
    await api.user()
    by_name = await api.get("/integrations/HubSpot deals", userId="a@example.test")
    by_id = await api.get(f"/integrations/{fixture_id('HubSpot deals')}", userId="a@example.test")

    assert by_name == by_id
    assert len(await listed(api, "HubSpot")) == 2


async def test_an_unknown_integration_is_404_or_400_without_text(api):
    await api.user()
    await api.get("/integrations/HubSpot", status=404, userId="a@example.test")

    api.turn(unknown=400)

    assert await api.get("/integrations/HubSpot", status=400, userId="a@example.test") == {}


@pytest.mark.parametrize(
    ("dialect", "label_keys", "block_keys"),
    [
        ("2024-03", {"app"}, {"blocks": "type"}),
        ("2025-09", {"primaryConnector", "credentials"}, {"connectors": "connector"}),
        ("mixed", {"app", "primaryConnector", "credentials"}, {"connectors": "connector"}),
    ],
)
async def test_the_list_follows_the_dialect(api, dialect, label_keys, block_keys):
    await api.user()
    api.turn(dialect_fields=dialect)

    magento = (await listed(api, "Magento 2"))[0]

    assert {"app", "primaryConnector", "credentials"} & magento.keys() == label_keys
    (blocks, connector), *_ = block_keys.items()
    assert magento["workflows"][0][blocks][0][connector] == "magento"
    one = await api.get(f"/integrations/{magento['integrationId']}", userId="a@example.test")
    assert one["data"]["app"] == "Magento 2"


async def test_metadata_knows_the_connector_and_not_the_label(api):
    await api.get("/metadata/credentials/Magento 2", status=404)

    metadata = (await api.get("/metadata/credentials/magento"))["data"]

    assert [one["name"] for one in metadata["properties"]] == ["storeUrl", "accessToken"]
    assert metadata in (await api.get("/metadata/credentials"))["data"]


async def test_metadata_follows_the_dialect(api):
    api.turn(dialect_fields="2025-09")

    metadata = (await api.get("/metadata/credentials/shopify"))["data"]

    assert metadata["connector"] == "shopify"
    assert "name" not in metadata


async def test_an_integration_over_two_apps_needs_both(api):
    await api.user()

    assert (await listed(api, "ShipStation"))[0]["credentials"] == ["shipStation", "googleSheets"]


def test_the_fixtures_are_the_same_every_time_and_ask_every_kind_of_field():
    catalogue = default_catalogue()
    questions = [
        question
        for integration in catalogue.integrations
        for workflow in integration.workflows
        for block in workflow.blocks
        for question in block.questions
    ]

    assert catalogue == default_catalogue()
    assert {one.type for one in questions} == {"string", "dropdown", "number", "boolean", "cronExpression"}
    assert max(len(one.options) for one in questions) == 500
    assert [one.name for one in questions].count("title") == 2
    assert "variables[0].value" in {one.name for one in questions}
    assert any(not one.display_name.isascii() for one in questions)


async def test_a_hosted_link_and_a_token_are_shaped_as_documented(api):
    user = await api.user()
    integration = fixture_id("Slack alerts")

    assert "url" in await api.get(f"/users/{user}/integrations/{integration}/install-url")
    assert "url" in await api.get(f"/integrations/{integration}/install-url", userId=user)
    assert "token" in await api.get(f"/users/{user}/token")
    assert "token" in await api.get("/authentication", userId=user)


async def test_another_catalogue_can_be_released(api):
    await api.user()
    catalogue = api.sandbox.catalogue

    api.sandbox.catalogue = replace(catalogue, integrations=catalogue.integrations[:1])

    assert len((await api.get("/integrations", userId="a@example.test"))["data"]) == 1
