"""What there is to beat: the same calls in a plain loop with no memory of anything.

Run as a process of its own by :mod:`tests.benchmarks.bulk`; prints the seconds that it took.
"""

import asyncio
import sys
from time import perf_counter

from tests.benchmarks.six_calls import CONNECTIONS, Connections, SixCalls, opened


async def onboard(calls: SixCalls, number: int) -> None:
    """Bring one customer to the end."""
    user = await calls.create_user(f"bare-{number}@example.test")
    await calls.read_credentials(user)
    credential = await calls.post_credential(user, f"key-{number}")
    await calls.complete(await calls.start(user, credential))
    await calls.read_back(user)


async def main(url: str, customers: int, concurrency: int, connections: Connections) -> float:
    """Onboard everybody with ``concurrency`` in flight; return the seconds."""
    numbers = iter(range(customers))

    async def work(calls: SixCalls) -> None:
        for number in numbers:
            await onboard(calls, number)

    async with opened(url, concurrency, connections) as slots:
        began = perf_counter()
        await asyncio.gather(*map(work, slots))
        return perf_counter() - began


if __name__ == "__main__":
    [chosen] = [one for one in CONNECTIONS if one == sys.argv[4]]
    print(asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), chosen)))
