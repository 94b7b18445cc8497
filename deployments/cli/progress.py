"""How far a run is, on standard error: a bar on a terminal, otherwise a line now and then.

What is shown is asked of the database, not added up here: other workers move the same batch.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import TYPE_CHECKING

import typer

from states.holds import HoldKind
from states.stage import Stage

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from store.standing import Standing

_LOOK_EVERY_SECONDS = 0.5
_LINE_EVERY_SECONDS = 15.0
_SHARE_OF_TIME = 0.05
"""Counting a large batch takes long: it may cost no more than this share of the time."""


@asynccontextmanager
async def shown_progress(engine: "Engine", batch: str | None) -> AsyncIterator[None]:
    """Show how far ``batch`` is while the block runs."""
    watched = sys.stderr.isatty()
    show, close = _bar() if watched else _lines()
    pause = _LOOK_EVERY_SECONDS if watched else _LINE_EVERY_SECONDS
    showing = asyncio.create_task(_keep_showing(engine, batch, show, pause))
    try:
        yield
    finally:
        showing.cancel()
        with suppress(asyncio.CancelledError):
            await showing
        close()


async def _keep_showing(engine: "Engine", batch: str | None, show: Callable[["Standing"], None], pause: float) -> None:
    from sqlalchemy.exc import DBAPIError

    from store.standing import standing

    while True:
        began = monotonic()
        with suppress(DBAPIError):  # a look that fails is missed by nobody
            show(await asyncio.to_thread(standing, engine, batch))
        took = monotonic() - began
        await asyncio.sleep(max(pause, took / _SHARE_OF_TIME))


def _bar() -> tuple[Callable[["Standing"], None], Callable[[], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    progress = Progress(
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
        console=Console(stderr=True, highlight=False),
        transient=True,
    )
    bar = progress.add_task("", total=None)
    progress.start()

    def show(standing: "Standing") -> None:
        completed = standing.stages[Stage.completed]
        progress.update(bar, total=standing.total, completed=completed, description=describe(standing))

    return show, progress.stop


def _lines() -> tuple[Callable[["Standing"], None], Callable[[], None]]:
    last = monotonic()

    def show(standing: "Standing") -> None:
        nonlocal last
        if monotonic() - last >= _LINE_EVERY_SECONDS:
            last = monotonic()
            done = f"{standing.stages[Stage.completed]:,} of {standing.total:,}"
            typer.echo(f"{done} completed, {describe(standing)}", err=True)

    return show, lambda: None


def describe(standing: "Standing") -> str:
    """Say in a few words who is not completed yet, and why."""
    parts = [
        f"{number:,} {words}"
        for number, words in (
            (standing.moving, "on the way"),
            (standing.holds[HoldKind.customer], "wait for the customer"),
            (standing.holds[HoldKind.retry], "tried again"),
            (standing.holds[HoldKind.operator], "for you"),
        )
        if number
    ]
    return ", ".join(parts) or "nobody is left"
