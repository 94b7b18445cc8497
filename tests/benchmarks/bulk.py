"""How fast a list of API-key customers is brought to the end, beside a bare loop that makes the same calls.

    uv run python -m tests.benchmarks.bulk --customers 1000 --latency-ms 50

Both talk to the same local Alloy, which runs in a process of its own, with the same number of calls in flight; they
take turns, and the medians are compared. Ours is the real command, with its Prefect server, its database and its
journal; its seconds are those of ``onboard run --json``, from before the first call to the last recorded outcome.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from deployments.prefect_server import shared_prefect_server
from deployments.sandbox.control import SandboxControl
from deployments.sandbox.fixtures import fixture_id

ADMIN_TOKEN = "benchmark"


def main(
    customers: Annotated[int, typer.Option(help="How many customers a run onboards.")] = 1000,
    latency_ms: Annotated[int, typer.Option(help="What each call takes at Alloy.")] = 50,
    concurrency: Annotated[int, typer.Option(help="Calls in flight.")] = 100,
    rounds: Annotated[int, typer.Option(help="How often each contender runs.")] = 3,
) -> None:
    """Print onboardings per second of both, and their ratio."""
    ours: list[float] = []
    bare: list[float] = []
    with tempfile.TemporaryDirectory() as folder, local_alloy(latency_ms) as url, shared_prefect_server(Path(folder)):
        control = SandboxControl(url, ADMIN_TOKEN)
        for number in range(rounds):
            control.reset()
            control.turn(latency_ms=latency_ms)
            ours.append(customers / run_ours(Path(folder), url, customers, concurrency, number))
            assert control.ledger().installations_completed == customers
            control.reset()
            control.turn(latency_ms=latency_ms)
            bare.append(customers / run_bare(url, customers, concurrency))
    table = Table(
        title=f"{customers} API-key customers, {latency_ms} ms a call, {concurrency} in flight, {rounds} rounds"
    )
    for column in ("contender", "onboardings/s (median)", "of the bare loop", "all rounds"):
        table.add_column(column)
    for name, figures in (("onboard run", ours), ("bare httpx loop", bare)):
        share = f"{median(figures) / median(bare):.2f}"
        table.add_row(name, f"{median(figures):.0f}", share, ", ".join(f"{figure:.0f}" for figure in figures))
    Console(width=110).print(table)


@contextmanager
def local_alloy(latency_ms: int) -> Iterator[str]:
    """Run the local Alloy as a process; yield its URL."""
    command = [sys.executable, "-m", "deployments.sandbox", "--port", "0", "--latency-ms", str(latency_ms)]
    environment = {**os.environ, "SANDBOX_ADMIN_TOKEN": ADMIN_TOKEN}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()


def run_ours(folder: Path, url: str, customers: int, concurrency: int, number: int) -> float:
    """Onboard a list with the command; return its seconds."""
    customer_list = folder / f"round{number}.csv"
    rows = (f"c{one}@example.test,Klaviyo,key-{one}\n" for one in range(customers))
    customer_list.write_text("username,integration,auth.apiKey\n" + "".join(rows), encoding="utf-8")
    environment = {
        **os.environ,
        "ALLOY_API_KEY": "sandbox-dev-key",
        "ALLOY_BASE_URL": url,
        "ALLOY_RATE": "100000",
        "ALLOY_CONCURRENCY": str(concurrency),
        "ONBOARD_HOME": str(folder),
        "ONBOARD_DATABASE_URL": f"sqlite:///{folder / f'round{number}.db'}",
    }
    command = [str(Path(sys.executable).with_name("onboard")), "run", str(customer_list), "--json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    report = json.loads(done.stdout)
    assert report["stages"]["completed"] == customers
    return float(report["seconds"])


def run_bare(url: str, customers: int, concurrency: int) -> float:
    """Make the same calls without any memory; return the seconds."""
    command = [sys.executable, "-m", "tests.benchmarks.bare", url, str(customers), str(concurrency)]
    done = subprocess.run(
        [*command, fixture_id("Klaviyo profiles")], check=True, capture_output=True, text=True, env=os.environ
    )
    return float(done.stdout)


if __name__ == "__main__":
    typer.run(main)
