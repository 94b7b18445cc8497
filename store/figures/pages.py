"""All that one page of the desk is made of, asked together."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, select

from store.completed_lately import Pace, present_pace
from store.engine import reading
from store.figures.batches import BatchLine, latest_batches
from store.figures.completed import Hour, completed_by_hour
from store.figures.held import Group, held
from store.figures.time_in_stage import Stay, time_in_stages
from store.finding import find_batch
from store.models import BATCH
from store.standing import Standing, standing
from store.views import Story, story

SHOWN = 100
"""So many of those who wait for the same thing are shown, the others are counted."""


@dataclass(frozen=True, slots=True)
class Overview:
    """Everybody, at ``at``."""

    at: datetime
    standing: Standing
    hours: Sequence[Hour]
    pace: Pace
    stays: Sequence[Stay]
    batches: Sequence[BatchLine]


@dataclass(frozen=True, slots=True)
class WaitingList:
    """Those who stand still, at ``at``."""

    at: datetime
    groups: Sequence[Group]


@dataclass(frozen=True, slots=True)
class BatchFigures:
    """One batch, at ``at``."""

    at: datetime
    name: str
    source: str
    taken_in_at: datetime | None
    standing: Standing
    groups: Sequence[Group]


@dataclass(frozen=True, slots=True)
class CustomerFigures:
    """One customer, at ``at``."""

    at: datetime
    story: Story


def overview(engine: Engine, now: datetime) -> Overview:
    """Return where everybody stands, how they got there, and how fast."""
    return Overview(
        at=now,
        standing=standing(engine),
        hours=completed_by_hour(engine, now),
        pace=present_pace(engine, now),
        stays=time_in_stages(engine),
        batches=latest_batches(engine),
    )


def waiting_list(engine: Engine, now: datetime) -> WaitingList:
    """Return who stands still, and since when."""
    return WaitingList(now, held(engine, each=SHOWN))


def batch_figures(engine: Engine, name: str, now: datetime) -> BatchFigures:
    """Return where those of one batch stand, with one example of each hold. Raises :class:`NotFound`."""
    batch_id = find_batch(engine, name)
    with reading(engine) as connection:
        row = connection.execute(select(BATCH.c.source, BATCH.c.taken_in_at).where(BATCH.c.id == batch_id)).one()
    return BatchFigures(
        at=now,
        name=name,
        source=row.source,
        taken_in_at=row.taken_in_at,
        standing=standing(engine, name),
        groups=held(engine, each=1, batch_id=batch_id),
    )


def customer_figures(engine: Engine, username: str, now: datetime) -> CustomerFigures:
    """Return one customer's whole story. Raises :class:`NotFound`."""
    return CustomerFigures(now, story(engine, username))
