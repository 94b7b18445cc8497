"""How fast a list is read and checked, and taken in, on both databases, and how much memory that takes.

    uv run python -m tests.benchmarks.intake --rows 100000

Each figure comes from a process of its own, so that its peak of memory is its own; a tenth of the rows is taken in
beside it, to show whether memory grows with the list. Rows have an API key, an answer and two columns that are only
carried along. PostgreSQL is the one of the tests, which does not wait for the disk.
"""

import json
import resource
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from flows.garbage import calm_collector
from store.catalogue import AppEntry, Catalogue, CatalogueEntry
from store.engine import make_engine, migrate
from store.intake.take_in import take_in
from store.lists.check import check_list, read_rows
from store.vault import Vault
from tests.benchmarks.databases import KINDS, Databases, Kind, databases

CATALOGUE = Catalogue(
    (CatalogueEntry.of("a" * 24, "Klaviyo", ["klaviyo"]), CatalogueEntry.of("b" * 24, "Slack", ["slack"])),
    {"klaviyo": AppEntry("klaviyo", False, ("apiKey",))},
)
HEADER = "username,full_name,integration,auth.apiKey,map.channel,plan,region\n"


def main(
    rows: Annotated[int, typer.Option(help="How many rows the list has.")] = 100_000,
    rounds: Annotated[int, typer.Option(help="How often each is measured.")] = 3,
    one: Annotated[str, typer.Option(hidden=True, help="In a process of its own: the database's URL.")] = "",
    listed: Annotated[Path | None, typer.Option(hidden=True, help="And the list.")] = None,
) -> None:
    """Print rows per second of both parts on both databases, and the peaks of memory."""
    if listed is not None:
        typer.echo(json.dumps(measure(listed, one)))
        return
    table = Table(title=f"rows a second, medians of {rounds} rounds, and the highest peak of memory")
    for column in ("database", "rows", "read and checked", "taken in", "both", "both, by CPU time", "peak MB"):
        table.add_column(column, justify="left" if column == "database" else "right")
    with tempfile.TemporaryDirectory() as folder, databases(Path(folder)) as made:
        for kind in KINDS:
            for number in (rows // 10, rows):
                found = [measured_apart(number, made, kind) for _ in range(rounds)]
                middle = {name: median(each[name] for each in found) for name in found[0]}
                speeds = ("checked", "taken_in", "both", "both_cpu")
                peak = max(each["peak_mb"] for each in found)
                table.add_row(kind, f"{number:,}", *(f"{middle[name]:,.0f}" for name in speeds), f"{peak:.0f}")
    Console(width=110).print(table)


def measure(listed: Path, url: str) -> dict[str, float]:
    """Check the list and take it in; return rows per second of each part, and the peak of memory."""
    engine = make_engine(url)
    migrate(engine)
    vault = Vault.open(None, listed.parent)
    began, cpu_before = perf_counter(), process_time()
    with calm_collector():
        check = check_list(listed, CATALOGUE, engine)
        checked = perf_counter()
        assert not check.faults
        intake = take_in(
            engine,
            "benchmark",
            read_rows(listed),
            source=listed.name,
            templates=None,
            catalogue=CATALOGUE,
            vault=vault,
            now=datetime.now(UTC),
            rows_in_list=check.rows,
        )
    ended, cpu = perf_counter(), process_time() - cpu_before
    assert intake.added == check.rows
    return {
        "checked": check.rows / (checked - began),
        "taken_in": check.rows / (ended - checked),
        "both": check.rows / (ended - began),
        "both_cpu": check.rows / cpu,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def measured_apart(rows: int, made: Databases, kind: Kind) -> dict[str, float]:
    """Measure in a process of its own."""
    with tempfile.TemporaryDirectory() as folder, made.new(kind) as url:
        listed = write_list(Path(folder) / "customers.csv", rows)
        command = [sys.executable, "-m", "tests.benchmarks.intake", "--one", url, "--listed", str(listed)]
        found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return found


def write_list(path: Path, rows: int) -> Path:
    """Write a list of so many API-key customers."""
    with path.open("w", encoding="utf-8") as file:
        file.write(HEADER)
        for one in range(rows):
            file.write(f"c{one:07}@example.test,Customer {one},Klaviyo,key-{one:032x},#orders-{one},gold,emea\n")
    return path


if __name__ == "__main__":
    typer.run(main)
