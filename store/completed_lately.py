"""How many were completed in the last hour, and how long the others will take if it goes on like that.

Plain SQL through :mod:`store.read_only`, as all that is looked at often.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from store.finding import find_batch
from store.read_only import Database, as_parameter, as_time, ask

_HOUR = timedelta(hours=1)
_SHORTEST = timedelta(minutes=1)
"""A pace of less than a minute says nothing about the next hour."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast onboardings were completed in the last hour."""

    completed: int
    since: datetime | None
    """When the first of them was; None if none was."""
    per_hour: float | None

    def time_for(self, number: int) -> timedelta | None:
        """Return how long ``number`` more take at this pace; None if nothing was completed."""
        return number / self.per_hour * _HOUR if self.per_hour else None


def present_pace(database: Database, now: datetime, *, batch: str | None = None) -> Pace:
    """Return the pace of the hour before ``now``, reckoned from the first that was completed in it.

    Of all batches or of one. Raises :class:`store.finding.NotFound`.
    """
    of = {} if batch is None else {"batch_id": find_batch(database, batch)}
    [(completed, first)] = ask(
        database,
        "SELECT count(*), min(stage_since) FROM onboarding WHERE stage = 'completed' AND stage_since >= :hour_ago",
        "AND batch_id = :batch_id" if of else "",
        hour_ago=as_parameter(database, now - _HOUR),
        **of,
    )
    if not completed:
        return Pace(0, None, None)
    since = as_time(first)
    return Pace(completed, since, completed / (max(now - since, _SHORTEST) / _HOUR))
