"""What there is to beat: the same calls in a plain loop, with the same transport and no memory of anything.

Run as a process of its own by :mod:`tests.benchmarks.bulk`; prints the seconds that it took.
"""

import asyncio
import sys
from time import perf_counter

import httpx

from flows.alloy.transport import AiohttpTransport

KLAVIYO = sys.argv[4] if len(sys.argv) > 4 else ""


async def onboard(client: httpx.AsyncClient, number: int) -> None:
    """Bring one API-key customer to the end: the six calls that our own run makes."""
    user = (await client.post("/users", json={"username": f"bare-{number}@example.test"})).json()["userId"]
    await client.get(f"/users/{user}/credentials")
    body = {"userId": user, "credential": {"type": "klaviyo", "data": {"apiKey": f"key-{number}"}}}
    credential = (await client.post("/headless/credentials", json=body)).json()["credentialId"]
    start = {"userId": user, "integrationId": KLAVIYO, "credentialIds": [credential]}
    installation = (await client.post("/headless/startInstallation", json=start)).json()["installationId"]
    await client.post("/headless/completeInstallation", json={"installationId": installation, "data": []})
    view = await client.get(f"/integrations/{KLAVIYO}", params={"userId": user})
    if not view.json()["data"]["installed"]:
        raise RuntimeError("the installation does not show")


async def main(url: str, customers: int, concurrency: int) -> None:
    """Onboard everybody with ``concurrency`` in flight."""
    numbers = iter(range(customers))

    async def worker(client: httpx.AsyncClient) -> None:
        for number in numbers:
            await onboard(client, number)

    headers = {"Authorization": "Bearer sandbox-dev-key"}
    transport = AiohttpTransport(secure=False)
    async with httpx.AsyncClient(base_url=url, headers=headers, transport=transport, timeout=30) as client:
        began = perf_counter()
        await asyncio.gather(*(worker(client) for _ in range(concurrency)))
        print(perf_counter() - began)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
