"""Whether a long list costs more for each customer than a short one: memory of the process, seconds per 1,000.

    uv run python -m tests.benchmarks.scaling --sizes 1000,10000,100000

The local Alloy answers at once, so that all that is measured is ours and Alloy's own time, on one machine; its memory
is its own. The peak is that of the whole command: Prefect, the intake of the list, and the run.
"""

from collections.abc import Sequence
from statistics import median
from typing import Annotated

import typer
from rich.table import Table

from tests.benchmarks.process_figures import watching_memory
from tests.benchmarks.shown import show, table
from tests.benchmarks.surroundings import UNPACED, Surroundings, surrounded, write_list

_LONGEST_SECONDS = 7200.0


def main(
    sizes: Annotated[str, typer.Option(help="How many customers, the least first.")] = "1000,10000,100000",
    concurrency: Annotated[int, typer.Option(help="Calls in flight.")] = 100,
    rounds: Annotated[int, typer.Option(help="How often each size is measured.")] = 1,
) -> None:
    """Print both figures of every size, and their ratios to those of the first one."""
    with surrounded() as around:
        show(measure(around, [int(size) for size in sizes.split(",")], concurrency, rounds))


def measure(around: Surroundings, sizes: Sequence[int], concurrency: int, rounds: int) -> Table:
    """Onboard lists of all sizes in turn; return the table."""
    found: dict[int, list[tuple[float, float]]] = {size: [] for size in sizes}
    for _ in range(rounds):
        for size in sizes:
            found[size].append(_onboard(around, size, concurrency))
    rows, first = [], None
    for size, figures in found.items():
        memory, seconds = (median(one) for one in zip(*figures, strict=True))
        first = first or (memory, seconds)
        ratios = (f"{memory / first[0]:.2f}", f"{seconds / first[1]:.2f}")
        rows.append((f"{size:,}", f"{memory:.0f}", ratios[0], f"{seconds:.2f}", ratios[1]))
    columns = ("customers", "peak MB", "of the first", "seconds per 1,000", "of the first")
    return table(f"No latency, {concurrency} in flight, medians of {rounds} rounds", columns, rows)


def _onboard(around: Surroundings, size: int, concurrency: int) -> tuple[float, float]:
    """Return the peak in megabytes and the seconds per 1,000 customers."""
    around.alloy.begin_anew()
    with around.onboard(ALLOY_RATE=UNPACED, ALLOY_CONCURRENCY=str(concurrency)) as onboard:
        listed = write_list(onboard.folder / "customers.csv", size)
        started = onboard.start("run", str(listed), "--batch", f"scaling-{size}", "--json")
        with watching_memory(started.process.pid) as peak:
            ended = started.ended(_LONGEST_SECONDS)
    assert ended.code == 0, ended
    assert ended.json["stages"]["completed"] == size
    return peak.megabytes, ended.json["seconds"] / size * 1000


if __name__ == "__main__":
    typer.run(main)
