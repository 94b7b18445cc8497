"""The account's list of installations, of which a look wants a few rows: the others are not kept, and not read.

Alloy shows the list as a whole, tens of thousands of rows at a large account. Of what nobody wants only the ids outlive
the decoding, for a row without them may be anybody's: a list that holds one proves no absence.
"""

from collections.abc import Callable

from pydantic import JsonValue, ValidationError

from flows.alloy.answers import Installation, rows_of
from flows.alloy.body import UnreadableAnswer

Wanted = frozenset[tuple[str, str]]
"""Users and integrations, by their ids."""

_IDS = ("installationId", "userId", "integrationId")


def keeping(wanted: Wanted) -> Callable[[dict[str, JsonValue]], dict[str, JsonValue]]:
    """Return what a decoder keeps of each object that it has read."""

    def keep(thing: dict[str, JsonValue]) -> dict[str, JsonValue]:
        if "installationId" not in thing or _whose(thing) in wanted:
            return thing
        return {name: thing[name] for name in _IDS if name in thing}

    return keep


def read_wanted(answer: JsonValue, wanted: Wanted) -> list[Installation]:
    """Read those rows of a list that are ``wanted``. Raises :class:`UnreadableAnswer` if any row may be one of them."""
    found = []
    for row in rows_of(answer):
        if not isinstance(row, dict) or not row.get("installationId") or any(name not in row for name in _IDS):
            raise UnreadableAnswer("a row of the answer does not say which installation it is, or whose")
        if _whose(row) in wanted:
            try:
                found.append(Installation.model_validate(row))
            except ValidationError:
                raise UnreadableAnswer("a row of the answer is no Installation") from None
    return found


def _whose(row: dict[str, JsonValue]) -> tuple[str, str]:
    return str(row.get("userId")), str(row.get("integrationId"))
