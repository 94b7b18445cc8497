"""Many users at once: whom a batch did not create, and whom the account's list shows of those who are looked for."""

from collections.abc import Iterator

from pydantic import JsonValue, ValidationError

from flows.alloy.answers import User, rows_of
from flows.alloy.body import UnreadableAnswer


def read_not_created(answer: JsonValue, asked: frozenset[str]) -> frozenset[str]:
    """Return those of ``asked`` who were not created. Raises :class:`UnreadableAnswer` if that cannot be told.

    Alloy echoes what it did not create. An echo of somebody else may stand for one of those who were asked, written in
    another way; to take that one for created would be to take somebody who was there before us for ours.
    """
    invalid = answer.get("invalidUsers") if isinstance(answer, dict) else answer
    if not isinstance(answer, dict) or not (invalid is None or isinstance(invalid, list)):
        raise UnreadableAnswer("the answer does not say who was created")
    names = frozenset(_names(invalid or []))
    if not names <= asked:
        raise UnreadableAnswer("the answer refuses somebody who was not asked for")
    return names


def _names(rows: list[JsonValue]) -> Iterator[str]:
    for row in rows:
        name = row.get("username") if isinstance(row, dict) else row
        if not isinstance(name, str):
            raise UnreadableAnswer("a row of the answer does not say who was not created")
        yield name


def read_users(answer: JsonValue, wanted: frozenset[str]) -> tuple[dict[str, User], int]:
    """Return those whose username is ``wanted`` and is in the list once, and how long the list is."""
    rows = rows_of(answer)
    found: dict[str, User] = {}
    twice: set[str] = set()
    for row in rows:
        name = row.get("username") if isinstance(row, dict) else None
        if not isinstance(name, str) or name not in wanted:
            continue
        if name in found:
            twice.add(name)
        try:
            found[name] = User.model_validate(row)
        except ValidationError:
            twice.add(name)  # one of the two at least
    return {name: user for name, user in found.items() if name not in twice}, len(rows)
