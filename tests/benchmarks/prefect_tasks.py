"""What there is to beat: one flow, in which every call is a Prefect task of its own.

In the fastest form that was found: tasks awaited directly by as many coroutines as calls may be in flight, no results
kept, no cache, nothing but ids for parameters. Run as a process of its own by :mod:`tests.benchmarks.bulk`; prints the
seconds that it took and the flow run, as JSON.
"""

import asyncio
import json
import sys
from contextvars import ContextVar
from time import perf_counter

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run

from tests.benchmarks.six_calls import SixCalls, opened

CALLS: ContextVar[SixCalls] = ContextVar("calls")


@task(cache_policy=NO_CACHE, persist_result=False)
async def create_user(username: str) -> str:
    return await CALLS.get().create_user(username)


@task(cache_policy=NO_CACHE, persist_result=False)
async def read_credentials(user: str) -> None:
    await CALLS.get().read_credentials(user)


@task(cache_policy=NO_CACHE, persist_result=False)
async def post_credential(user: str, number: int) -> str:
    return await CALLS.get().post_credential(user, f"key-{number}")


@task(cache_policy=NO_CACHE, persist_result=False)
async def start_installation(user: str, credential: str) -> str:
    return await CALLS.get().start(user, credential)


@task(cache_policy=NO_CACHE, persist_result=False)
async def complete_installation(installation: str) -> None:
    await CALLS.get().complete(installation)


@task(cache_policy=NO_CACHE, persist_result=False)
async def read_back(user: str) -> None:
    await CALLS.get().read_back(user)


@flow(persist_result=False)
async def task_per_call(url: str, customers: int, concurrency: int) -> None:
    """Onboard everybody with ``concurrency`` in flight."""
    numbers = iter(range(customers))

    async def work(calls: SixCalls) -> None:
        CALLS.set(calls)
        for number in numbers:
            user = await create_user(f"prefect-{number}@example.test")
            await read_credentials(user)
            credential = await post_credential(user, number)
            await complete_installation(await start_installation(user, credential))
            await read_back(user)

    async with opened(url, concurrency, "aiohttp") as slots:
        began = perf_counter()
        await asyncio.gather(*map(work, slots))
        print(json.dumps({"seconds": perf_counter() - began, "flow_run": flow_run.id}))


if __name__ == "__main__":
    asyncio.run(task_per_call(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
