"""The six calls that bring one API-key customer to the end, for every contender that has to be beaten.

Two of them belong to one step of ours: the credentials that a user has are read before one is posted, and a completed
installation is read back.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import cycle
from typing import Literal, get_args

import httpx

from deployments.sandbox.fixtures import fixture_id
from flows.alloy.transport import AiohttpTransport
from tests.benchmarks.local_alloy import API_KEY

INTEGRATION = "Klaviyo"
_INTEGRATION_ID = fixture_id("Klaviyo profiles")

Connections = Literal["aiohttp", "slots", "shared"]
"""aiohttp below one client; a client with one connection for each slot; one client as everybody writes it."""
CONNECTIONS: tuple[Connections, ...] = get_args(Connections)


@dataclass(frozen=True, slots=True)
class SixCalls:
    """Makes them with one client."""

    client: httpx.AsyncClient

    async def create_user(self, username: str) -> str:
        """Create the user; return its id."""
        made = await self.client.post("/users", json={"username": username})
        return str(made.json()["userId"])

    async def read_credentials(self, user: str) -> None:
        """Read what credentials the user has."""
        (await self.client.get(f"/users/{user}/credentials")).raise_for_status()

    async def post_credential(self, user: str, key: str) -> str:
        """Post an API key; return the credential's id."""
        body = {"userId": user, "credential": {"type": "klaviyo", "data": {"apiKey": key}}}
        return str((await self.client.post("/headless/credentials", json=body)).json()["credentialId"])

    async def start(self, user: str, credential: str) -> str:
        """Start the installation; return its id."""
        body = {"userId": user, "integrationId": _INTEGRATION_ID, "credentialIds": [credential]}
        return str((await self.client.post("/headless/startInstallation", json=body)).json()["installationId"])

    async def complete(self, installation: str) -> None:
        """Complete the installation."""
        body = {"installationId": installation, "data": []}
        (await self.client.post("/headless/completeInstallation", json=body)).raise_for_status()

    async def read_back(self, user: str) -> None:
        """Read back that the integration is installed."""
        view = await self.client.get(f"/integrations/{_INTEGRATION_ID}", params={"userId": user})
        if not view.json()["data"]["installed"]:
            raise RuntimeError("the installation does not show")


_AS_EVERYBODY_HAS = httpx.Limits(max_connections=100, max_keepalive_connections=20)
"""What httpx takes by itself."""


@asynccontextmanager
async def opened(url: str, slots: int, connections: Connections) -> AsyncIterator[list[SixCalls]]:
    """Open what is called through by ``slots`` coroutines; yield one for each, which may all share a client."""
    single = httpx.Limits(max_connections=1, max_keepalive_connections=1)
    clients = [
        httpx.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {API_KEY}"},
            timeout=60,
            transport=AiohttpTransport(secure=False) if connections == "aiohttp" else None,
            limits=single if connections == "slots" else _AS_EVERYBODY_HAS,
        )
        for _ in range(slots if connections == "slots" else 1)
    ]
    try:
        yield [SixCalls(client) for client, _ in zip(cycle(clients), range(slots), strict=False)]
    finally:
        for client in clients:
            await client.aclose()
