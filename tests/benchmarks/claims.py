"""Whether finding what is due takes longer in a large table: ten due among a thousand, and among a million.

    uv run python -m tests.benchmarks.claims --sizes 1000,1000000

Measured is :func:`store.leases.claim` as `onboard resume` calls it, over all batches and over one; what was claimed is
given back each time. Where a claim takes 1.5 times as long as among the fewest, the statements that take longest are
printed with their plans.
"""

import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Annotated

import typer
from rich.table import Table

from store.engine import make_engine, migrate
from store.leases import claim, release
from store.records import Scope
from tests.benchmarks.databases import KINDS, Databases, databases
from tests.benchmarks.many_onboardings import Many, fill
from tests.benchmarks.shown import show, table
from tests.benchmarks.statements import Asked, explained, listening

SCOPES = {"all batches": Scope(), "one batch": Scope(batch_id=1)}
_LEASE = timedelta(seconds=60)
_MARK = 1.5
_WARMING = 5
_EXPLAINED = 4


def main(
    sizes: Annotated[str, typer.Option(help="How many onboardings there are, the fewest first.")] = "1000,1000000",
    due: Annotated[int, typer.Option(help="How many of them are due.")] = 10,
    rounds: Annotated[int, typer.Option(help="How often each is claimed.")] = 200,
) -> None:
    """Print the median of a claim for every size, and the ratio to the smallest."""
    with tempfile.TemporaryDirectory() as folder, databases(Path(folder)) as made:
        found, plans = measure(made, [int(size) for size in sizes.split(",")], due, rounds)
    show(found)
    for name, plan in plans.items():
        typer.echo(f"\n{name}\n{plan}")


def measure(made: Databases, sizes: Sequence[int], due: int, rounds: int) -> tuple[Table, dict[str, str]]:
    """Measure on both databases; return the table, and the plans of what got slower."""
    rows: list[tuple[str, ...]] = []
    plans: dict[str, str] = {}
    for kind in KINDS:
        middles: dict[tuple[str, int], float] = {}
        for size in sizes:
            with made.new(kind) as url:
                engine = make_engine(url)
                migrate(engine)
                many = fill(engine, size, due, datetime.now(UTC))
                for name, scope in SCOPES.items():
                    middles[name, size] = _claim_in_turn(many, scope, rounds)
                    ratio = middles[name, size] / middles[name, sizes[0]]
                    rows.append((f"{kind}, {name}", f"{size:,}", f"{middles[name, size] * 1000:.2f}", f"{ratio:.2f}"))
                    if ratio > _MARK:
                        plans[f"{kind}, {name}, {size:,}"] = _slowest(many, scope)
                engine.dispose()
    title = f"{due} due among so many, medians of {rounds} claims"
    return table(title, ("claimed of", "onboardings", "ms a claim", "of the fewest"), rows), plans


def _claim_in_turn(many: Many, scope: Scope, rounds: int) -> float:
    """Return the median seconds of a claim that takes what is due at one stage."""
    seconds = []
    for _ in range(_WARMING + rounds):
        began = perf_counter()
        page = claim(many.engine, scope, worker="benchmark", limit=20, size=1, lease=_LEASE, now=many.now)
        seconds.append(perf_counter() - began)
        assert page is not None
        assert {record.id for record in page.records} <= set(many.due)
        release(many.engine, [page.token])
    return median(seconds[_WARMING:])


def _slowest(many: Many, scope: Scope) -> str:
    """Return the plans of the statements of one claim that take longest."""
    with listening(many.engine) as asked:
        page = claim(many.engine, scope, worker="benchmark", limit=20, size=1, lease=_LEASE, now=many.now)
    assert page is not None
    release(many.engine, [page.token])
    longest = sorted((one for one in asked if _can_be_explained(one)), key=lambda one: -one.seconds)
    return "\n".join(explained(many.engine, one) for one in longest[:_EXPLAINED])


def _can_be_explained(one: Asked) -> bool:
    return one.statement.lstrip().startswith(("SELECT", "UPDATE"))


if __name__ == "__main__":
    typer.run(main)
