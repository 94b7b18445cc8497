"""Real answers of the local Alloy, one for every request that the client's methods make, in one dialect."""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from pydantic import SecretStr

from deployments.sandbox.fixtures import fixture_id
from deployments.sandbox.knobs import Knobs
from deployments.sandbox.server import Sandbox, SandboxSettings
from flows.alloy.client import AlloyClient
from flows.alloy.transport import AiohttpTransport, Transport
from flows.pacing import Pacing
from states.forms import parse_form
from tests.fuzz.mutations import Answer

KEY = "sandbox-dev-key"
AUTH = {name: f"canary-{name}-5e1d" for name in ("realm", "consumerKey", "consumerSecret", "tokenId", "tokenSecret")}
SHOP = {"shopSubdomain": "canary-shop-77aa"}
USERNAME = "ada+söder/x@example.test"

Request = tuple[str, str]
"""Method, and path with query."""
Ask = Callable[[AlloyClient], Awaitable[object]]


@dataclass(frozen=True)
class Samples:
    """What was asked, how to ask it again, and what came back."""

    answers: Mapping[Request, Answer]
    asks: Mapping[str, Ask]


def request_of(request: httpx.Request) -> Request:
    return request.method, request.url.raw_path.decode()


class Remembering(httpx.AsyncBaseTransport):
    """Passes everything on, and keeps what comes back."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self.answers: dict[Request, Answer] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        self.answers[request_of(request)] = Answer(response.status_code, dict(response.headers), response.content)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


async def collect(dialect: str) -> Samples:
    """Walk through every method once, as an onboarding would, and keep all that was answered."""
    async with Sandbox(SandboxSettings(knobs=Knobs())) as sandbox:
        remembering = Remembering(AiohttpTransport(secure=False))
        async with AlloyClient.open(
            base_url=sandbox.url,
            api_key=SecretStr(KEY),
            dialect=dialect,
            pacing=Pacing(rate=100_000),
            transport=remembering,
        ) as client:
            asks = await _walk(client)
    assert set(asks) == METHODS
    return Samples(remembering.answers, asks)


async def _walk(client: AlloyClient) -> dict[str, Ask]:
    asks: dict[str, Ask] = {}

    async def ask(method: str, *arguments: object) -> Any:
        asks[method] = lambda client: getattr(client, method)(*arguments)
        return await asks[method](client)

    user = await ask("create_user", USERNAME, "Ada Lovelace")
    await ask("create_users", [("bo@example.test", "Bo"), (USERNAME, None)])
    await ask("get_user", USERNAME)
    await ask("some_user")
    await ask("find_users", [USERNAME, "bo@example.test"])
    await ask("list_integrations", user)
    integration = fixture_id("NetSuite customer sync")
    await ask("get_integration", integration, user)
    await ask("credential_metadata", "netsuite")
    await ask("oauth_url", user, "shopify", {name: SecretStr(value) for name, value in SHOP.items()})
    credential = await ask("create_credential", user, "netsuite", {n: SecretStr(v) for n, v in AUTH.items()})
    await ask("list_credentials", user)
    started = await ask("start_installation", user, integration, [credential])
    answers = [
        {
            "workflowId": block.workflow_id,
            "blockId": block.block_id,
            "fields": [{"name": one.name, "value": "ada@example.test"} for one in block.fields],
        }
        for block in parse_form(started.form or [])
    ]
    await ask("complete_installation", started.installation_id, answers)
    await ask("find_installations", user, integration)
    await ask("get_installation", started.installation_id)
    return asks


METHODS = {
    name for name, member in inspect.getmembers(AlloyClient, inspect.iscoroutinefunction) if not name.startswith("_")
}
"""Every call that the client can make; a new one has to be walked through here, or the collection fails."""
