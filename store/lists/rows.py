"""One row of a customer list: what it must hold, and the faults by which it is refused.

A fault names the line that a person finds in an editor, the column and the remedy, and never a value that may be
secret.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, SecretStr, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from states.forms import Given
from store.vault import UnresolvedReference, anchor_reference, is_reference, resolve_reference

LONGEST_CELL = 100_000
LONGEST_NAME = 255
"""Of usernames and integrations: PostgreSQL cannot index much more."""

_OBJECT_ID = re.compile(r"[0-9a-fA-F]{24}")
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_OWN = frozenset({"username", "full_name", "integration"})
_REFERS = "refers to this machine's environment or files, which a list that anybody may have put there must not"
_WITHOUT_REFERENCES = "write the value itself, or take the list in with `onboard run`"
_AS_TEXT = "write it as text, in quotes"


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with a list. ``line`` 0 is the file as a whole, ``column`` "" the whole line."""

    line: int
    column: str
    fault: str
    remedy: str


@dataclass(frozen=True, slots=True)
class RawRow:
    """A row as it was read: its columns by the names of :mod:`store.lists.columns`, values as they came."""

    line: int
    cells: Mapping[str, JsonValue]


def _name(value: str) -> str:
    if not value:
        raise _fault("is blank", "fill it in")
    if len(value) > LONGEST_NAME:
        raise _fault(f"has more than {LONGEST_NAME} characters", "shorten it")
    if not value.isascii() or not value.isprintable():
        for character in value:
            if unicodedata.category(character) in _INVISIBLE:
                raise _fault(f"holds the invisible character U+{ord(character):04X}", "take it out")
    return value


def _username(value: str) -> str:
    if _OBJECT_ID.fullmatch(value):
        raise _fault(
            "looks like an id of Alloy's (24 hex characters), so Alloy could not tell which of the two is meant",
            "choose another username, an e-mail address for example",
        )
    return _name(value)


def _auth_value(value: SecretStr) -> SecretStr:
    try:
        resolve_reference(value.get_secret_value())
    except UnresolvedReference as fault:
        raise _fault(f"is a reference, and {fault}", "set it here, or put the value into the list") from None
    return value


class CustomerRow(BaseModel):
    """One customer and one integration, as a list asks for it; everything in it was checked."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    line: int
    username: Annotated[str, AfterValidator(_username)]
    full_name: str = ""
    integration: Annotated[str, AfterValidator(_name)]
    auth: dict[str, Annotated[SecretStr, AfterValidator(_auth_value)]] = Field(default_factory=dict)
    """By property; never blank. A reference stays a reference."""
    given: list[Given] = Field(default_factory=list)
    columns: dict[str, JsonValue] = Field(default_factory=dict)
    """All columns in their order, for templates and export; those of auth values are there, and blank."""

    @property
    def characters(self) -> int:
        """About how long it is: what is nested in a cell counts as the longest cell there may be."""
        cells = sum(
            len(cell) if isinstance(cell, str) else LONGEST_CELL if isinstance(cell, dict | list) else 0
            for cell in self.columns.values()
        )
        return cells + sum(map(len, self.auth.values()))


def build_row(raw: RawRow, folder: Path | None) -> CustomerRow | list[Fault]:
    """Return the checked row, or everything that is wrong with it.

    ``folder`` is where ``file:`` paths begin. Without it auth values may not refer to anything of this machine.
    """
    columns: dict[str, JsonValue] = {}
    own: dict[str, JsonValue] = {}
    auth: dict[str, JsonValue] = {}
    given: list[Given] = []
    faults: list[Fault] = []
    for name, value in raw.cells.items():
        cell = value.strip() if isinstance(value, str) else value
        columns[name] = cell
        blank = cell is None or cell == ""
        if isinstance(cell, str) and len(cell) > LONGEST_CELL:
            faults.append(Fault(raw.line, name, f"has more than {LONGEST_CELL:,} characters", "shorten it"))
        elif name in _OWN:
            own[name] = "" if cell is None else cell
        elif name.startswith("auth."):
            columns[name] = ""
            refused = _refused_reference(raw.line, name, cell, folder)
            faults += refused
            if not blank and not refused:
                auth[name[5:]] = anchor_reference(cell, folder) if isinstance(cell, str) and folder else cell
        elif name.startswith("map."):
            if isinstance(cell, dict | list):
                faults.append(Fault(raw.line, name, "is not a text, a number or true/false", "give a single value"))
            elif not blank:
                given.append(Given(name=name[4:], value=cell))
    try:
        row = CustomerRow.model_validate({**own, "line": raw.line, "auth": auth, "given": given, "columns": columns})
    except ValidationError as invalid:
        too_long = {fault.column for fault in faults}
        found = [_read(raw.line, error) for error in invalid.errors(include_url=False, include_input=False)]
        return faults + [fault for fault in found if fault.column not in too_long]
    return faults or row


def _refused_reference(line: int, column: str, cell: JsonValue, folder: Path | None) -> list[Fault]:
    # Not looked up either: nobody is to learn from a list which variables and files there are.
    refers = folder is None and isinstance(cell, str) and is_reference(cell)
    return [Fault(line, column, _REFERS, _WITHOUT_REFERENCES)] if refers else []


def _fault(fault: str, remedy: str) -> PydanticCustomError:
    return PydanticCustomError("row_fault", "{fault}", {"fault": fault, "remedy": remedy})


def _read(line: int, error: ErrorDetails) -> Fault:
    place = error["loc"]
    column = f"auth.{place[1]}" if place[0] == "auth" and len(place) > 1 else str(place[0])
    if error["type"] == "row_fault":
        context = error["ctx"]
        return Fault(line, column, str(context["fault"]), str(context["remedy"]))
    if error["type"] == "missing":
        return Fault(line, column, "is missing", "add it")
    return Fault(line, column, "is not a text", _AS_TEXT)
