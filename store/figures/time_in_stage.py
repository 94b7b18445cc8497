"""How long onboardings stay at each stage: the median, and what nineteen of twenty do not exceed.

Reckoned from those that left the stage last, so that it says how things are now, and costs the same whether a thousand
or a million have been there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from sqlalchemy import Connection, Engine, func, select

from states.stage import Stage, Trigger
from states.transitions import TRANSITIONS
from store.engine import reading
from store.models import HISTORY, ONBOARDING

SAMPLE = 2_000
"""So many that left a stage last are looked at."""
_LOOKED_THROUGH = 500_000
"""So many of the latest entries of the history are looked through for them."""


@dataclass(frozen=True, slots=True)
class Stay:
    """The time spent at one stage by those who left it last."""

    stage: Stage
    number: int
    """How many of them were looked at."""
    median: timedelta
    longest_of_95: timedelta
    """So long or less stayed 95 of 100."""


def time_in_stages(engine: Engine) -> list[Stay]:
    """Return the stays at every stage that anybody has left, the first stage first."""
    with reading(engine) as connection:
        newest = connection.scalar(select(func.max(HISTORY.c.id))) or 0
        found = {
            transition.source: _stays(connection, transition.trigger, newest - _LOOKED_THROUGH)
            for transition in TRANSITIONS
        }
    return [
        Stay(stage, len(stays), percentile(stays, 0.5), percentile(stays, 0.95))
        for stage, stays in found.items()
        if stays
    ]


def percentile(stays: Sequence[timedelta], share: float) -> timedelta:
    """Return the shortest of ``stays`` that this share of them does not exceed; of two in the middle, the shorter."""
    return sorted(stays)[max(ceil(share * len(stays)) - 1, 0)]


_ENTERED = HISTORY.alias("entered")
_SINCE = (
    select(_ENTERED.c.at)
    .where(
        _ENTERED.c.onboarding_id == HISTORY.c.onboarding_id,
        _ENTERED.c.id < HISTORY.c.id,
        _ENTERED.c.trigger.is_not(None),
    )
    .order_by(_ENTERED.c.id.desc())
    .limit(1)
    .scalar_subquery()
)
"""When the stage was entered; nothing leads into the first one."""


def _stays(connection: Connection, trigger: Trigger, after_id: int) -> list[timedelta]:
    rows = connection.execute(
        select(HISTORY.c.at, func.coalesce(_SINCE, ONBOARDING.c.created_at))
        .join(ONBOARDING, ONBOARDING.c.id == HISTORY.c.onboarding_id)
        .where(HISTORY.c.trigger == trigger, HISTORY.c.id > after_id)
        .order_by(HISTORY.c.id.desc())
        .limit(SAMPLE)
    ).all()
    return [_between(since, left) for left, since in rows]


def _between(since: datetime, left: datetime) -> timedelta:
    return max(left - since, timedelta(0))  # the clock may have been set back
