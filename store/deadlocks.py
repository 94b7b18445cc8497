"""Once more after a deadlock: PostgreSQL ends one of two transactions that wait for each other.

Writers lock in one order, so this is rare; but statements over many rows lock in the order that the plan gives them. A
transaction that was ended has changed nothing, so trying it again is always safe.
"""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from sqlalchemy.exc import DBAPIError

from store.retries import retry

P = ParamSpec("P")
T = TypeVar("T")

_DEADLOCK_OR_SERIALIZATION = ("40P01", "40001")


def once_more_after_a_deadlock(work: Callable[P, T]) -> Callable[P, T]:
    """Run ``work``, which must be one transaction, again if the database ended it to resolve a deadlock."""
    return retry(on=_is_deadlock, attempts=6, timeout=30, wait_initial=0.02, wait_max=1)(work)


def _is_deadlock(error: Exception) -> bool:
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in _DEADLOCK_OR_SERIALIZATION
