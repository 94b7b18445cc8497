"""Many users at once: whom a batch did not create, and whom the account's list shows of those who are looked for.

Alloy shows the list as a whole, a hundred thousand rows at a large account: of whom nobody looks for nothing is kept.
"""

from collections.abc import Iterator

from pydantic import JsonValue, ValidationError

from flows.alloy.answers import User, read, rows_of
from flows.alloy.body import Keep, UnreadableAnswer

_NOBODY: dict[str, JsonValue] = {}
"""Stands for a row that was not kept: they are still counted."""


def keeping(wanted: frozenset[str]) -> Keep:
    """Return what a decoder keeps of each object that it has read, if only these usernames are wanted."""

    def keep(thing: dict[str, JsonValue]) -> dict[str, JsonValue]:
        name = thing.get("username")
        return _NOBODY if "userId" in thing and not (isinstance(name, str) and name in wanted) else thing

    return keep


def keeping_one() -> Keep:
    """Return what a decoder keeps of each object of one answer, if any user will do."""
    kept: list[JsonValue] = []

    def keep(thing: dict[str, JsonValue]) -> dict[str, JsonValue]:
        if "userId" in thing:
            if kept:
                return _NOBODY
            kept.append(thing)
        return thing

    return keep


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


def read_one(answer: JsonValue) -> tuple[User | None, int]:
    """Return some user of the list, None if it is empty, and how long it is. Raises :class:`UnreadableAnswer`."""
    rows = rows_of(answer)
    return (read(User, next((row for row in rows if row), None)) if rows else None), len(rows)
