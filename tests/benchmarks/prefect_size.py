"""How much Prefect's own database grows by onboarding a long list in bulk.

    uv run python -m tests.benchmarks.prefect_size --customers 10000

Its SQLite file is measured before and after, with all that was written, moved out of the write-ahead log and nothing
compacted; so the tables of an empty server do not count, and whatever it writes by itself meanwhile does. It is
measured again once nothing more comes: events are written some time after they have happened.
"""

import sqlite3
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from tests.benchmarks.recorded import latest_flow_run, shown
from tests.benchmarks.shown import show, table
from tests.benchmarks.surroundings import UNPACED, Surroundings, surrounded, write_list

_LONGEST_SECONDS = 3600.0
_POLL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Size:
    """What a database holds: its bytes, those of its tables, and the rows in them."""

    file: int
    used: int
    rows: Counter[str]


def main(
    customers: Annotated[int, typer.Option(help="How many customers the list has.")] = 10_000,
    latency_ms: Annotated[int, typer.Option(help="What each call takes at Alloy.")] = 0,
    concurrency: Annotated[int, typer.Option(help="Calls in flight.")] = 100,
    quiet: Annotated[float, typer.Option(help="Seconds without a new event, after which all are written.")] = 15,
) -> None:
    """Print by how many bytes it has grown, for all and for each page."""
    with surrounded() as around:
        show(measure(around, customers, latency_ms, concurrency, quiet))


def measure(around: Surroundings, customers: int, latency_ms: int, concurrency: int, quiet: float) -> Table:
    """Onboard a list; return the table."""
    file = around.prefect.folder / "prefect" / "prefect.db"
    around.alloy.begin_anew(latency_ms=latency_ms)
    before = _size_when_quiet(file, quiet)
    with around.onboard(ALLOY_RATE=UNPACED, ALLOY_CONCURRENCY=str(concurrency)) as onboard:
        listed = write_list(onboard.folder / "customers.csv", customers)
        ended = onboard.start("run", str(listed), "--batch", "size", "--json").ended(_LONGEST_SECONDS)
    assert ended.json["stages"]["completed"] == customers, ended
    task_runs = shown(around.prefect, latest_flow_run(around.prefect, "onboard size")).recorded
    after = _size_when_quiet(file, quiet)
    grown, rows = after.used - before.used, after.rows - before.rows
    return table(
        f"Prefect's database after {customers:,} customers, {latency_ms} ms a call, {concurrency} in flight",
        ("what", "figure"),
        [
            ("grown by, MB", f"{grown / 1e6:.2f}"),
            ("its file grown by, MB", f"{(after.file - before.file) / 1e6:.2f}"),
            ("its file before, MB", f"{before.file / 1e6:.2f}"),
            ("task runs (pages)", f"{task_runs:,}"),
            ("customers a page", f"{5 * customers / task_runs:.1f}"),
            ("bytes a page", f"{grown / task_runs:,.0f}"),
            ("bytes a customer", f"{grown / customers:,.0f}"),
            ("new rows", ", ".join(f"{name} {number:,}" for name, number in rows.most_common(6))),
        ],
    )


def _size_when_quiet(file: Path, quiet: float) -> Size:
    """Measure once nothing was added for so many seconds."""
    events, since, deadline = -1, time.monotonic(), time.monotonic() + _LONGEST_SECONDS
    while time.monotonic() - since < quiet and time.monotonic() < deadline:
        with closing(sqlite3.connect(file)) as database:
            [now] = database.execute("SELECT count(*) FROM events").fetchone()
        if now != events:
            events, since = now, time.monotonic()
        time.sleep(min(_POLL_SECONDS, quiet))
    return _size(file)


def _size(file: Path) -> Size:
    with closing(sqlite3.connect(file, timeout=30)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        [page, pages, free] = (
            database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_size", "page_count", "freelist_count")
        )
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = Counter({name: database.execute(f"SELECT count(*) FROM [{name}]").fetchone()[0] for name in tables})  # noqa: S608
    log = file.with_name(f"{file.name}-wal")
    return Size(page * pages + (log.stat().st_size if log.exists() else 0), page * (pages - free), rows)


if __name__ == "__main__":
    typer.run(main)
