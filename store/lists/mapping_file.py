"""Reads a mapping file, JSON or TOML: answers for everyone on a list, which may be templates.

A key is a field's name, or ``APP/FIELD`` or ``BLOCK/FIELD`` for one block only; a table (``[shopify]``) says the same
for many fields, and for one whose name has a slash in it.
"""

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from states.forms import Given, InvalidAnswer
from states.templates import check_template
from store.lists.rows import LONGEST_CELL, Fault
from store.lists.text_file import UnreadableFile, open_text

_SHAPE = 'write {"FIELD": "VALUE"}, or FIELD = "VALUE" in TOML'


class MappingRefused(ValueError):
    """The mapping file cannot be used; ``faults`` says all that is wrong with it."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("; ".join(f"{fault.column or 'the file'}: {fault.fault}" for fault in faults))
        self.faults = faults


def read_mapping(path: Path) -> list[Given]:
    """Return the answers in ``path``. Raises :class:`MappingRefused`."""
    content = _parse(path)
    given: list[Given] = []
    faults: list[Fault] = []
    for block, name, value in _answers(content):
        key = f"{block}/{name}" if block else name
        fault = _fault(name, value)
        if fault is not None:
            faults.append(Fault(0, key, *fault))
        else:
            given.append(Given(name=name, value=value, block=block))
    seen: set[tuple[str | None, str]] = set()
    for answer in given:
        if (answer.block, answer.name) in seen:
            faults.append(Fault(0, answer.name, "is answered twice", "take one of the two out"))
        seen.add((answer.block, answer.name))
    if faults:
        raise MappingRefused(faults)
    return given


def _parse(path: Path) -> dict[str, Any]:
    kind = path.suffix.lower()
    if kind not in (".json", ".toml"):
        raise MappingRefused([Fault(0, "", f"{path.name} is no mapping file", "give it the ending .json or .toml")])
    try:
        with open_text(path) as opened:
            text = opened.read()
        text.encode()  # bytes that are not UTF-8 came as lone surrogates
        content = (
            tomllib.loads(text.replace("\r\n", "\n"))
            if kind == ".toml"
            else json.loads(text, object_pairs_hook=_unique)
        )
    except UnreadableFile as unreadable:
        raise MappingRefused([unreadable.fault]) from None
    except UnicodeEncodeError as fault:
        line = text.count("\n", 0, fault.start) + 1
        raise MappingRefused([Fault(line, "", "the line is not UTF-8", "save the file as UTF-8")]) from None
    except json.JSONDecodeError as fault:
        raise MappingRefused([Fault(fault.lineno, "", f"not JSON: {fault.msg}", _SHAPE)]) from None
    except tomllib.TOMLDecodeError as fault:
        raise MappingRefused([Fault(0, "", f"not TOML: {fault}", _SHAPE)]) from None
    except (ValueError, RecursionError) as fault:
        why = str(fault) if isinstance(fault, _Twice) else "a number is too long, or it is nested too deeply"
        raise MappingRefused([Fault(0, "", why, _SHAPE)]) from None
    if not isinstance(content, dict):
        raise MappingRefused([Fault(1, "", "is not an object", _SHAPE)])
    return content


class _Twice(ValueError):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read: dict[str, Any] = {}
    for name, value in pairs:
        if name in read:
            raise _Twice(f"the key {name[:60]!r} stands in the file twice")
        read[name] = value
    return read


def _answers(content: dict[str, Any]) -> Iterator[tuple[str | None, str, Any]]:
    for key, value in content.items():
        if isinstance(value, dict):
            yield from ((key.strip() or None, name, one) for name, one in value.items())
        else:
            block, slash, name = key.partition("/")
            yield (block.strip() or None, name.strip(), value) if slash else (None, key.strip(), value)


def _fault(name: str, value: object) -> tuple[str, str] | None:
    if not name:
        return "names no field", "write FIELD or APP/FIELD"
    if not isinstance(value, str | int | float):
        return "is not a text, a number or true/false", "give a single value, dates in quotes"
    if isinstance(value, str):
        if len(value) > LONGEST_CELL:
            return f"has more than {LONGEST_CELL:,} characters", "shorten it"
        try:
            check_template(value)
        except InvalidAnswer as fault:
            return str(fault), "see the README on mapping files"
    return None
