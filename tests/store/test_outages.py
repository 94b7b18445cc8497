"""What a database that is away for a moment may do to us: fail a commit, fail it after it happened, refuse us."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import pytest
import stamina
from sqlalchemy import Connection, Engine, event, func, select
from sqlalchemy.exc import OperationalError

from states.holds import Hold, HoldKind, Reason
from states.stage import Stage, Trigger
from store.engine import reading
from store.journal import NewIntent
from store.leases import claim
from store.models import HISTORY, INTENT, ONBOARDING
from store.outages import is_passing, outlasting_outages
from store.records import Record, Scope
from store.work import record_group
from store.writes import Begin, Held, LeaseLost, Moved
from tests.store.conftest import LEASE, Add


class Gone(Exception):
    """As PostgreSQL's driver says that the server is being shut down."""

    sqlstate = "57P01"


class Full(Exception):
    """As it says that the disk is full."""

    sqlstate = "53100"


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3):
        yield


@contextmanager
def a_commit_that_seems_to_fail(engine: Engine) -> Iterator[list[Connection]]:
    """Let the next transaction happen, and be reported as failed."""
    failed: list[Connection] = []

    def after(connection: Connection) -> None:
        if not failed:
            failed.append(connection)
            connection.connection.driver_connection.commit()  # type: ignore[union-attr]  # it is there
            raise OperationalError("COMMIT", None, Gone())

    event.listen(engine, "commit", after)
    try:
        yield failed
    finally:
        event.remove(engine, "commit", after)


def a_record(engine: Engine, now: datetime) -> Record:
    page = claim(engine, Scope(), worker="w1", limit=1, lease=LEASE, now=now)
    assert page is not None
    return page.records[0]


def count(engine: Engine, table: object) -> int:
    with reading(engine) as connection:
        return connection.scalar(select(func.count()).select_from(table)) or 0  # type: ignore[call-overload]


def test_work_outlasts_a_database_that_is_shut_down() -> None:
    ends = iter([True, False])

    @outlasting_outages
    def work() -> str:
        if next(ends):
            raise OperationalError("update", None, Gone())
        return "done"

    assert work() == "done"


def test_a_retried_call_logs_nothing_for_its_arguments_would_be_quoted(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    ends = iter([True, False])

    @outlasting_outages
    def work(username: str) -> str:
        if next(ends):
            raise OperationalError("update", None, Gone())
        return username

    with caplog.at_level(0):
        work("ann@example.test")

    assert caplog.records == []
    assert "".join(capfd.readouterr()) == ""


def test_a_fault_that_does_not_pass_comes_through_at_once() -> None:
    assert not is_passing(OperationalError("update", None, Full()))


def test_a_claim_whose_commit_seemed_to_fail_holds_what_it_says(engine: Engine, add: Add, now: datetime) -> None:
    add("one@example.test")
    add("other@example.test")

    with a_commit_that_seems_to_fail(engine) as failed:
        page = claim(engine, Scope(), worker="w1", limit=1, lease=LEASE, now=now)

    assert failed
    assert page is not None
    with reading(engine) as connection:
        leased = connection.execute(
            select(ONBOARDING.c.id, ONBOARDING.c.lease_token).where(ONBOARDING.c.lease_token.is_not(None))
        ).all()
    assert [tuple(row) for row in leased] == [(page.records[0].id, page.token)]


def test_an_intent_whose_commit_seemed_to_fail_is_found_again(engine: Engine, add: Add, now: datetime) -> None:
    add()
    record = a_record(engine, now)
    begin = Begin(record, NewIntent(record.id, Trigger.create_user, "digest", now + timedelta(seconds=50)))

    with a_commit_that_seems_to_fail(engine) as failed:
        [intent_id] = record_group(engine, [begin], worker="w1", now=now)

    assert failed
    with reading(engine) as connection:
        assert connection.scalars(select(INTENT.c.id)).all() == [intent_id]


def test_a_move_whose_commit_seemed_to_fail_happens_once(engine: Engine, add: Add, now: datetime) -> None:
    add()
    record = a_record(engine, now)
    moved = Moved(record, Trigger.create_user, {"alloy_user_id": "u1", "adopted": False})

    with a_commit_that_seems_to_fail(engine) as failed:
        [answer] = record_group(engine, [moved], worker="w1", now=now)

    assert failed
    assert answer is None or isinstance(answer, LeaseLost)
    with reading(engine) as connection:
        assert connection.scalars(select(ONBOARDING.c.stage)).all() == [Stage.created]
    assert count(engine, HISTORY) == 1


def test_a_hold_whose_commit_seemed_to_fail_counts_one_attempt(engine: Engine, add: Add, now: datetime) -> None:
    add()
    record = a_record(engine, now)
    hold = Hold(HoldKind.retry, Reason.unreachable, "no answer", timedelta(seconds=2))

    with a_commit_that_seems_to_fail(engine) as failed:
        record_group(engine, [Held(record, hold, 1)], worker="w1", now=now)

    assert failed
    with reading(engine) as connection:
        assert connection.scalars(select(ONBOARDING.c.attempts)).all() == [1]
    assert count(engine, HISTORY) == 1
