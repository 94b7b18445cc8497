"""Writers that meet on the same rows do not wait for each other in a circle; one that is caught in one comes through.

Every writer locks rows in the order of their ids. Another transaction here does the same by hand: it locks the first
row, then the last. Whoever took the last one first would now wait for it, and it for them. The rows lie in the opposite
order on the disk, so that nobody locks in the right order by luck. SQLite has one writer at a time and no circles.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Connection, Engine, make_url, select, text, update
from sqlalchemy.exc import OperationalError

from states.holds import Hold, HoldKind, Reason
from states.stage import Stage
from store.desk import Chosen, redrive
from store.engine import make_engine, writing
from store.leases import claim, release, renew
from store.models import ONBOARDING
from store.records import Page, Scope
from store.work import record_group
from store.writes import Held
from tests.store.conftest import LEASE, Add

pytestmark = pytest.mark.parametrize("database_kind", ["postgresql"])

Work = Callable[[Engine, Page, datetime], object]


def renewing(engine: Engine, page: Page, now: datetime) -> None:
    renew(engine, [page.token], lease=LEASE, now=now)


def giving_back(engine: Engine, page: Page, now: datetime) -> None:
    del now
    release(engine, [page.token])


def recording(engine: Engine, page: Page, now: datetime) -> None:
    hold = Hold(HoldKind.customer, Reason.awaiting_consent, "no consent yet", timedelta(hours=1))
    record_group(engine, [Held(record, hold, 1) for record in reversed(page.records)], worker="w1", now=now)


def redriving(engine: Engine, page: Page, now: datetime) -> None:
    del page
    redrive(engine, Chosen(stage=Stage.created), by="a test", now=now)


def hold_some(add: Add, count: int = 3) -> list[int]:
    held = {"hold": HoldKind.customer, "reason": Reason.awaiting_consent, "sentence": "no consent yet"}
    return [add(f"c{number}@example.test", stage=Stage.created, **held) for number in range(count)]


def turn_round(engine: Engine, ids: list[int]) -> None:
    """Have the rows lie in the opposite order, and be read as they lie: an update writes a row anew, behind all."""
    for onboarding in reversed(ids):
        with writing(engine) as connection:
            connection.execute(update(ONBOARDING).where(ONBOARDING.c.id == onboarding).values(line=3))
    with writing(engine) as connection:
        connection.execute(text("ANALYZE onboarding"))


def lock(connection: Connection, onboarding: int) -> None:
    connection.execute(select(ONBOARDING.c.id).where(ONBOARDING.c.id == onboarding).with_for_update())


def wait_until(number: int, engine: Engine, working: Future[object]) -> None:
    """Return when ``number`` transactions wait for a lock."""
    waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        while connection.scalar(waiting) < number and not working.done():
            pass


@pytest.mark.parametrize("work", [renewing, giving_back, recording, redriving])
def test_no_two_writers_wait_for_each_other(engine: Engine, add: Add, now: datetime, work: Work) -> None:
    ids = hold_some(add)
    page = claim(engine, Scope(), worker="w1", limit=len(ids), lease=LEASE, now=now)
    assert page is not None
    turn_round(engine, ids)
    ended = False

    with ThreadPoolExecutor(1) as pool, engine.connect() as other, other.begin():
        other.execute(text("SET LOCAL deadlock_timeout = '10ms'"))  # of two in a circle it is this one that is ended
        lock(other, ids[0])
        working = pool.submit(work, engine, page, now)
        wait_until(1, engine, working)
        try:
            lock(other, ids[-1])
        except OperationalError:
            ended = True
            other.rollback()

    assert not ended
    assert working.exception() is None


@pytest.mark.parametrize("work", [renewing, giving_back, recording, redriving])
def test_a_writer_that_is_ended_to_resolve_a_circle_comes_through(
    engine: Engine, database_url: str, add: Add, now: datetime, work: Work
) -> None:
    first, middle, last = hold_some(add)
    page = claim(engine, Scope(), worker="w1", limit=3, lease=LEASE, now=now)
    assert page is not None
    # Of those in a circle the writer is ended: it looks for one at once, the other does only after a minute.
    quick = make_url(database_url).update_query_dict({"options": "-c deadlock_timeout=10ms"})
    writer = make_engine(quick.render_as_string(hide_password=False))

    with ThreadPoolExecutor(2) as pool, engine.connect() as other, engine.connect() as third:
        other.execute(text("SET LOCAL deadlock_timeout = '1min'"))
        lock(other, last)
        lock(third, middle)
        working = pool.submit(work, writer, page, now)  # takes the first, waits for the middle one
        wait_until(1, engine, working)
        locking = pool.submit(lock, other, first)
        wait_until(2, engine, locking)
        third.rollback()  # and now the writer waits for the last one, whose holder waits for the first
        locking.result()
        other.rollback()
        assert working.exception() is None

    writer.dispose()
