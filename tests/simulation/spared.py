"""What a worker asks the store again and again although nothing has changed, answered without running the store.

Four of five questions are "is anything due by now?" and "what lies ahead?", asked ten times a second while calls are
under way. Their answers follow from the books as they are, so that a seed costs a third of what it would otherwise.
Whatever is answered here is what the store would have said; only its time is saved.
"""

import sqlite3
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from store.leases import claim, outlook

_CLAIMABLE = """
    SELECT min(max(due_at, coalesce(lease_until, due_at), coalesce((
        SELECT max(lease_until) FROM onboarding AS other
        WHERE other.customer_id = onboarding.customer_id AND other.id <> onboarding.id
    ), due_at))) FROM onboarding WHERE due_at IS NOT NULL
"""
"""From when on something may be claimed: it is due, and neither it nor another of its customer is leased."""


class Spared:
    """Knows when the books last changed, what may be claimed from when on, and what was seen ahead."""

    def __init__(self, database: Path) -> None:
        self._connection = sqlite3.connect(database, isolation_level=None)
        self._version = -1
        self._claimable_from: str | None = None
        self._ahead: dict[object, object] = {}

    def close(self) -> None:
        self._connection.close()

    def knows(self, work: "partial[Any]") -> bool:
        """Tell whether :meth:`answer` can answer."""
        if work.func not in (claim, outlook):
            return False
        [(version,)] = self._connection.execute("PRAGMA data_version").fetchall()
        if version != self._version:
            self._version = version
            self._ahead.clear()
            [(self._claimable_from,)] = self._connection.execute(_CLAIMABLE).fetchall()
        if work.func is outlook:
            return work.args[1] in self._ahead
        return self._claimable_from is None or self._claimable_from > _as_written(work.keywords["now"])

    def answer(self, work: "partial[Any]") -> object:
        """Return what the store would have returned: no page, or what was seen ahead before."""
        return self._ahead[work.args[1]] if work.func is outlook else None

    def learn(self, work: "partial[Any]", answer: object) -> None:
        """Keep what the store said."""
        if work.func is outlook:
            self._ahead[work.args[1]] = answer


def _as_written(time: datetime) -> str:
    """Return a time as SQLite has it."""
    return time.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")
