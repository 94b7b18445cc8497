"""A sandbox on a free port with a clock that stands still, and a client that says what it expects."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace

import aiohttp
import pytest

from deployments.sandbox.catalogue import Integration
from deployments.sandbox.clock import ManualClock
from deployments.sandbox.server import Sandbox, SandboxSettings


class Api:
    """Plain HTTP against one sandbox; every call names the status that it expects."""

    def __init__(self, sandbox: Sandbox, session: aiohttp.ClientSession) -> None:
        self.sandbox = sandbox
        self.session = session

    async def call(self, method, path, body=None, *, status=200, key="Bearer sandbox-dev-key", headers=None, **query):
        sent = ({"Authorization": key} if key else {}) | (headers or {})
        async with self.session.request(method, path, json=body, params=query, headers=sent) as response:
            text = await response.text()
            assert response.status == status, text
            return json.loads(text)

    async def get(self, path, **options):
        return await self.call("GET", path, **options)

    async def post(self, path, body=None, **options):
        return await self.call("POST", path, body, **options)

    async def put(self, path, body=None, **options):
        return await self.call("PUT", path, body, **options)

    async def delete(self, path, **options):
        return await self.call("DELETE", path, **options)

    def turn(self, **knobs):
        self.sandbox.knobs = replace(self.sandbox.knobs, **knobs)

    def integration(self, name: str) -> Integration:
        found = self.sandbox.catalogue.integration(name)
        assert found is not None
        return found

    # --- the way of one customer

    async def user(self, username: str = "a@example.test") -> str:
        return (await self.post("/users", {"username": username}))["userId"]

    async def credential(self, user: str, connector: str = "klaviyo", **data) -> str:
        credential = {"type": connector, "data": data or {"apiKey": "k-1"}}
        return (await self.post("/headless/credentials", {"userId": user, "credential": credential}))["credentialId"]

    async def start(self, user: str, integration: str = "Klaviyo profiles", *, status=200, **more):
        body = {"userId": user, "integrationId": self.integration(integration).integration_id, **more}
        return await self.post("/headless/startInstallation", body, status=status)

    async def complete(self, installation: str, data=(), *, status=200):
        body = {"installationId": installation, "data": list(data)}
        return await self.post("/headless/completeInstallation", body, status=status)

    async def installed(self, username: str = "a@example.test") -> tuple[str, str, str]:
        user = await self.user(username)
        credential = await self.credential(user)
        installation = (await self.start(user))["installationId"]
        await self.complete(installation)
        return user, credential, installation


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def sandbox(clock: ManualClock) -> AsyncIterator[Sandbox]:
    async with Sandbox(SandboxSettings(clock=clock, admin_token="admin-token")) as sandbox:
        yield sandbox


@pytest.fixture
async def api(sandbox: Sandbox) -> AsyncIterator[Api]:
    async with aiohttp.ClientSession(sandbox.url) as session:
        yield Api(sandbox, session)
