"""Flow runs, as our own records have them: what each cost, and which are at work.

Sums of the costs are what ``status`` reports. That a run is at work is true for as long as it says so: what Prefect
shows as running may have died long ago, or may have lost its place there while it does its work.
"""

from datetime import datetime

from sqlalchemy import Engine, func, insert, select, update

from store.engine import reading, writing
from store.models import RUN
from store.outages import outlasting_outages
from store.records import Scope


@outlasting_outages
def begin_run(engine: Engine, scope: Scope, now: datetime, *, worker: str | None = None) -> int:
    """Note that a run over ``scope`` has begun; return its id.

    A commit that only seems to fail leaves a second note, of a run that cost nothing.
    """
    values = {
        "batch_id": scope.batch_id,
        "started_at": now,
        "calls": 0,
        "seconds": 0.0,
        "worker": worker,
        "sweeping": scope == Scope(),
        "seen_at": now,
    }
    with writing(engine) as connection:
        run_id: int = connection.execute(insert(RUN).values(values).returning(RUN.c.id)).scalar_one()
    return run_id


@outlasting_outages
def update_run(engine: Engine, run_id: int, now: datetime, *, calls: int, seconds: float, ended: bool = False) -> None:
    """Note what the run has cost so far, and that it was at work just now, or has ended."""
    values = {"calls": calls, "seconds": seconds, "seen_at": now} | ({"ended_at": now} if ended else {})
    with writing(engine) as connection:
        connection.execute(update(RUN).where(RUN.c.id == run_id).values(values))


@outlasting_outages
def count_sweeps_before(engine: Engine, run_id: int, worker: str, *, seen_since: datetime) -> int:
    """Count the runs that go on with whatever is due, began before the run ``run_id`` of ``worker``, and are at work.

    Who has not been seen since ``seen_since`` is taken for dead.
    """
    before = select(func.count()).where(
        RUN.c.id < run_id,
        RUN.c.ended_at.is_(None),
        RUN.c.sweeping,
        RUN.c.seen_at >= seen_since,
        RUN.c.worker != worker,
    )
    with reading(engine) as connection:
        return connection.scalar(before) or 0
