"""How far a long list is on its way in, on standard error: a bar on a terminal, otherwise a line now and then.

A short list is in before there would be anything to show.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TypeAlias

import typer

_SILENT_SECONDS = 1.0
_LINE_EVERY_SECONDS = 15.0

Show: TypeAlias = Callable[[str, int, int | None], None]


@contextmanager
def shown_intake() -> Iterator[Show]:
    """Give what is to be told how far it is: "checked" or "taken in", so many rows, of how many if that is known."""
    show, close = _bar() if sys.stderr.isatty() else _lines()
    try:
        yield show
    finally:
        close()


def _bar() -> tuple[Show, Callable[[], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    progress = Progress(
        BarColumn(bar_width=24),
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
        console=Console(stderr=True, highlight=False),
        transient=True,
    )
    bar = progress.add_task("", total=None)
    began = monotonic()

    def show(done: str, rows: int, of: int | None) -> None:
        if not progress.live.is_started and monotonic() - began >= _SILENT_SECONDS:
            progress.start()
        progress.update(bar, total=of, completed=rows, description=so_far(done, rows, of))

    return show, progress.stop


def _lines() -> tuple[Show, Callable[[], None]]:
    last = monotonic()

    def show(done: str, rows: int, of: int | None) -> None:
        nonlocal last
        if monotonic() - last >= _LINE_EVERY_SECONDS:
            last = monotonic()
            typer.echo(so_far(done, rows, of), err=True)

    return show, lambda: None


def so_far(done: str, rows: int, of: int | None) -> str:
    """Say how far it is: "412,000 of 1,000,000 rows taken in"."""
    return f"{rows:,}{f' of {of:,}' if of is not None else ''} rows {done}"
