"""Takes out again what a list added that is only half in; a list that is wholly in stays.

Nothing of it was claimed, since it was held back, so Alloy knows nothing of it. It goes a thousand onboardings at a
time, with their auth values and what is noted of them, and with their customers if they have nothing else. What the
list changed on onboardings that were there before stays changed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Row, delete, exists, func, select, update

from states.stage import Stage
from store.engine import reading, writing
from store.intake.holding_back import NOBODY
from store.models import (
    AUTH_VALUE,
    BATCH,
    CONSENT_LINK,
    CUSTOMER,
    HISTORY,
    INTENT,
    ONBOARDING,
    RUN,
    UNFINISHED_INTAKE,
)
from store.outages import outlasting_outages

CHUNK = 1_000


class WhollyIn(ValueError):
    """No list of the batch is half in, so there is nothing to discard."""

    def __init__(self, batch: str) -> None:
        super().__init__(
            f"the batch {batch} is wholly in, and nothing of it is discarded; "
            f"to end its onboardings: `onboard cancel --batch {batch}`"
        )


@dataclass(frozen=True, slots=True)
class Discard:
    """What there is to discard of a batch."""

    source: str
    began_at: datetime
    onboardings: int
    """How many the list has added so far."""
    changed: int
    """How many of its rows changed an onboarding that was there before; those stay changed."""
    before: int
    """How many onboardings the batch had before; they stay, too."""


def preview_discard(engine: Engine, batch_id: int) -> Discard:
    """Say what :func:`discard` would take out. Raises :class:`WhollyIn`."""
    with reading(engine) as connection:
        begun = _unfinished(connection, batch_id)
        added = _count(connection, *_added(batch_id, begun.after_id))
        total = _count(connection, ONBOARDING.c.batch_id == batch_id)
    return Discard(begun.source, begun.began_at, added, begun.changed, total - added)


def discard(engine: Engine, batch_id: int) -> int:
    """Take out what the unfinished list has added, and the batch with it if nothing else is in it; return how many.

    A process that is taking the list in at this moment stops. Raises :class:`WhollyIn`. Interrupted half-way it is
    simply given again.
    """
    after_id = _begin(engine, batch_id)
    discarded = 0
    while number := _take_out_some(engine, batch_id, after_id):
        discarded += number
    _end(engine, batch_id)
    return discarded


@outlasting_outages
def _begin(engine: Engine, batch_id: int) -> int:
    with writing(engine) as connection:
        _lock(connection, batch_id)
        after_id: int = _unfinished(connection, batch_id).after_id
        # From here on nobody can go on with the intake, neither who is at it nor who starts it again.
        of_batch = UNFINISHED_INTAKE.c.batch_id == batch_id
        connection.execute(update(UNFINISHED_INTAKE).where(of_batch).values(token=NOBODY))
    return after_id


@outlasting_outages
def _take_out_some(engine: Engine, batch_id: int, after_id: int) -> int:
    with writing(engine) as connection:
        chunk = connection.execute(
            select(ONBOARDING.c.id, ONBOARDING.c.customer_id)
            .where(*_added(batch_id, after_id))
            .order_by(ONBOARDING.c.id)
            .limit(CHUNK)
            .with_for_update()
        ).all()
        if not chunk:
            return 0
        ids = [row.id for row in chunk]
        for table in (AUTH_VALUE, CONSENT_LINK, HISTORY):
            connection.execute(delete(table).where(table.c.onboarding_id.in_(ids)))
        connection.execute(delete(ONBOARDING).where(ONBOARDING.c.id.in_(ids)))
        _take_out_customers(connection, sorted({row.customer_id for row in chunk}))
    return len(ids)


def _take_out_customers(connection: Connection, ids: Sequence[int]) -> None:
    unused = (CUSTOMER.c.alloy_user_id.is_(None), ~exists().where(ONBOARDING.c.customer_id == CUSTOMER.c.id))
    # Locked first, and asked again afterwards: in between another list may have given them something else.
    locked = select(CUSTOMER.c.id).where(CUSTOMER.c.id.in_(ids), *unused).order_by(CUSTOMER.c.id).with_for_update()
    still = list(connection.scalars(locked))
    connection.execute(delete(CUSTOMER).where(CUSTOMER.c.id.in_(still), *unused))


@outlasting_outages
def _end(engine: Engine, batch_id: int) -> None:
    with writing(engine) as connection:
        _lock(connection, batch_id)
        connection.execute(delete(UNFINISHED_INTAKE).where(UNFINISHED_INTAKE.c.batch_id == batch_id))
        never_in = (BATCH.c.id == batch_id, BATCH.c.taken_in_at.is_(None))
        if connection.scalar(select(BATCH.c.id).where(*never_in)) is None or _count(
            connection, ONBOARDING.c.batch_id == batch_id
        ):
            return
        # The calls that checking the list has cost were made; they are counted on.
        connection.execute(update(RUN).where(RUN.c.batch_id == batch_id).values(batch_id=None))
        connection.execute(delete(BATCH).where(BATCH.c.id == batch_id))


def _lock(connection: Connection, batch_id: int) -> None:
    connection.execute(select(BATCH.c.id).where(BATCH.c.id == batch_id).with_for_update())


def _added(batch_id: int, after_id: int) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions on what the list has added, and nobody ever worked on."""
    return (
        ONBOARDING.c.batch_id == batch_id,
        ONBOARDING.c.id > after_id,
        ONBOARDING.c.stage == Stage.new,
        ONBOARDING.c.lease_token.is_(None),
        ~exists().where(INTENT.c.onboarding_id == ONBOARDING.c.id),
    )


def _count(connection: Connection, *conditions: ColumnElement[bool]) -> int:
    return connection.scalar(select(func.count()).select_from(ONBOARDING).where(*conditions)) or 0


def _unfinished(connection: Connection, batch_id: int) -> Row[Any]:
    begun = connection.execute(
        select(UNFINISHED_INTAKE, BATCH.c.name)
        .join(BATCH, BATCH.c.id == UNFINISHED_INTAKE.c.batch_id)
        .where(UNFINISHED_INTAKE.c.batch_id == batch_id)
    ).one_or_none()
    if begun is None:
        raise WhollyIn(connection.scalars(select(BATCH.c.name).where(BATCH.c.id == batch_id)).one())
    return begun
