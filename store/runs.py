"""What each flow run cost: calls sent, and seconds of work. Sums over them are what ``status`` reports."""

from datetime import datetime

from sqlalchemy import Engine, insert, update

from store.engine import writing
from store.models import RUN
from store.outages import outlasting_outages
from store.records import Scope


@outlasting_outages
def begin_run(engine: Engine, scope: Scope, now: datetime) -> int:
    """Note that a run over ``scope`` has begun; return its id.

    A commit that only seems to fail leaves a second note, of a run that cost nothing.
    """
    with writing(engine) as connection:
        result = connection.execute(
            insert(RUN).values(batch_id=scope.batch_id, started_at=now, calls=0, seconds=0.0).returning(RUN.c.id)
        )
        run_id: int = result.scalar_one()
    return run_id


@outlasting_outages
def update_run(engine: Engine, run_id: int, *, calls: int, seconds: float) -> None:
    """Note what the run has cost so far."""
    with writing(engine) as connection:
        connection.execute(update(RUN).where(RUN.c.id == run_id).values(calls=calls, seconds=seconds))
