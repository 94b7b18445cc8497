"""Reads a CSV list, one row at a time, with the physical line on which each begins.

A quote that is never closed swallows the rows after it. When that comes to light, reading goes back to the line after
the quote, so that one slip does not hide the faults that follow it.
"""

import csv
from collections import deque
from collections.abc import Iterator, Sequence
from typing import TextIO

from store.lists.columns import recognise
from store.lists.rows import LONGEST_CELL, Fault, RawRow
from store.lists.text_file import LONGEST_LINE, line_fault

_DELIMITERS = (",", ";", "\t")


def read_csv(text: TextIO) -> Iterator[RawRow | Fault]:
    """Yield the rows of ``text`` and its faults, in order; nothing after the header if that cannot be used.

    Commas, semicolons and tabs are taken as delimiters, whichever gives the header columns that we know.
    """
    lines = _Lines(text)
    delimiter = _find_delimiter(lines)
    columns: list[str] | None = None
    for start, found in _records(lines, delimiter):
        if isinstance(found, Fault):
            yield found
        elif not any(cell.strip() for cell in found):
            continue
        elif columns is None:
            columns, faults = recognise(found)
            yield from (Fault(start, *fault) for fault in faults)
            if faults:
                return
        else:
            yield _row(start, columns, found)
    if columns is None:
        yield Fault(1, "", "there is no header", "begin with a line that names the columns")


def _row(line: int, columns: Sequence[str], cells: Sequence[str]) -> RawRow | Fault:
    extra = [cell for cell in cells[len(columns) :] if cell.strip()]
    if len(cells) < len(columns) or extra:
        return Fault(
            line,
            "",
            f"the row has {len(cells)} cells, the header {len(columns)}",
            "look for a delimiter that is missing, or for one inside a cell without quotes",
        )
    named = dict(zip(columns, cells, strict=False))
    if "" in columns:
        if any(cell.strip() for column, cell in zip(columns, cells, strict=False) if not column):
            return Fault(line, "", "there is a value in a column that has no name", "name the column in the header")
        del named[""]
    return RawRow(line, dict(named))


def _records(lines: "_Lines", delimiter: str) -> Iterator[tuple[int, list[str] | Fault]]:
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        start = lines.begin_record()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield start, _explain(start, lines.spanned, str(error))
            lines.go_back()
            continue
        if bad := lines.take_faults():
            for fault in bad:
                yield fault.line, fault
        else:
            yield start, cells


def _explain(line: int, spanned: int, error: str) -> Fault:
    if spanned > 1 or "end of data" in error:
        return Fault(
            line, "", "a quote that is opened here is not closed", 'close it, or write a quote in a cell as ""'
        )
    if "field limit" in error:
        return Fault(line, "", f"a cell has more than {LONGEST_CELL:,} characters", "shorten it")
    return Fault(
        line,
        "",
        "a cell goes on after its closing quote",
        'write a quote inside a cell as "", and quote the whole cell',
    )


def _find_delimiter(lines: "_Lines") -> str:
    header = lines.peek()
    best, most = ",", 0
    for delimiter in _DELIMITERS:
        names = next(csv.reader([header], delimiter=delimiter), [])
        columns, _ = recognise(names)
        known = sum(
            column in ("username", "full_name", "integration") or column.startswith(("auth.", "map."))
            for column in columns
        )
        if known > most:
            best, most = delimiter, known
    return best


class _Lines:
    """The physical lines of a file; those of the record that is being read can be read again."""

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self._waiting: deque[str] = deque()
        self._record: list[str] = []
        self._number = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._waiting.popleft() if self._waiting else self._read()
        if not line:
            raise StopIteration
        self._number += 1
        self._record.append(line)
        return line

    @property
    def spanned(self) -> int:
        """How many lines the present record takes."""
        return len(self._record)

    def begin_record(self) -> int:
        """Forget the lines of the last record; return the number of the line on which the next one begins."""
        self._record.clear()
        return self._number + 1

    def peek(self) -> str:
        """Return the first line that is not blank, or "", and leave all to be read."""
        seen: list[str] = []
        while (line := self._read()) and not line.strip():
            seen.append(line)
        self._waiting.extend([*seen, line] if line else seen)
        return line

    def go_back(self) -> None:
        """Have all lines of the present record but its first read again."""
        again = self._record[1:]
        self._waiting.extendleft(reversed(again))
        self._number -= len(again)

    def take_faults(self) -> list[Fault]:
        """Return what makes lines of the present record unusable as text."""
        first = self._number - len(self._record) + 1
        found = (line_fault(line, number) for number, line in enumerate(self._record, start=first))
        return [fault for fault in found if fault is not None]

    def _read(self) -> str:
        line = self._text.readline(LONGEST_LINE)
        if len(line) >= LONGEST_LINE:
            while (rest := self._text.readline(LONGEST_LINE)) and not rest.endswith(("\n", "\r")):
                pass
        return line
