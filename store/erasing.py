"""Erasing one customer: everything that we hold about them is deleted, and only a number is left.

Their onboardings leave their batches, whose ``erased`` count grows by as many: what a batch has on record and what was
erased of it still add up to what was taken in. What there is at Alloy stays there, and its ids are told first.
"""

from datetime import datetime

from sqlalchemy import Connection, Engine, delete, func, select, update

from store.engine import writing
from store.finding import NotFound
from store.models import AUTH_VALUE, BATCH, CONSENT_LINK, CUSTOMER, HISTORY, INTENT, ONBOARDING
from store.outages import attempts


class StillLeased(RuntimeError):
    """A worker has an onboarding of this customer, and is about to write what came of it."""


def erase(engine: Engine, username: str, *, now: datetime) -> int:
    """Delete the customer ``username`` and all that belongs to them; return how many onboardings that were.

    Raises :class:`store.finding.NotFound`, or :class:`StillLeased` while a worker has one of them.
    """
    erased: int | None = None
    for attempt in attempts():
        with attempt:
            with writing(engine) as connection:
                number = _erase(connection, username, now)
                if number is not None:
                    erased = number  # kept over attempts: a commit that only seemed to fail has left nobody to count
            if erased is None:
                raise NotFound(f"there is no customer {username!r}")
            return erased
    raise AssertionError("attempts end with a result or an error")


def _erase(connection: Connection, username: str, now: datetime) -> int | None:
    # A claim locks the customer first, so from here on nobody can take one of the onboardings in hand.
    customer_id = connection.scalar(select(CUSTOMER.c.id).where(CUSTOMER.c.username == username).with_for_update())
    if customer_id is None:
        return None
    rows = connection.execute(
        select(ONBOARDING.c.id, ONBOARDING.c.batch_id, ONBOARDING.c.lease_until)
        .where(ONBOARDING.c.customer_id == customer_id)
        .order_by(ONBOARDING.c.id)
        .with_for_update()
    ).all()
    if any(row.lease_until is not None and row.lease_until > now for row in rows):
        raise StillLeased(f"a worker has {username} in hand at this moment; try again in a minute")
    _count(connection, customer_id)
    ids = [row.id for row in rows]
    for table in (HISTORY, INTENT, CONSENT_LINK, AUTH_VALUE):
        connection.execute(delete(table).where(table.c.onboarding_id.in_(ids)))
    connection.execute(delete(ONBOARDING).where(ONBOARDING.c.id.in_(ids)))
    connection.execute(delete(CUSTOMER).where(CUSTOMER.c.id == customer_id))
    return len(rows)


def _count(connection: Connection, customer_id: int) -> None:
    of_batch = (
        select(func.count())
        .where(ONBOARDING.c.batch_id == BATCH.c.id, ONBOARDING.c.customer_id == customer_id)
        .scalar_subquery()
    )
    theirs = select(ONBOARDING.c.batch_id).where(ONBOARDING.c.customer_id == customer_id)
    connection.execute(update(BATCH).where(BATCH.c.id.in_(theirs)).values(erased=BATCH.c.erased + of_batch))
