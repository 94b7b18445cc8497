"""Reads a JSONL list: one object a line, with the auth values in ``auth`` and the answers in ``map``."""

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from json import JSONDecodeError
from math import isfinite
from typing import Any, TextIO

from pydantic import JsonValue

from store.lists.columns import ColumnFault, recognise
from store.lists.rows import LONGEST_CELL, Fault, RawRow
from store.lists.text_file import LONGEST_LINE, line_fault

_NESTED = ("auth", "map")


class _Refused(ValueError):
    """What was read is JSON, but not what a list can hold."""


def read_jsonl(text: TextIO) -> Iterator[RawRow | Fault]:
    """Yield the rows of ``text`` and its faults, in order; blank lines are passed over."""
    number, rows = 0, 0
    while line := text.readline(LONGEST_LINE):
        number += 1
        if (fault := line_fault(line, number)) is not None:
            yield fault
            while not line.endswith(("\n", "\r")) and (line := text.readline(LONGEST_LINE)):
                pass
            rows += 1
        elif line.strip():
            yield from _read_line(line, number)
            rows += 1
    if not rows:
        yield Fault(1, "", "there is no row", "write one JSON object a line")


def _read_line(line: str, number: int) -> Iterator[RawRow | Fault]:
    try:
        read = json.loads(line, object_pairs_hook=_unique, parse_constant=_no_constant)
    except JSONDecodeError as fault:
        yield Fault(number, "", f"not JSON: {fault.msg} at character {fault.colno}", "write one JSON object a line")
        return
    except _Refused as fault:
        yield Fault(number, "", str(fault), "correct the line")
        return
    except (ValueError, RecursionError):
        yield Fault(number, "", "the line's JSON is too deep, or a number in it too long", "correct the line")
        return
    if not isinstance(read, dict):
        yield Fault(number, "", f"a row is a JSON object, and this is {_kind(read)}", "write one JSON object a line")
        return
    yield from _read_object(read, number)


def _read_object(read: Mapping[str, Any], number: int) -> Iterator[RawRow | Fault]:
    cells: list[tuple[str, JsonValue]] = []
    faults: list[Fault] = []
    for name, value in read.items():
        nested = name.strip().casefold()
        if nested not in _NESTED:
            cells.append((name, value))
        elif isinstance(value, dict):
            cells += [(f"{nested}.{inner}", one) for inner, one in value.items()]
        elif value is not None:
            faults.append(
                Fault(number, nested, f"is {_kind(value)}, not an object", f'write "{nested}": {{"NAME": …}}')
            )
    columns, wrong = _recognise(tuple(name for name, _ in cells))
    faults += [Fault(number, *fault) for fault in wrong]
    for column, (_, value) in zip(columns, cells, strict=True):
        if (why := _unusable(value)) is not None:
            faults.append(Fault(number, column, why, "correct the value"))
    yield from faults
    if not faults:
        yield RawRow(number, dict(zip(columns, (value for _, value in cells), strict=True)))


@lru_cache(maxsize=256)
def _recognise(names: tuple[str, ...]) -> tuple[list[str], list[ColumnFault]]:
    # Nearly all lines of a list have the same keys.
    columns, faults = recognise(names)
    if "" in columns:
        faults = [*faults, ColumnFault("", "a key is blank", "name it")]
    return columns, faults


def _unusable(value: JsonValue) -> str | None:
    if isinstance(value, str):
        if "\x00" in value:
            return "holds a NUL character"
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            return "holds half of a character (a lone surrogate)"
    elif isinstance(value, float) and not isfinite(value):
        return "is a number out of range"
    elif isinstance(value, dict | list):
        inner = list(value.values()) + list(value) if isinstance(value, dict) else value
        if len(json.dumps(value)) > LONGEST_CELL:
            return f"has more than {LONGEST_CELL:,} characters"
        return next((why for one in inner if (why := _unusable(one)) is not None), None)
    return None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _Refused(f"the key {twice[:60]!r} stands in the line twice")
    return read


def _no_constant(name: str) -> JsonValue:
    raise _Refused(f"{name} is not JSON")


def _kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    return {str: "a text", int: "a number", float: "a number", list: "a list", dict: "an object"}[type(value)]
