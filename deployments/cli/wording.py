"""How things are said in this terminal: what the command is called here, times, and text that came from outside."""

import os
import shutil
import sys
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from pathlib import Path

IN_DEMO: ContextVar[bool] = ContextVar("in_demo", default=False)
"""Whether this command works on what ``onboard demo`` left behind."""


def program() -> str:
    """Return how this program is called from the shell that called it, so that printed commands can be copied."""
    name = "onboard"
    if "UV_RUN_RECURSION_DEPTH" in os.environ:
        name = "uv run onboard"
    elif shutil.which(name) is None and Path(sys.argv[0]).name == name:
        name = sys.argv[0]
    return f"{name} --demo" if IN_DEMO.get() else name


def command(words: str) -> str:
    """Return a command of this program as it can be typed here."""
    return f"{program()} {words}"


def in_this_shell(sentence: str) -> str:
    """Return ``sentence`` with the commands in it as they can be typed here."""
    return sentence.replace("`onboard ", f"`{program()} ")


def quoted(word: str) -> str:
    """Return ``word`` as a shell takes it."""
    from shlex import quote

    return quote(printable(word))


def printable(text: str) -> str:
    """Return ``text`` without what would drive the terminal: names and messages come from outside."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "�" for letter in text)


def ago(time: datetime) -> str:
    """Say how long ago ``time`` was."""
    return span(datetime.now(UTC) - time)


def ahead(time: datetime) -> str:
    """Say when ``time`` will be."""
    when = soon(time)
    return when if when == "now" else f"{when} ({time:%Y-%m-%d %H:%M:%S} UTC)"


def soon(time: datetime) -> str:
    """Say how long it is until ``time``."""
    left = time - datetime.now(UTC)
    return "now" if left <= timedelta(seconds=1) else f"in {span(left)}"


def count(number: int, one: str, several: str | None = None) -> str:
    """Say a number of things: "1 row", "2 rows"."""
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"


def span(time: timedelta) -> str:
    """Say how long ``time`` is, in its largest unit of which there are two."""
    seconds = max(0, round(time.total_seconds()))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
