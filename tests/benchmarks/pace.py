"""How much of an allowed rate is used that nobody told us, and how many calls are refused, by one worker and by four.

    uv run python -m tests.benchmarks.pace --burst 5

Real workers onboard customers over one SQLite file each row, against a local Alloy that lets so many calls a second
through, and ``burst`` of them at once, and refuses the others with a ``Retry-After``. The rows run side by side. What
is counted is the local Alloy's own log, after a while in which the limit is found.
"""

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from deployments.sandbox.knobs import Knobs
from deployments.sandbox.request_log import RequestRecord
from store.engine import migrate
from tests.flows.world import KEY, World

CALLS_EACH = 6
"""So many calls does a customer take."""


def main(
    burst: Annotated[int, typer.Option(help="How many calls at once are let through.")] = 5,
    settle: Annotated[int, typer.Option(help="Seconds before it is counted.")] = 120,
    seconds: Annotated[int, typer.Option(help="Seconds that are counted.")] = 180,
    latency_ms: Annotated[int, typer.Option(help="What each call takes at Alloy.")] = 50,
) -> None:
    """Print the share that was used, and the share that was refused."""
    rows = [(allowed, workers) for allowed in (40, 5) for workers in (1, 4)]
    table = Table(
        title=f"limit unknown, burst {burst}, {latency_ms} ms a call, {settle} s to settle, {seconds} s counted"
    )
    for column in ("allowed, calls/s", "workers", "of it used", "refused"):
        table.add_column(column)
    knobs = Knobs(latency_ms=latency_ms, rate_limit_burst=burst)
    for (allowed, workers), (used, refused) in zip(
        rows, asyncio.run(side_by_side(rows, knobs, settle, seconds)), strict=True
    ):
        table.add_row(str(allowed), str(workers), f"{used:.3f}", f"{refused:.2%}")
    Console(width=110).print(table)


async def side_by_side(
    rows: list[tuple[int, int]], knobs: Knobs, settle: int, seconds: int
) -> list[tuple[float, float]]:
    """Measure all rows at once: what they do is mostly to wait."""
    with tempfile.TemporaryDirectory() as folder:
        homes = [Path(folder) / f"{allowed}-{workers}" for allowed, workers in rows]
        for home in homes:
            home.mkdir()
        measured = [
            measure(home, allowed, workers, knobs, settle, seconds)
            for home, (allowed, workers) in zip(homes, rows, strict=True)
        ]
        return await asyncio.gather(*measured)


async def measure(
    home: Path, allowed: int, workers: int, knobs: Knobs, settle: int, seconds: int
) -> tuple[float, float]:
    """Let so many workers onboard; return the share that they used, and the share of their calls that was refused."""
    async with World(f"sqlite:///{home / 'onboard.db'}", home) as world:
        migrate(world.engine)
        for number in range(allowed * (settle + seconds) // CALLS_EACH + 100):
            world.add(f"c{number}@example.test")
        world.sandbox.knobs = Knobs(
            latency_ms=knobs.latency_ms, rate_limit_burst=knobs.rate_limit_burst, rate_limit_per_s=allowed
        )
        command = [sys.executable, "-m", "tests.flows.worker", world.sandbox.url, world.database_url, str(home)]
        processes = [
            await asyncio.create_subprocess_exec(*command, KEY.get_secret_value(), "60", "unknown")
            for _ in range(workers)
        ]
        try:
            await asyncio.sleep(settle)
            begins_at = world.sandbox._world.clock.now()
            await asyncio.sleep(seconds)
            log: list[RequestRecord] = [one for one in world.sandbox.requests if one.at >= begins_at]
        finally:
            for process in processes:
                if process.returncode is None:
                    process.kill()
                await process.wait()
    refused = sum("429" in one.faults for one in log)
    return (len(log) - refused) / seconds / allowed, refused / len(log)


if __name__ == "__main__":
    typer.run(main)
