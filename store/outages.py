"""A database that is away for some seconds: it is restarted, fails over, or is locked by somebody for long.

Work that outlasts this is one transaction that does no harm when it is carried out twice: a commit that was reported
as failed may have happened. Outcomes are fenced by the record's version, intents find themselves again, and what an
operator's verb has reached before is counted once. A deadlock passes likewise: PostgreSQL ends one of two transactions
that wait for each other, which has then changed nothing.
"""

from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar

from sqlalchemy.exc import DBAPIError, OperationalError

from store.retries import Attempt, retry, retry_context

P = ParamSpec("P")
T = TypeVar("T")

LONGEST_OUTAGE = 30.0
"""Seconds; half of a lease. What lasts longer ends the run, and its records are taken over as a dead worker's are."""

_DEADLOCK_OR_SERIALIZATION = ("40P01", "40001")
_GOING_OR_COMING = ("57P01", "57P02", "57P03")
_CONNECTION = "08"
_LOCKED = ("SQLITE_BUSY", "SQLITE_LOCKED")


def outlasting_outages(work: Callable[P, T]) -> Callable[P, T]:
    """Carry ``work`` out again while the database is away; the last error comes through."""
    return retry(on=is_passing, attempts=None, timeout=LONGEST_OUTAGE, wait_initial=0.02, wait_max=1, wait_jitter=0.2)(
        work
    )


def attempts() -> Iterator[Attempt]:
    """Like :func:`outlasting_outages`, for work that does something else the second time (``attempt.num`` > 1)."""
    return iter(
        retry_context(
            on=is_passing, attempts=None, timeout=LONGEST_OUTAGE, wait_initial=0.02, wait_max=1, wait_jitter=0.2
        )
    )


def is_passing(error: Exception) -> bool:
    """Tell whether the same transaction may well succeed in a moment."""
    if not isinstance(error, DBAPIError):
        return False
    state = getattr(error.orig, "sqlstate", None) or ""
    return (
        error.connection_invalidated
        or state in _DEADLOCK_OR_SERIALIZATION
        or state in _GOING_OR_COMING
        or state.startswith(_CONNECTION)
        or getattr(error.orig, "sqlite_errorname", "") in _LOCKED
        or _cannot_connect(error)
    )


def _cannot_connect(error: DBAPIError) -> bool:
    """Psycopg tells no state when there is nobody to connect to."""
    return isinstance(error, OperationalError) and getattr(error.orig, "sqlstate", "") is None
