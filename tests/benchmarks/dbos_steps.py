"""What there is to beat: the same five steps as a workflow of DBOS, which remembers every step in its database.

Every customer is one workflow, as many at once as calls may be in flight. Run as a process of its own by
:mod:`tests.benchmarks.bulk`; prints the seconds that it took.
"""

import asyncio
import sys
from contextvars import ContextVar
from time import perf_counter

from dbos import DBOS, DBOSConfig

from tests.benchmarks.six_calls import SixCalls, opened

CALLS: ContextVar[SixCalls] = ContextVar("calls")


@DBOS.step()
async def create_user(username: str) -> str:
    return await CALLS.get().create_user(username)


@DBOS.step()
async def authenticate(user: str, number: int) -> str:
    await CALLS.get().read_credentials(user)
    return await CALLS.get().post_credential(user, f"key-{number}")


@DBOS.step()
async def start_installation(user: str, credential: str) -> str:
    return await CALLS.get().start(user, credential)


@DBOS.step()
async def map_fields(installation: str) -> list[str]:
    return []  # this form asks for nothing, of ours neither


@DBOS.step()
async def complete_installation(user: str, installation: str, answers: list[str]) -> None:
    await CALLS.get().complete(installation)
    await CALLS.get().read_back(user)


@DBOS.workflow()
async def onboard(number: int) -> None:
    user = await create_user(f"dbos-{number}@example.test")
    installation = await start_installation(user, await authenticate(user, number))
    await complete_installation(user, installation, await map_fields(installation))


async def main(url: str, customers: int, concurrency: int, database: str) -> float:
    """Onboard everybody with ``concurrency`` in flight; return the seconds."""
    config: DBOSConfig = {"name": "onboarding", "system_database_url": database, "log_level": "WARNING"}
    DBOS(config=config)
    DBOS.launch()
    numbers = iter(range(customers))

    async def work(calls: SixCalls) -> None:
        CALLS.set(calls)
        for number in numbers:
            await onboard(number)

    try:
        async with opened(url, concurrency, "aiohttp") as slots:
            began = perf_counter()
            await asyncio.gather(*map(work, slots))
            return perf_counter() - began
    finally:
        DBOS.destroy()


if __name__ == "__main__":
    print(asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])))
