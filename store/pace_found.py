"""How fast the accounts are called at present, for operators: quick to ask, and changes nothing."""

from dataclasses import dataclass
from datetime import UTC, datetime

from states.pace import TRUSTED_FOR, Pace
from store.read_only import Database, ask


@dataclass(frozen=True, slots=True)
class Found:
    """How fast an account was called last."""

    rate: float | None
    """Calls per second; None: they were not held up."""
    given: bool
    """Whether an operator said how fast; otherwise it was found by asking."""
    limit_met: bool
    """Whether anything was refused yet that tells where the limit is."""
    paused_until: datetime | None
    """Until when Alloy has asked everybody to wait."""


def found_paces(database: Database) -> list[Found]:
    """Return the paces of the accounts that were called some minutes before the latest call or later, latest first."""
    rows = ask(
        database,
        """
        SELECT given, rate, refused_rate, paused_until, seen_at FROM accountpace
        WHERE seen_at > (SELECT max(seen_at) FROM accountpace) - :since ORDER BY seen_at DESC
        """,
        since=TRUSTED_FOR,
    )
    return [
        Found(
            rate=Pace(given=given, rate=rate).limit,
            given=given is not None,
            limit_met=refused_rate is not None,
            paused_until=datetime.fromtimestamp(paused_until, UTC) if paused_until > seen_at else None,
        )
        for given, rate, refused_rate, paused_until, seen_at in rows
    ]
