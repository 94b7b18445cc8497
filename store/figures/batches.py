"""The latest lists, and how far each is."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Engine, case, func, select

from states.holds import HoldKind
from states.stage import Stage
from store.engine import reading
from store.models import BATCH, ONBOARDING

LATEST = 10


@dataclass(frozen=True, slots=True)
class BatchLine:
    """One batch in a list of them."""

    name: str
    total: int
    completed: int
    for_customers: int
    for_operators: int
    paused: bool


def latest_batches(engine: Engine) -> list[BatchLine]:
    """Return the latest batches, the newest first."""
    latest = select(BATCH.c.id).order_by(BATCH.c.id.desc()).limit(LATEST).subquery()

    statement = (
        select(
            BATCH.c.name,
            func.count(ONBOARDING.c.batch_id),
            _counted(ONBOARDING.c.stage == Stage.completed),
            _counted(ONBOARDING.c.hold == HoldKind.customer),
            _counted(ONBOARDING.c.hold == HoldKind.operator),
            BATCH.c.paused_at.is_not(None),
        )
        .join_from(BATCH, latest, latest.c.id == BATCH.c.id)
        .join(ONBOARDING, ONBOARDING.c.batch_id == BATCH.c.id, isouter=True)
        .group_by(BATCH.c.id, BATCH.c.name, BATCH.c.paused_at)
        .order_by(BATCH.c.id.desc())
    )
    with reading(engine) as connection:
        return [BatchLine(*row) for row in connection.execute(statement)]


def _counted(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)
