"""What the terminal can: how wide it is, whether it shows colours, and how much room a text takes in it.

Nothing is ever cut to a window's width: sentences are folded, and whatever is to be copied stays whole.
"""

import os
import re
import shutil
import sys
from collections.abc import Iterable
from unicodedata import category, east_asian_width

import typer

from deployments.cli.wording import in_this_shell, printable

_NARROWEST = 20
_WIDEST = 120
_WIDEST_TO_READ = 100
"""A sentence in longer lines is hard to read."""
_COMMAND = re.compile(r"`[^`]*`")
_UNBROKEN = "\N{NO-BREAK SPACE}"
_STYLE = re.compile(r"\x1b\[[0-9;]*m")


def is_terminal() -> bool:
    """Tell whether somebody looks at standard output in a terminal that can do more than print."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def columns() -> int:
    """Return how many columns our lines may take: those of the window, 80 where there is none; COLUMNS overrides it."""
    return max(_NARROWEST, min(shutil.get_terminal_size((80, 24)).columns, _WIDEST)) - 1


def styled(text: str, *, bold: bool = False, dim: bool = False, colour: str | None = None) -> str:
    """Return ``text`` in colour, or as it is where that would not be seen or is not wanted (https://no-color.org)."""
    if not is_terminal() or os.environ.get("NO_COLOR"):
        return text
    return typer.style(text, bold=bold or None, dim=dim or None, fg=colour)


def cells(text: str) -> int:
    """Return how many columns ``text`` takes: some letters take two, some none, and styles none either."""
    plain = _STYLE.sub("", text)
    return len(plain) if plain.isascii() else sum(map(_cells_of, plain))


def _cells_of(letter: str) -> int:
    if category(letter) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if east_asian_width(letter) in ("W", "F") else 1


def padded(text: str, width: int, *, right: bool = False) -> str:
    """Return ``text`` with blanks up to ``width`` columns, before it if it is to stand on the right."""
    blanks = " " * (width - cells(text))
    return blanks + text if right else text + blanks


def folded(text: str, indent: int) -> Iterable[str]:
    """Yield ``text`` in lines that fit, indented; a command or a longer word stays whole, so that it can be copied."""
    from textwrap import wrap

    margin = " " * indent
    lines = wrap(
        _COMMAND.sub(lambda found: found[0].replace(" ", _UNBROKEN), printable(in_this_shell(text))),
        min(columns(), _WIDEST_TO_READ),
        initial_indent=margin,
        subsequent_indent=margin,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace(_UNBROKEN, " ") for line in lines]


def cut_to_rows(line: str, width: int) -> list[str]:
    """Return ``line`` as the rows that it fills in a window of ``width`` columns, styles kept."""
    if cells(line) <= width:
        return [line]
    rows, room = [""], width
    for part in re.split(f"({_STYLE.pattern})", line):
        if _STYLE.fullmatch(part):
            rows[-1] += part
            continue
        for letter in part:
            if _cells_of(letter) > room:
                rows.append("")
                room = width
            rows[-1] += letter
            room -= _cells_of(letter)
    return rows
