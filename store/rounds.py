"""Whose turn it is where a run works on all batches: a long one must not keep a short one waiting.

Within a stage what fell due first is claimed first, so that a short list would wait behind all of a long one. So every
second claim of such a run is for one batch, each in its turn.
"""

from datetime import datetime

from sqlalchemy import Engine, bindparam, exists, select

from states.transitions import LATEST_FIRST
from store.engine import reading
from store.models import BATCH, ONBOARDING
from store.outages import outlasting_outages

# The stages are named so that each batch is a few looks into an index, however many of it are done or wait.
_HAS_DUE = exists().where(
    ONBOARDING.c.batch_id == BATCH.c.id,
    ONBOARDING.c.stage.in_(LATEST_FIRST),
    ONBOARDING.c.due_at <= bindparam("now", type_=ONBOARDING.c.due_at.type),
)
_NEXT = select(BATCH.c.id).where(_HAS_DUE, BATCH.c.id > bindparam("after")).order_by(BATCH.c.id).limit(1)


@outlasting_outages
def next_batch(engine: Engine, after: int, now: datetime) -> int | None:
    """Return the batch that comes after the batch ``after`` and has due onboardings, from the first one on again."""
    with reading(engine) as connection:
        found: int | None = connection.scalar(_NEXT, {"after": after, "now": now})
        if found is None and after:
            found = connection.scalar(_NEXT, {"after": 0, "now": now})
    return found
