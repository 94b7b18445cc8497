"""Tables for a terminal: columns side by side where they fit, and a row below the other where they do not.

Rich would draw them too, for the price of a tenth of the time in which a command is to have answered.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from deployments.cli.terminal import cells, columns, folded, padded, styled
from deployments.cli.wording import printable

_BETWEEN = 2


@dataclass(frozen=True, slots=True)
class Row:
    """What stands in the columns, and sentences about it that stand below."""

    values: Sequence[str]
    below: Sequence[str] = field(default=())


def tabulated(titles: Sequence[str], rows: Sequence[Row], *, indent: int = 2) -> Iterator[str]:
    """Yield the lines of a table; a column in which nothing stands is left out.

    In a window that is too narrow the first column stands alone, and the others below it, each after its title.
    """
    used = [place for place in range(len(titles)) if any(row.values[place] for row in rows)]
    shown = [{place: _in_one_line(row.values[place]) for place in used} for row in rows]
    widths = {place: max(cells(titles[place]), *(cells(values[place]) for values in shown)) for place in used}
    margin = " " * indent
    fits = indent + sum(widths.values()) + _BETWEEN * (len(used) - 1) <= columns()
    if fits:
        yield margin + styled(_beside({place: titles[place] for place in used}, widths), dim=True)
    for row, values in zip(rows, shown, strict=True):
        if fits:
            yield margin + _beside(values, widths)
        else:
            yield margin + values.pop(used[0])
            yield from _packed([f"{titles[place]} {value}" for place, value in values.items() if value], indent + 2)
        for sentence in row.below:
            yield from folded(sentence, indent + 4)


def _packed(parts: Sequence[str], indent: int) -> Iterator[str]:
    """Yield as many of ``parts`` in a line as fit."""
    line = ""
    for part in parts:
        if line and indent + cells(f"{line} · {part}") > columns():
            yield " " * indent + line
            line = part
        else:
            line = f"{line} · {part}" if line else part
    if line:
        yield " " * indent + line


def _in_one_line(text: str) -> str:
    return " ".join(printable(text).split("\n"))


def _beside(values: dict[int, str], widths: dict[int, int]) -> str:
    return (" " * _BETWEEN).join(padded(value, widths[place]) for place, value in values.items()).rstrip()
