"""Batches that stand still: paused when their failure budget is spent, until somebody lets them go on.

A record of a paused batch is claimed by nobody. A claim that meets one takes its time away, as for everything that
waits for somebody to act, so that no later claim meets it again; to go on gives it back.
"""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, Engine, exists, or_, select, update

from states.holds import HoldKind
from states.stage import Stage
from store.engine import writing
from store.health import forget_batch
from store.models import BATCH, ONBOARDING, UNFINISHED_INTAKE
from store.outages import attempts


def paused_batches(connection: Connection) -> Collection[int]:
    """Return the batches that are paused; none of them is let go on before this transaction ends."""
    return set(connection.scalars(select(BATCH.c.id).where(BATCH.c.paused_at.is_not(None)).with_for_update(read=True)))


def go_on(engine: Engine, batch_id: int, now: datetime) -> bool:
    """Let a paused batch go on, with its whole budget before it; return whether it was paused."""
    was_paused = False
    for attempt in attempts():
        with attempt:
            with writing(engine) as connection:
                forget_batch(connection, batch_id)
                was_paused = _unpause(connection, batch_id, now) or was_paused  # by a commit that only seemed to fail
            return was_paused
    raise AssertionError("attempts end with a result or an error")


def _unpause(connection: Connection, batch_id: int, now: datetime) -> bool:
    went_on = connection.execute(
        update(BATCH)
        .where(BATCH.c.id == batch_id, BATCH.c.paused_at.is_not(None))
        .values(paused_at=None, paused_why=None)
    )
    if not went_on.rowcount:
        return False
    connection.execute(
        update(ONBOARDING)
        .where(
            ONBOARDING.c.batch_id == batch_id,
            ONBOARDING.c.stage != Stage.completed,
            ONBOARDING.c.due_at.is_(None),
            or_(ONBOARDING.c.hold.is_(None), ONBOARDING.c.hold.in_([HoldKind.retry, HoldKind.customer])),
            ~exists().where(  # nobody may claim what a list that is only half in has brought
                UNFINISHED_INTAKE.c.batch_id == batch_id, UNFINISHED_INTAKE.c.after_id < ONBOARDING.c.id
            ),
        )
        .values(due_at=now)
    )
    return True
