"""The requests of the Headless Mode document, its answers, and every variation of them that is known."""

import re
import string
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from flows.alloy.client import AlloyClient
from flows.alloy.dialects import DIALECTS, Capabilities
from states.failures import Effect, Halted, Rejected, Transient
from states.forms import parse_form, readable_form
from states.holds import Reason
from tests.flows.alloy.vendor import KEY, Routes, Vendor, answer, speaking_to

FORM = [
    {
        "workflowId": "65b7005ae9761102a64ddd3b",
        "app": "netsuite",
        "blockId": "3a8a8e50-f0e5-488b-9b7b-53656e93d392",
        "fields": [{"name": "customerEmail", "displayName": "Customer's Email", "type": "string", "required": True}],
    }
]
INSTALLATION = {
    "installationId": "64f0c1a2b3d4e5f607182960",
    "integrationId": "64f0c1a2b3d4e5f607182940",
    "userId": "64f0c1a2b3d4e5f60718293a",
    "formData": FORM,
    "credentialIds": {"shopifyApi": "64f0c1a2b3d4e5f607182950"},
    "workflowIds": ["64f0c1a2b3d4e5f607182941"],
    "installedAt": "2025-01-05T10:02:00.000Z",
    "enabled": False,
}
INTEGRATION = {
    "integrationId": "64f0c1a2b3d4e5f607182940",
    "description": "",
    "app": "Shopify",
    "installed": False,
    "credentials": ["shopify"],
    "workflows": [
        {
            "workflowId": "64f0c1a2b3d4e5f607182941",
            "name": "Order sync",
            "installed": True,
            "active": False,
            "version": 2,
            "blocks": [{"name": "Shopify", "id": "0b9c", "type": "shopify", "icon": "i"}],
        }
    ],
}
NETSUITE = {"realm": "123", "consumerKey": "4567", "consumerSecret": SecretStr("6789"), "tokenId": "0000"}


async def asked_for(
    call: Callable[[AlloyClient], Awaitable[object]], replied: object, **options: Any
) -> tuple[Vendor, object]:
    vendor = Vendor(answer(replied))
    async with speaking_to(vendor, **options) as client:
        result = await call(client)
    return vendor, result


# the samples of the Headless Mode document, in its order


async def test_create_a_user_as_the_document_shows_it_with_the_username_that_the_reference_requires() -> None:
    vendor, user_id = await asked_for(
        lambda client: client.create_user("ada@example.test", "Ada Lovelace"), {"userId": "6634f9aa6adb117b4c47d8ab"}
    )

    assert vendor.asked == [("POST", "/users")]
    assert vendor.body() == {"username": "ada@example.test", "fullName": "Ada Lovelace"}
    assert user_id == "6634f9aa6adb117b4c47d8ab"


async def test_every_call_carries_the_key_and_says_what_it_accepts() -> None:
    vendor, _ = await asked_for(lambda client: client.create_user("ada"), {"userId": "u"})
    headers = vendor.requests[0].headers

    assert str(vendor.requests[0].url) == "https://embedded.runalloy.com/users"
    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["accept"] == "application/json"
    assert headers["content-type"] == "application/json"
    assert vendor.body() == {"username": "ada"}


async def test_list_integrations_as_the_document_shows_it() -> None:
    vendor, listed = await asked_for(lambda client: client.list_integrations("ANY_USER_ID"), {"data": [INTEGRATION]})

    assert vendor.asked == [("GET", "/integrations?userId=ANY_USER_ID")]
    assert vendor.requests[0].content == b""
    assert [integration.label for integration in listed] == ["Shopify"]


async def test_credential_metadata_as_the_document_shows_it() -> None:
    sample = {
        "data": {
            "name": "shopify",
            "icon": "https://cdn.runalloy.com/icons/shopify.png",
            "isOauth": True,
            "properties": [
                {"name": "shopSubdomain", "displayName": "Shop Subdomain", "description": "Enter your store subdomain."}
            ],
        }
    }
    vendor, metadata = await asked_for(lambda client: client.credential_metadata("shopify"), sample)

    assert vendor.asked == [("GET", "/metadata/credentials/shopify")]
    assert metadata.is_oauth
    assert [(known.name, known.label) for known in metadata.properties] == [("shopSubdomain", "Shop Subdomain")]


LINK = "https://api.runalloy.com/api/strategy/shopify/authorize?userId=YOUR_USER_ID&shopSubdomain=SHOP"


async def test_a_consent_link_as_the_document_shows_it() -> None:
    vendor, url = await asked_for(
        lambda client: client.oauth_url("YOUR_USER_ID", "shopify", {"shopSubdomain": SecretStr("SHOP")}),
        {"data": {"oauthUrl": LINK}},
    )

    assert vendor.asked == [("GET", "/headless/oauthUrl?userId=YOUR_USER_ID&app=shopify&shopSubdomain=SHOP")]
    assert isinstance(url, SecretStr)
    assert url.get_secret_value() == LINK


async def test_list_user_credentials_as_the_document_shows_it() -> None:
    vendor, listed = await asked_for(lambda client: client.list_credentials("USER_ID"), {"data": []})

    assert vendor.asked == [("GET", "/users/USER_ID/credentials")]
    assert listed == []


async def test_create_a_credential_as_the_document_shows_it() -> None:
    vendor, credential_id = await asked_for(
        lambda client: client.create_credential("YOUR_USER_ID", "netsuite", NETSUITE),
        {"success": True, "credentialId": "65b6fd48e4142dd86c387f5e"},
    )

    assert vendor.asked == [("POST", "/headless/credentials")]
    assert vendor.body() == {
        "userId": "YOUR_USER_ID",
        "credential": {
            "type": "netsuite",
            "data": {"realm": "123", "consumerKey": "4567", "consumerSecret": "6789", "tokenId": "0000"},
        },
    }
    assert credential_id == "65b6fd48e4142dd86c387f5e"


async def test_start_an_installation_as_the_document_shows_it_in_camel_case_and_with_a_list() -> None:
    vendor, started = await asked_for(
        lambda client: client.start_installation("YOUR_USER_ID", "YOUR_INTEGRATION_ID", ["YOUR_CREDENTIAL_ID"]),
        {"data": FORM, "installationId": "65b701c2f5ba66db3bc53a68"},
    )

    assert vendor.asked == [("POST", "/headless/startInstallation")]
    assert vendor.body() == {
        "userId": "YOUR_USER_ID",
        "credentialIds": ["YOUR_CREDENTIAL_ID"],
        "integrationId": "YOUR_INTEGRATION_ID",
    }
    assert started.installation_id == "65b701c2f5ba66db3bc53a68"
    assert started.form == FORM
    assert [field.name for block in parse_form(started.form) for field in block.fields] == ["customerEmail"]


async def test_complete_an_installation_as_the_document_shows_it() -> None:
    data = [
        {
            "workflowId": "YOUR_WORKFLOW_ID",
            "blockId": "YOUR_BLOCK_ID",
            "fields": [{"name": "customerEmail", "value": "abc@123.com"}],
        }
    ]
    vendor, _ = await asked_for(
        lambda client: client.complete_installation("YOUR_INSTALLATION_ID", data),
        {"message": "Installation completed successfully"},
    )

    assert vendor.asked == [("POST", "/headless/completeInstallation")]
    assert vendor.body() == {"installationId": "YOUR_INSTALLATION_ID", "data": data}


async def test_the_data_field_is_left_empty_if_nothing_was_asked() -> None:
    vendor, _ = await asked_for(lambda client: client.complete_installation("i", []), {"message": "ok"})

    assert vendor.body() == {"installationId": "i", "data": []}


# the rest of the contract


async def test_a_batch_of_users_tells_who_was_not_created() -> None:
    replied = {"message": "success", "invalidUsers": [{"username": "taken@example.test"}]}
    vendor, invalid = await asked_for(
        lambda client: client.create_users([("ada", "Ada"), ("taken@example.test", None)]), replied
    )

    assert vendor.asked == [("POST", "/users/batch")]
    assert vendor.body() == {"users": [{"username": "ada", "fullName": "Ada"}, {"username": "taken@example.test"}]}
    assert invalid == {"taken@example.test"}


@pytest.mark.parametrize("replied", [{"message": "success"}, {"invalidUsers": []}, {"invalidUsers": None}])
async def test_a_batch_without_invalid_users_went_well(replied: object) -> None:
    _, invalid = await asked_for(lambda client: client.create_users([("ada", None)]), replied)

    assert invalid == frozenset()


@pytest.mark.parametrize(
    "replied",
    [
        [],
        {"invalidUsers": {"username": "ada"}},
        {"invalidUsers": [{"fullName": "No Name"}]},
        {"invalidUsers": [{"username": "ADA"}]},
        {"invalidUsers": [None]},
    ],
)
async def test_a_batch_whose_answer_may_leave_somebody_out_unseen_has_an_unknown_outcome(replied: object) -> None:
    async with speaking_to(Vendor(answer(replied))) as client:
        with pytest.raises(Transient) as raised:
            await client.create_users([("ada", None)])

    assert raised.value.effect is Effect.unknown


async def test_users_are_found_in_the_list_only_if_they_are_in_it_once() -> None:
    rows = [{"userId": "1", "username": "ada"}, {"userId": "2"}, {"userId": "3", "username": "Ada"}]
    rows += [{"userId": "4", "username": "eve"}, {"userId": "5", "username": "eve"}, {"username": "kim"}]
    async with speaking_to(Vendor(answer({"data": rows}))) as client:
        found = await client.find_users(["ada", "eve", "kim", "bob"])

        assert {name: user.user_id for name, user in found.items()} == {"ada": "1"}
        assert client.capabilities.users == 6


async def test_a_batch_in_which_all_were_taken_is_rejected() -> None:
    async with speaking_to(Vendor(answer({"message": "No valid users provided"}, 400))) as client:
        with pytest.raises(Rejected, match="No valid users provided") as raised:
            await client.create_users([("ada", None)])

    assert raised.value.status == 400


@pytest.mark.parametrize("username", ["ada+lovelace@example.test", "a/b?c#d", "é ü", "..", "."])
async def test_a_username_is_percent_encoded_in_a_path(username: str) -> None:
    vendor, user = await asked_for(
        lambda client: client.get_user(username), {"userId": "u1", "username": username, "fullName": None}
    )
    path = vendor.requests[0].url.raw_path.decode()

    assert re.fullmatch(r"/users/[A-Za-z0-9%._-]+", path)
    assert user.user_id == "u1"


@pytest.mark.parametrize("status", [400, 404])
async def test_a_user_an_app_or_an_integration_that_is_not_known_is_none(status: int) -> None:
    async with speaking_to(Vendor(answer(status=status)), capabilities=Capabilities(get_integration=True)) as client:
        assert await client.get_user("ada") is None
        assert await client.credential_metadata("magento") is None
        assert await client.get_integration("i1", "u1") is None


@pytest.mark.parametrize("status", [409, 422])
async def test_a_look_up_that_is_refused_otherwise_is_rejected(status: int) -> None:
    async with speaking_to(Vendor(answer(status=status))) as client:
        for look_up in (
            client.get_user("a"),
            client.credential_metadata("a"),
            client.get_integration("i", "u"),
            client.list_credentials("u"),
            client.find_installations("u", "i"),
            client.get_installation("i"),
        ):
            with pytest.raises(Rejected):
                await look_up


async def test_an_empty_id_asks_for_nothing() -> None:
    vendor = Vendor(answer({"data": []}))
    async with speaking_to(vendor) as client:
        with pytest.raises(ValueError, match="empty"):
            await client.get_user("")

    assert vendor.requests == []


@pytest.mark.parametrize("replied", [{"data": []}, []])
async def test_an_empty_account_has_no_user(replied: object) -> None:
    _, found = await asked_for(lambda client: client.some_user(), replied)

    assert found is None


async def test_an_old_user_has_no_username() -> None:
    _, found = await asked_for(lambda client: client.some_user(), {"data": [{"userId": "u1", "fullName": "Legacy"}]})

    assert found is not None
    assert (found.user_id, found.username, found.full_name) == ("u1", None, "Legacy")


async def test_of_many_users_any_will_do_and_all_are_counted() -> None:
    vendor = Vendor(answer({"data": [{"userId": f"u{one}", "username": f"c{one}"} for one in range(100)]}))
    async with speaking_to(vendor) as client:
        found = await client.some_user()

        assert found is not None
        assert client.capabilities.users == 100


@pytest.mark.parametrize(
    "row", [{}, {"username": "ada"}, {"userId": ""}, {"userId": None}, "ada", {"userId": {"userId": "u"}}]
)
async def test_a_list_of_what_is_no_user_proves_no_empty_account(row: object) -> None:
    with pytest.raises(Transient, match="no User"):
        await asked_for(lambda client: client.some_user(), {"data": [row]})


async def test_of_many_users_those_are_found_who_are_looked_for() -> None:
    vendor = Vendor(answer({"data": [{"userId": f"u{one}", "username": f"c{one}"} for one in range(100)]}))
    async with speaking_to(vendor) as client:
        found = await client.find_users(["c7", "c99", "c100"])

        assert {name: user.user_id for name, user in found.items()} == {"c7": "u7", "c99": "u99"}
        assert client.capabilities.users == 100


async def test_integrations_are_read_in_their_newer_spelling_too() -> None:
    newer = {
        "integrationId": "i1",
        "primaryConnector": "Magento",
        "app": None,
        "installed": None,
        "credentials": None,
        "workflows": [{"workflowId": "w1", "connectors": [{"name": "Magento 2", "connector": "magento"}]}],
        "somethingNew": {"a": 1},
    }
    newer.pop("app")
    _, listed = await asked_for(lambda client: client.list_integrations("u1"), [newer])

    assert (listed[0].label, listed[0].app_names, listed[0].installed) == ("Magento", ["magento"], False)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ["shopify"]),
        ({"credentials": ["PA_1", "shopify"]}, ["PA_1", "shopify"]),
        ({"credentials": []}, ["shopify"]),
        ({"credentials": [], "workflows": []}, ["magento 2"]),
        ({"credentials": [], "workflows": None, "app": None}, []),
    ],
)
async def test_app_names_come_from_the_credentials_then_the_connectors_then_the_label(
    changes: dict[str, object], expected: list[str]
) -> None:
    shown = {**INTEGRATION, "app": "Magento 2", **changes}
    _, found = await asked_for(lambda client: client.get_integration(shown["integrationId"], "u1"), {"data": shown})

    assert found.app_names[: len(expected)] == expected


@pytest.mark.parametrize(
    "replied",
    [
        {"data": {"connector": "netsuite", "isOauth": False, "properties": [{"name": "realm"}], "new": 1}},
        {"name": "netsuite", "isOauth": False, "properties": [{"name": "realm", "displayName": None}]},
        {"data": {"name": "netsuite", "isOauth": False, "properties": [{"name": "realm", "type": "x"}]}},
    ],
)
async def test_metadata_is_read_in_every_spelling(replied: object) -> None:
    _, metadata = await asked_for(lambda client: client.credential_metadata("netsuite"), replied)

    assert (metadata.name, metadata.is_oauth) == ("netsuite", False)
    assert [known.name for known in metadata.properties] == ["realm"]


@pytest.mark.parametrize("said", [{}, {"isOauth": None}, {"isOauth": ""}, {"isOauth": "perhaps"}])
async def test_metadata_that_do_not_say_whether_an_app_asks_for_consent_are_unreadable(said: dict[str, object]) -> None:
    with pytest.raises(Transient) as raised:
        await asked_for(lambda client: client.credential_metadata("a"), {"name": "a", "properties": [], **said})

    assert (raised.value.reason, raised.value.effect) == (Reason.unreadable_answer, Effect.nothing)


@pytest.mark.parametrize("properties", [[], None])
async def test_an_app_may_need_no_properties(properties: object) -> None:
    _, metadata = await asked_for(
        lambda client: client.credential_metadata("a"), {"name": "a", "isOauth": True, "properties": properties}
    )

    assert metadata.properties == []


@pytest.mark.parametrize("replied", [{"data": {"oauthUrl": LINK}}, {"oauthUrl": LINK}, f'{{"oauthUrl": "{LINK}"}}'])
async def test_a_link_is_read_wrapped_bare_or_doubly_encoded(replied: object) -> None:
    _, url = await asked_for(lambda client: client.oauth_url("u", "shopify", {}), replied)

    assert url.get_secret_value() == LINK


async def test_a_property_of_an_app_cannot_take_the_place_of_user_and_app() -> None:
    vendor, _ = await asked_for(
        lambda client: client.oauth_url("u", "shopify", {"userId": "other", "app": "other", "a b": "c&d=é"}),
        {"oauthUrl": LINK},
    )

    assert vendor.query() == [("userId", "u"), ("app", "shopify"), ("a b", "c&d=é")]


@pytest.mark.parametrize("replied", [{"oauthUrl": ""}, {"data": {}}, {}])
async def test_a_link_that_is_missing_is_an_answer_that_cannot_be_read(replied: object) -> None:
    with pytest.raises(Transient) as raised:
        await asked_for(lambda client: client.oauth_url("u", "shopify", {}), replied)

    assert (raised.value.reason, raised.value.effect) == (Reason.unreadable_answer, Effect.nothing)


async def test_credentials_are_listed_with_their_times() -> None:
    rows = [
        {
            "credentialId": "c1",
            "type": "shopify",
            "name": "Shopify my-shop",
            "createdAt": "2025-01-05T10:00:00.000Z",
            "updatedAt": "2025-01-05T10:00:00Z",
        },
        {"credentialId": "c2", "type": "shopify-oauth2", "createdAt": "2025-01-05T10:00:00", "updatedAt": "long ago"},
        {"credentialId": 3, "type": None, "name": None, "createdAt": None},
    ]
    _, listed = await asked_for(lambda client: client.list_credentials("u1"), {"data": rows})
    ten = datetime(2025, 1, 5, 10, tzinfo=UTC)

    assert [(one.credential_id, one.type, one.name, one.created_at, one.updated_at) for one in listed] == [
        ("c1", "shopify", "Shopify my-shop", ten, ten),
        ("c2", "shopify-oauth2", "", ten, None),
        ("3", "", "", None, None),
    ]


async def test_an_installation_may_ask_nothing() -> None:
    _, started = await asked_for(
        lambda client: client.start_installation("u", "i", []), {"data": [], "installationId": "n1"}
    )

    assert (started.installation_id, started.form) == ("n1", [])


@pytest.mark.parametrize("said", [{}, {"data": None}])
async def test_a_form_that_is_not_there_is_not_one_that_asks_nothing(said: dict[str, object]) -> None:
    _, started = await asked_for(
        lambda client: client.start_installation("u", "i", []), {"installationId": "n1", **said}
    )

    assert (started.installation_id, started.form) == ("n1", None)


@pytest.mark.parametrize("data", [[{"odd": 1}], "form", 5, {"odd": 1}])
async def test_a_form_that_cannot_be_read_does_not_cost_the_installation_id(data: object) -> None:
    _, started = await asked_for(
        lambda client: client.start_installation("u", "i", []), {"data": data, "installationId": "n1"}
    )

    assert (started.installation_id, readable_form(started.form)) == ("n1", None)


@pytest.mark.parametrize(
    ("credential_ids", "expected"),
    [
        ({"shopifyApi": "c1", "klaviyoApi": "c2"}, {"c1", "c2"}),
        (["c1", "c2"], {"c1", "c2"}),
        ({"shopifyApi": ["c1"], "odd": None}, {"c1"}),
        (None, set()),
        ([], set()),
    ],
)
async def test_credential_ids_of_an_installation_are_a_map_or_a_list(
    credential_ids: object, expected: set[str]
) -> None:
    _, found = await asked_for(
        lambda client: client.get_installation(INSTALLATION["installationId"]),
        {"data": {**INSTALLATION, "credentialIds": credential_ids}},
    )

    assert found.credential_ids == expected


async def test_an_installation_is_read_whole() -> None:
    vendor, found = await asked_for(
        lambda client: client.get_installation("64f0c1a2b3d4e5f607182960"), {"data": INSTALLATION}
    )

    assert vendor.asked == [("GET", "/installations/64f0c1a2b3d4e5f607182960")]
    assert (found.installation_id, found.integration_id, found.user_id, found.enabled) == (
        "64f0c1a2b3d4e5f607182960",
        "64f0c1a2b3d4e5f607182940",
        "64f0c1a2b3d4e5f60718293a",
        False,
    )
    assert found.form_data == FORM
    assert found.installed_at == datetime(2025, 1, 5, 10, 2, tzinfo=UTC)


async def test_a_list_with_a_row_that_cannot_be_read_proves_no_absence() -> None:
    with pytest.raises(Transient) as raised:
        await asked_for(lambda client: client.list_integrations("u"), {"data": [{"integrationId": "i"}, {"app": "x"}]})

    assert (raised.value.reason, raised.value.effect) == (Reason.unreadable_answer, Effect.nothing)


@pytest.mark.parametrize("replied", [{}, {"data": {}}, {"data": None}, "x", None, 5, {"data": {"userId": ""}}])
async def test_an_answer_to_a_post_without_an_id_leaves_its_outcome_unknown(replied: object) -> None:
    for call in (
        lambda client: client.create_user("ada"),
        lambda client: client.create_credential("u", "netsuite", {}),
        lambda client: client.start_installation("u", "i", []),
    ):
        with pytest.raises(Transient) as raised:
            await asked_for(call, replied)

        assert raised.value.effect is Effect.unknown


async def test_a_value_that_json_cannot_carry_is_the_records_fault() -> None:
    vendor = Vendor(answer({}))
    async with speaking_to(vendor) as client:
        for value in (float("nan"), "\ud800"):
            with pytest.raises(Rejected) as raised:
                await client.complete_installation("i", [{"fields": [{"name": "a", "value": value}]}])
            assert raised.value.reason is Reason.invalid_answer
        with pytest.raises(Rejected):
            await client.oauth_url("u", "shopify", {"shop": "x" * 100_000})

    assert vendor.requests == []


# dialects


@pytest.mark.parametrize(
    ("dialect", "configured", "expected"),
    [
        ("seed", "https://embedded.runalloy.com", "https://embedded.runalloy.com/users"),
        ("seed", "https://embedded.runalloy.com/", "https://embedded.runalloy.com/users"),
        ("seed", "https://embedded.runalloy.com/2023-12", "https://embedded.runalloy.com/2023-12/users"),
        ("seed", "http://127.0.0.1:8080/alloy/", "http://127.0.0.1:8080/alloy/users"),
        ("2024-03", "https://embedded.runalloy.com", "https://embedded.runalloy.com/2024-03/users"),
        ("2024-03", "https://embedded.runalloy.com/2023-06/", "https://embedded.runalloy.com/2023-06/users"),
        ("2024-03", "https://eu-embedded.runalloy.com/2024-03", "https://eu-embedded.runalloy.com/2024-03/users"),
        ("2025-09", "https://production.runalloy.com", "https://production.runalloy.com/users"),
    ],
)
async def test_each_dialect_has_its_base_path(dialect: str, configured: str, expected: str) -> None:
    vendor, _ = await asked_for(lambda client: client.some_user(), [], dialect=dialect, base_url=configured)

    assert str(vendor.requests[0].url) == expected


@pytest.mark.parametrize(("dialect", "version"), [("seed", "2025-09"), ("2024-03", None), ("2025-09", "2025-09")])
async def test_the_version_is_in_a_header_unless_it_is_in_the_path(dialect: str, version: str | None) -> None:
    vendor, _ = await asked_for(lambda client: client.some_user(), [], dialect=dialect)

    assert vendor.requests[0].headers.get("x-api-version") == version


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_route_can_be_filled_in(dialect: str) -> None:
    routes = DIALECTS[dialect].routes
    for name in routes.__dataclass_fields__:
        found = getattr(routes, name)
        for route in found if isinstance(found, tuple) else (found,):
            ids = {name: "a/b" for _, name, _, _ in string.Formatter().parse(route.template) if name}

            assert "a/b" not in route.path(**ids)
            assert "{" not in route.path(**ids)


# what a host may lack

OF_USER, BY_USER = "GET /users/u1/credentials", "GET /credentials/users/u1"


@pytest.mark.parametrize(("dialect", "there", "first"), [("seed", BY_USER, OF_USER), ("2025-09", OF_USER, BY_USER)])
async def test_the_other_spelling_of_the_credential_list_is_tried_once_and_remembered(
    dialect: str, there: str, first: str
) -> None:
    vendor = Routes(**{there: {"data": []}})
    async with speaking_to(vendor, dialect=dialect) as client:
        await client.list_credentials("u1")
        await client.list_credentials("u1")
        with pytest.raises(Rejected):
            await client.list_credentials("unknown")

    assert vendor.asked == [first, there, there, there.replace("u1", "unknown")]


async def test_a_credential_list_of_nobody_teaches_nothing() -> None:
    vendor = Routes(**{OF_USER: []})
    async with speaking_to(vendor) as client:
        with pytest.raises(Rejected) as raised:
            await client.list_credentials("unknown")

        assert raised.value.status == 404
        assert client.capabilities.credential_list is None
        assert await client.list_credentials("u1") == []


async def test_a_host_without_installations_is_asked_once() -> None:
    vendor = Routes()
    async with speaking_to(vendor) as client:
        assert await client.find_installations("u1", "i") is None
        assert await client.find_installations("u1", "i") is None
        assert await client.get_installation("n1") is None
        assert client.capabilities.installations is False

    assert vendor.asked == ["GET /installations"]


async def test_an_installation_that_is_not_found_is_told_from_a_route_that_is_missing_by_asking_for_the_list() -> None:
    without, present = Routes(), Routes(**{"GET /installations": {"data": []}})
    for vendor, expected in ((without, False), (present, True)):
        async with speaking_to(vendor) as client:
            assert await client.get_installation("n1") is None
            assert await client.get_installation("n1") is None
            assert client.capabilities.installations is expected

    assert without.asked == ["GET /installations/n1", "GET /installations"]
    assert present.asked == ["GET /installations/n1", "GET /installations", "GET /installations/n1"]


async def test_an_integration_is_searched_in_the_list_where_it_cannot_be_asked_for() -> None:
    identifier = INTEGRATION["integrationId"]
    vendor = Routes(**{"GET /integrations": {"data": [INTEGRATION]}})
    async with speaking_to(vendor) as client:
        for _ in range(4):
            found = await client.get_integration(identifier, "u1")
            assert found is not None
            assert found.workflows[0].installed
        assert await client.get_integration("other", "u1") is None
        assert client.capabilities.get_integration is False

    assert vendor.asked == [f"GET /integrations/{identifier}", "GET /integrations"] * 3 + ["GET /integrations"] * 2


async def test_an_integration_that_lags_does_not_make_its_route_missing() -> None:
    identifier = INTEGRATION["integrationId"]
    vendor = Routes(**{"GET /integrations": {"data": [INTEGRATION]}})
    async with speaking_to(vendor) as client:
        assert await client.get_integration(identifier, "u1") is not None
        assert client.capabilities.get_integration is None


async def test_an_unknown_integration_is_not_searched_once_the_route_is_known_to_be_there() -> None:
    vendor = Routes(**{"GET /integrations": {"data": []}, "GET /integrations/i1": {"integrationId": "i1"}})
    async with speaking_to(vendor) as client:
        assert await client.get_integration("other", "u1") is None
        assert client.capabilities.get_integration is None
        assert await client.get_integration("i1", "u1") is not None
        assert await client.get_integration("other", "u1") is None

    assert vendor.asked.count("GET /integrations") == 1


async def test_a_404_of_one_customer_does_not_halt_even_as_a_web_page() -> None:
    async with speaking_to(Routes()) as client:
        for call in (
            client.create_credential("gone", "netsuite", {}),
            client.start_installation("gone", "i", []),
            client.list_integrations("gone"),
        ):
            with pytest.raises(Rejected):
                await call


async def test_a_refused_key_is_no_missing_capability() -> None:
    async with speaking_to(Vendor(answer(status=401))) as client:
        with pytest.raises(Halted):
            await client.find_installations("u1", "i")

        assert client.capabilities.installations is None


def test_what_was_learnt_survives_as_a_plain_dict() -> None:
    learnt = Capabilities("https://x.test", installations=True, credential_list="/users/{user}/credentials")
    saved = learnt.save()

    assert saved == {
        "base_url": "https://x.test",
        "installations": True,
        "credential_list": "/users/{user}/credentials",
    }
    assert Capabilities.load(saved) == learnt
    assert Capabilities.load({**saved, "of a later version": True}) == learnt


def test_what_a_host_seemed_to_lack_is_asked_for_again_by_the_next_process() -> None:
    learnt = Capabilities("https://x.test", installations=False, get_integration=False)
    kept_by_an_earlier_version = {"base_url": "https://x.test", "installations": False, "get_integration": False}

    assert learnt.save() == {"base_url": "https://x.test"}
    assert Capabilities.load(kept_by_an_earlier_version) == Capabilities("https://x.test")


async def test_what_was_learnt_from_another_host_is_forgotten() -> None:
    learnt = Capabilities("https://elsewhere.test", installations=False)
    async with AlloyClient.open(
        base_url="https://x.test", api_key=SecretStr(KEY), capabilities=learnt, dialect="2024-03"
    ) as client:
        assert client.capabilities is learnt

    assert learnt == Capabilities("https://x.test/2024-03")


async def test_calls_are_counted() -> None:
    vendor = Vendor(answer({"data": []}), httpx.Response(500), answer({"data": []}))
    async with speaking_to(vendor) as client:
        await client.some_user()
        await client.some_user()

        assert client.calls == 3


# answers about somebody else


@pytest.mark.parametrize("found", ["bob@example.test", "ada"])
async def test_a_user_of_another_name_is_never_taken_for_the_one_asked_for(found: str) -> None:
    with pytest.raises(Transient) as raised:
        await asked_for(lambda client: client.get_user("ada@example.test"), {"userId": "u1", "username": found})

    assert raised.value.reason is Reason.unreadable_answer


@pytest.mark.parametrize("found", ["Ada@example.test ", "ADA@EXAMPLE.TEST", None])
async def test_a_user_whose_name_is_spelt_otherwise_there_is_the_one_asked_for(found: str | None) -> None:
    _, user = await asked_for(lambda client: client.get_user("ada@example.test"), {"userId": "u1", "username": found})

    assert user.user_id == "u1"


async def test_an_integration_or_an_installation_of_another_id_is_not_the_one_asked_for() -> None:
    for look_up, other in (
        (lambda client: client.get_integration("i1", "u1"), {**INTEGRATION, "integrationId": "i2"}),
        (lambda client: client.get_installation("n1"), {**INSTALLATION, "installationId": "n2"}),
    ):
        with pytest.raises(Transient) as raised:
            await asked_for(look_up, {"data": other})

        assert raised.value.reason is Reason.unreadable_answer
