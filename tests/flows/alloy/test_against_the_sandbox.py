"""The whole way of a customer, through the local Alloy, in every dialect and with every spelling of answers."""

from uuid import uuid4

import pytest
from pydantic import SecretStr

from deployments.sandbox.knobs import Knobs
from deployments.sandbox.server import Sandbox, SandboxSettings
from flows.alloy.client import AlloyClient
from flows.pacing import Pacing
from states.failures import Halted, Rejected
from states.forms import FormBlock, Given, fill, parse_form


def client_of(sandbox: Sandbox, dialect: str = "seed", key: str = "sandbox-dev-key", pacing: Pacing | None = None):
    return AlloyClient.open(
        base_url=sandbox.url,
        api_key=SecretStr(key),
        dialect=dialect,
        pacing=pacing or Pacing(rate=100_000),
        deadline=5,
    )


async def walk(client: AlloyClient) -> None:
    username = f"{uuid4()}+a/b@example.test"
    user_id = await client.create_user(username, "Ada Lovelace")
    found = await client.get_user(username)
    assert found is not None
    assert found.user_id == user_id
    assert {user_id} == {user.user_id for user in (await client.find_users([username])).values()}

    every = await client.list_integrations(user_id)
    integration = next(one for one in every if one.app_names == ["netsuite"])
    metadata = await client.credential_metadata("netsuite")
    assert metadata is not None
    assert not metadata.is_oauth

    properties = {known.name: SecretStr(f"value-{known.name}") for known in metadata.properties}
    credential_id = await client.create_credential(user_id, "netsuite", properties)
    assert [one.credential_id for one in await client.list_credentials(user_id)] == [credential_id]

    started = await client.start_installation(user_id, integration.integration_id, [credential_id])
    form = parse_form(started.form or [])
    filled = fill(form, [answers_to_everything(form)])
    assert not filled.missing
    await client.complete_installation(started.installation_id, filled.answers)

    read_back = await client.get_installation(started.installation_id)
    if client.capabilities.installations:
        assert read_back is not None
        assert read_back.credential_ids == {credential_id}
        assert read_back.integration_id == integration.integration_id
        assert read_back.user_id == user_id
    installed = await client.get_integration(integration.integration_id, user_id)
    assert installed is not None
    assert installed.installed


def answers_to_everything(form: list[FormBlock]) -> list[Given]:
    kinds = {"number": 5, "boolean": True}
    return [
        Given(
            name=asked.name,
            value=asked.options[0].value if asked.options else kinds.get(asked.type, "ada@example.test"),
            workflow_id=block.workflow_id,
            block=block.block_id,
        )
        for block in form
        for asked in block.fields
    ]


# The strict profile wants a version, and the seed dialect has none.
DIALECTS_AND_PROFILES = [
    ("seed", "seed"),
    ("2024-03", "seed"),
    ("2024-03", "strict"),
    ("2025-09", "seed"),
    ("2025-09", "strict"),
]


@pytest.mark.parametrize("dialect_fields", ["2024-03", "2025-09", "mixed"])
@pytest.mark.parametrize(("dialect", "profile"), DIALECTS_AND_PROFILES)
async def test_a_customer_gets_through_in_every_dialect(dialect: str, profile: str, dialect_fields: str) -> None:
    knobs = Knobs(profile=profile, dialect_fields=dialect_fields)
    async with Sandbox(SandboxSettings(knobs=knobs)) as sandbox, client_of(sandbox, dialect) as client:
        await walk(client)


@pytest.mark.parametrize("credentials_route", ["both", "users", "credentials"])
@pytest.mark.parametrize("installations", [True, False])
@pytest.mark.parametrize("dialect", ["seed", "2025-09"])
async def test_a_customer_gets_through_whatever_the_host_lacks(
    dialect: str, installations: bool, credentials_route: str
) -> None:
    knobs = Knobs(installations_resource=installations, credentials_route=credentials_route)
    async with Sandbox(SandboxSettings(knobs=knobs)) as sandbox, client_of(sandbox, dialect) as client:
        await walk(client)
        listed = await client.find_installations("u", "i")

        assert (listed is not None) is installations
        assert client.capabilities.installations is installations


async def test_nothing_that_the_client_sends_is_unknown_to_the_reference() -> None:
    knobs = Knobs(profile="strict", reject_unknown=True)
    async with Sandbox(SandboxSettings(knobs=knobs)) as sandbox, client_of(sandbox, "2025-09") as client:
        await walk(client)


async def test_a_consent_link_leads_to_the_sandbox() -> None:
    async with Sandbox(SandboxSettings()) as sandbox, client_of(sandbox) as client:
        user_id = await client.create_user("ada")
        link = await client.oauth_url(user_id, "shopify", {"shopSubdomain": SecretStr("my-shop")})

        assert link.get_secret_value().startswith(sandbox.url)


@pytest.mark.parametrize("error_body", ["message", "empty", "html"])
@pytest.mark.parametrize("unknown", [400, 404])
async def test_refusals_are_understood_in_every_form(error_body: str, unknown: int) -> None:
    async with Sandbox(SandboxSettings(knobs=Knobs(error_body=error_body, unknown=unknown))) as sandbox:
        async with client_of(sandbox) as client:
            assert await client.get_user("nobody") is None
            assert await client.credential_metadata("nothing") is None
            user_id = await client.create_user("ada")
            assert await client.get_integration("64f0c1a2b3d4e5f607182999", user_id) is None
            assert await client.get_installation("64f0c1a2b3d4e5f607182999") is None
            with pytest.raises(Rejected) as taken:
                await client.create_user("ada")
            assert taken.value.status == 409
            for refused in (
                client.create_credential("64f0c1a2b3d4e5f607182999", "netsuite", {}),
                client.start_installation(user_id, "64f0c1a2b3d4e5f607182999", []),
                client.complete_installation("64f0c1a2b3d4e5f607182999", []),
                client.list_credentials("64f0c1a2b3d4e5f607182999"),
            ):
                with pytest.raises(Rejected):
                    await refused
        async with client_of(sandbox, key="wrong") as client:
            with pytest.raises(Halted):
                await client.create_user("eve")


async def test_a_batch_leaves_out_who_is_there_already() -> None:
    async with Sandbox(SandboxSettings()) as sandbox, client_of(sandbox) as client:
        await client.create_user("ada")

        assert await client.create_users([("ada", None), ("eve", "Eve")]) == {"ada"}
        with pytest.raises(Rejected) as raised:
            await client.create_users([("ada", None), ("eve", "Eve")])
        assert raised.value.status == 400
        assert set(await client.find_users(["ada", "eve", "bo"])) == {"ada", "eve"}
        assert client.capabilities.users == 2


@pytest.mark.parametrize("retry_after", ["absent", "zero", "date", "seconds"])
async def test_the_rate_is_raised_while_the_sandbox_allows_it(retry_after: str) -> None:
    knobs = Knobs(rate_limit_per_s=200, rate_limit_burst=20, retry_after=retry_after)
    pacing = Pacing()
    async with Sandbox(SandboxSettings(knobs=knobs)) as sandbox, client_of(sandbox, pacing=pacing) as client:
        for _ in range(8):
            await client.some_user()

        assert 2 < (client.pacing.rate or 0) <= 400


async def test_a_verified_secret_that_is_refused_is_not_shown() -> None:
    knobs = Knobs(verify_secret=True)
    async with Sandbox(SandboxSettings(knobs=knobs)) as sandbox, client_of(sandbox) as client:
        user_id = await client.create_user("ada")
        metadata = await client.credential_metadata("netsuite")
        assert metadata is not None
        values = {known.name: f"refused-canary-{known.name}" for known in metadata.properties}
        with pytest.raises(Rejected) as raised:
            await client.create_credential(user_id, "netsuite", values)

        assert "canary" not in str(raised.value)
