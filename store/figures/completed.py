"""How many were completed in each hour of the last day, and how long the others will take if it goes on like that."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine, case, func, select

from states.stage import Stage
from store.engine import reading
from store.models import ONBOARDING

HOURS = 24
_HOUR = timedelta(hours=1)
_SHORTEST = timedelta(minutes=1)
"""A pace of less than a minute says nothing about the next hour."""


@dataclass(frozen=True, slots=True)
class Hour:
    """One hour of the clock, in UTC; the last one is the present one, and not over yet."""

    begins: datetime
    completed: int


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


def completed_by_hour(engine: Engine, now: datetime) -> list[Hour]:
    """Return the last 24 hours of the clock up to ``now``, the earliest first, also those in which none was."""
    last = now.replace(minute=0, second=0, microsecond=0)
    begins = [last - number * _HOUR for number in reversed(range(HOURS))]
    hour = case(*((ONBOARDING.c.stage_since < end, number) for number, end in enumerate(begins[1:])), else_=HOURS - 1)
    # Grouped outside: with its parameters repeated PostgreSQL would not know the expression again.
    lately = select(hour.label("hour")).where(
        ONBOARDING.c.stage == Stage.completed, ONBOARDING.c.stage_since >= begins[0]
    )
    each = lately.subquery()
    with reading(engine) as connection:
        rows = connection.execute(select(each.c.hour, func.count().label("completed")).group_by(each.c.hour)).all()
    counted: dict[int, int] = {row.hour: row.completed for row in rows}
    return [Hour(begin, counted.get(number, 0)) for number, begin in enumerate(begins)]


def present_pace(engine: Engine, now: datetime) -> Pace:
    """Return the pace of the hour before ``now``, reckoned from the first that was completed in it."""
    lately = select(func.count(), func.min(ONBOARDING.c.stage_since)).where(
        ONBOARDING.c.stage == Stage.completed, ONBOARDING.c.stage_since >= now - _HOUR
    )
    with reading(engine) as connection:
        completed, since = connection.execute(lately).one()
    if not completed:
        return Pace(0, None, None)
    return Pace(completed, since, completed / (max(now - since, _SHORTEST) / _HOUR))
