"""How many were completed in each hour of the last day."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine, case, func, select

from states.stage import Stage
from store.engine import reading
from store.models import ONBOARDING

HOURS = 24
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Hour:
    """One hour of the clock, in UTC; the last one is the present one, and not over yet."""

    begins: datetime
    completed: int


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
