"""Writers that meet on the same rows wait for each other in one order, or are tried again."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine, update
from sqlalchemy.exc import OperationalError

from states.holds import Hold, HoldKind, Reason
from states.stage import Stage
from store.deadlocks import once_more_after_a_deadlock
from store.desk import Chosen, redrive
from store.engine import writing
from store.leases import claim, renew
from store.models import ONBOARDING
from store.records import Scope
from store.work import record_group
from store.writes import Held
from tests.store.conftest import LEASE, Add


class Ended(Exception):
    """As the driver says that it was chosen to resolve a deadlock."""

    sqlstate = "40P01"


def test_a_transaction_that_was_ended_is_tried_again() -> None:
    ends = iter([True, False])

    @once_more_after_a_deadlock
    def work() -> str:
        if next(ends):
            raise OperationalError("update", None, Ended())
        return "done"

    assert work() == "done"


def test_any_other_fault_is_not_tried_again() -> None:
    tries = []

    @once_more_after_a_deadlock
    def work() -> None:
        tries.append(1)
        raise OperationalError("update", None, Exception("the disk is full"))

    with pytest.raises(OperationalError):
        work()

    assert len(tries) == 1


def test_outcomes_renewals_and_operators_on_the_same_rows_all_come_through(
    engine: Engine, add: Add, now: datetime
) -> None:
    for number in reversed(range(60)):
        add(f"c{number}@example.test", stage=Stage.created, due_at=now - timedelta(seconds=number))
    page = claim(engine, Scope(), worker="w1", limit=60, lease=LEASE, now=now)
    assert page is not None
    hold = Hold(HoldKind.customer, Reason.awaiting_consent, "no consent yet", timedelta(hours=1))
    pages = [page.records[start::6] for start in range(6)]

    def outcomes(part: int) -> None:
        record_group(engine, [Held(one, hold, 1) for one in reversed(pages[part])], worker="w1", now=now)

    def renewals(_: int) -> None:
        for _ in range(10):
            renew(engine, [page.token], lease=LEASE, now=now)

    def operators(_: int) -> None:
        for _ in range(5):
            redrive(engine, Chosen(stage=Stage.created), by="a test", now=now)

    with ThreadPoolExecutor(4) as pool:
        jobs = [
            pool.submit(renewals, 0),
            pool.submit(operators, 0),
            *(pool.submit(outcomes, part) for part in range(6)),
        ]
        for job in jobs:
            job.result()

    with writing(engine) as connection:
        held = connection.execute(update(ONBOARDING).where(ONBOARDING.c.lease_token.is_(None)).values(nudged=False))
    assert held.rowcount == 60
