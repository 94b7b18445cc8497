"""Notices rows that stand in a list twice, without keeping the rows.

Per row two marks of 16 bytes go into a temporary SQLite file, which the operating system deletes with the process; at
most 64 MB of it are in memory. The marks are keyed at random, since what they are made of holds auth values.
"""

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from store.lists.rows import CustomerRow


class Earlier(NamedTuple):
    """Where something stood before in the list, and whether it was the same."""

    line: int
    agrees: bool


class Seen:
    """The rows that were met so far."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._key = os.urandom(32)

    def onboarding(self, row: CustomerRow, integration_key: str) -> Earlier | None:
        """Remember ``row``; return where its customer and integration stood before, if they did."""
        auth = [part for name, value in sorted(row.auth.items()) for part in (name, value.get_secret_value())]
        given = sorted(answer.model_dump_json() for answer in row.given)
        return self._meet(("o", row.username, integration_key), ("n", row.full_name, "a", *auth, "g", *given), row.line)

    def full_name(self, row: CustomerRow) -> Earlier | None:
        """Remember the customer's full name; return where they stood before, if they did. A blank name is none."""
        return self._meet(("c", row.username), (row.full_name,), row.line) if row.full_name else None

    def _meet(self, key: tuple[str, ...], content: tuple[str, ...], line: int) -> Earlier | None:
        mark, held = self._mark(key), self._mark(content)
        added = self._database.execute("INSERT OR IGNORE INTO seen VALUES (?, ?, ?)", (mark, held, line)).rowcount
        if added:
            return None
        first_line, first = self._database.execute("SELECT line, content FROM seen WHERE mark = ?", (mark,)).fetchone()
        return Earlier(first_line, first == held)

    def _mark(self, parts: tuple[str, ...]) -> bytes:
        text = "\x00".join(parts)  # no part can hold a NUL: lists with one are refused
        return hashlib.blake2b(text.encode(), key=self._key, digest_size=16).digest()


@contextmanager
def watching_repeats() -> Iterator[Seen]:
    """Give a :class:`Seen` for one reading of one list."""
    database = sqlite3.connect("", isolation_level=None)
    try:
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-65536"):
            database.execute(f"PRAGMA {pragma}")
        database.execute(
            "CREATE TABLE seen (mark BLOB PRIMARY KEY, content BLOB NOT NULL, line INTEGER NOT NULL) WITHOUT ROWID"
        )
        database.execute("BEGIN")
        yield Seen(database)
    finally:
        database.close()
