"""How long the pages of the operators' desk take to be made, and how large they are: 50,000 onboardings, 5,000 wait.

    uv run python -m tests.benchmarks.desk

Measured is what a run does at its end, less what Prefect needs to keep the page: asking the store, and rendering.
"""

import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Annotated
from uuid import uuid4

import typer
from rich.table import Table
from sqlalchemy import Engine

from flows.desk.forms import FORMS, Forms
from flows.desk.publishing import LARGEST, Page, batch_page, customer_page, overview_page, waiting_page
from store.engine import make_engine, migrate, time_of
from tests.benchmarks.databases import KINDS, Databases, databases
from tests.benchmarks.shown import show, table
from tests.benchmarks.waiting_onboardings import FIRST_BATCH, FIRST_CUSTOMER, fill

_FORMS = Forms({name: uuid4() for name in FORMS})
"""As if all were registered: links are part of a page's size."""

PAGES: dict[str, Callable[[], Page]] = {
    "overview": overview_page,
    "who waits": waiting_page,
    "one batch": lambda: batch_page(FIRST_BATCH),
    "one customer": lambda: customer_page(FIRST_CUSTOMER),
}


def main(
    total: Annotated[int, typer.Option(help="How many onboardings there are.")] = 50_000,
    waiting: Annotated[int, typer.Option(help="How many of them stand still.")] = 5_000,
    rounds: Annotated[int, typer.Option(help="How often each page is made.")] = 5,
) -> None:
    """Print the seconds of each page, and of overview and tables together, and how many bytes it has."""
    with tempfile.TemporaryDirectory() as folder, databases(Path(folder)) as made:
        show(measure(made, total, waiting, rounds))


def measure(made: Databases, total: int, waiting: int, rounds: int) -> Table:
    """Measure on both databases; return the table."""
    rows: list[tuple[str, ...]] = []
    for kind in KINDS:
        with made.new(kind) as url:
            engine = make_engine(url)
            migrate(engine)
            fill(engine, total, waiting, datetime.now(UTC))
            found = {name: _made(engine, page(), rounds) for name, page in PAGES.items()}
            engine.dispose()
        rows += [(f"{kind}, {name}", *_figures(*one)) for name, one in found.items()]
        both = [found["overview"], found["who waits"]]
        together = [sum(one) for one in zip(*(seconds for seconds, _ in both), strict=True)]
        rows.append((f"{kind}, overview and who waits", *_figures(together, sum(size for _, size in both))))
    title = f"{total:,} onboardings of which {waiting:,} wait, {rounds} rounds"
    return table(title, ("page", "median s", "longest s", "bytes", "of the largest that is published"), rows)


def _made(engine: Engine, page: Page, rounds: int) -> tuple[list[float], int]:
    """Return the seconds of each round, and the bytes of the page."""
    seconds = []
    size = 0
    for _ in range(rounds):
        began = perf_counter()
        markdown = page.render(engine, time_of(engine), _FORMS)
        seconds.append(perf_counter() - began)
        size = len(markdown.encode())
    assert 0 < size < LARGEST
    return seconds, size


def _figures(seconds: list[float], size: int) -> tuple[str, ...]:
    return f"{median(seconds):.3f}", f"{max(seconds):.3f}", f"{size:,}", f"{size / LARGEST:.1%}"


if __name__ == "__main__":
    typer.run(main)
