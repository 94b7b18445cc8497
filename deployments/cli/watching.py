"""Looking again and again, until there is nothing more to see or somebody has seen enough.

On a terminal each look takes the place of the one before, on a screen of its own that is gone afterwards: only the last
look stays, whole. Elsewhere one look follows the other. A database that is busy or away for a moment ends nothing:
what was seen last stays, with a line that says so.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Event
from types import FrameType
from typing import Protocol

import typer

from deployments.cli.exits import database_is_away
from deployments.cli.terminal import cut_to_rows, is_terminal, styled

EVERY_SECONDS = 2.0
_SHARE_OF_TIME = 0.2
"""Counting a large batch takes long: looking may cost no more than this share of the time."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One look: its lines, and whether everything there is to see has come to its end."""

    lines: Sequence[str]
    over: bool


class _Display(Protocol):
    def show(self, lines: Sequence[str]) -> None: ...

    def tell(self, trouble: str) -> None: ...


def show_once_or_watch(
    look: Callable[[int | None], Seen], *, watching: bool, every: float | None, as_json: bool
) -> None:
    """Show what ``look`` sees, once or as the options say; it is told how far JSON is to be indented, if at all."""
    if watching or every is not None:
        watch(lambda: look(None), every or EVERY_SECONDS, one_a_line=as_json)
    else:
        for line in look(2).lines:
            typer.echo(line)


def watch(look: Callable[[], Seen], every: float, *, one_a_line: bool) -> None:
    """Show what ``look`` sees every so many seconds; return when it is over, or at Ctrl-C or SIGTERM.

    ``one_a_line``: each look is one line for a program. Raises what the first look raises, and later ones unless it is
    only that the database is away.
    """
    with _sigterm_like_ctrl_c():
        seen = look()
        try:
            with _display(one_a_line=one_a_line) as display, _noticing_a_resized_window() as resized:
                display.show(seen.lines)
                pause = every
                while not seen.over:
                    resized.wait(pause)
                    resized.clear()
                    began = time.monotonic()
                    seen = _look_again(look, display) or seen
                    pause = max(every, (time.monotonic() - began) / _SHARE_OF_TIME)
        except KeyboardInterrupt:
            return


def _look_again(look: Callable[[], Seen], display: _Display) -> Seen | None:
    try:
        seen = look()
    except Exception as error:
        if (why := database_is_away(error)) is None:
            raise
        display.tell(why)
        return None
    display.show(seen.lines)
    return seen


@contextmanager
def _display(*, one_a_line: bool) -> Iterator[_Display]:
    if one_a_line or not is_terminal():
        yield _Paper(one_a_line=one_a_line)
        return
    screen = _Screen()
    sys.stdout.write("\x1b[?1049h\x1b[?25l")  # a screen of its own, without a cursor
    try:
        yield screen
    finally:
        sys.stdout.write("\x1b[?25h\x1b[?1049l")
        for line in screen.lines:
            typer.echo(line)


class _Paper:
    """Whatever is no terminal: a file, a pipe, a log."""

    def __init__(self, *, one_a_line: bool) -> None:
        self._between = not one_a_line
        self._begun = False

    def show(self, lines: Sequence[str]) -> None:
        if self._begun and self._between:
            typer.echo("")
        self._begun = True
        for line in lines:
            typer.echo(line)
        sys.stdout.flush()

    def tell(self, trouble: str) -> None:
        typer.echo(trouble, err=True)


class _Screen:
    """A terminal. Lines are written over those that stand there, all at once, so that nothing flickers."""

    def __init__(self) -> None:
        self.lines: Sequence[str] = ()

    def show(self, lines: Sequence[str]) -> None:
        self.lines = lines
        self._draw(styled(f"seen at {datetime.now(UTC):%H:%M:%S} UTC; Ctrl-C ends", dim=True))

    def tell(self, trouble: str) -> None:
        self._draw(styled(f"{trouble}; looking again", colour="red"))

    def _draw(self, footer: str) -> None:
        width, height = os.get_terminal_size(sys.stdout.fileno())
        below = cut_to_rows(footer, width - 1)
        room = max(1, height - len(below))
        rows = [row for line in self.lines for row in cut_to_rows(line, width - 1)]
        if len(rows) > room:
            hidden = len(rows) - room + 1
            rows = [*rows[: room - 1], styled(f"{hidden} more lines; Ctrl-C prints them all", dim=True)]
        drawn = "\r\n".join(f"{row}\x1b[K" for row in (*rows, *below))
        sys.stdout.write(f"\x1b[H{drawn}\x1b[J")
        sys.stdout.flush()


@contextmanager
def _noticing_a_resized_window() -> Iterator[Event]:
    resized = Event()
    before = signal.signal(signal.SIGWINCH, lambda _number, _frame: resized.set())
    try:
        yield resized
    finally:
        signal.signal(signal.SIGWINCH, before)


@contextmanager
def _sigterm_like_ctrl_c() -> Iterator[None]:
    """Let both interrupt the look once; while the terminal is put in order again, nothing does."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        for number in before:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
