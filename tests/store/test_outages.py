"""What a database that is away for a moment may do to us: fail a commit, fail it after it happened, refuse us."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import pytest
import stamina
from sqlalchemy import Connection, Engine, event, func, select, update
from sqlalchemy.exc import OperationalError

from states.forms import Given
from states.holds import Hold, HoldKind, Reason
from states.stage import Stage, Trigger
from store.cancelling import Cancelled, cancel
from store.catalogue import (
    AppEntry,
    CatalogueEntry,
    load,
    load_capabilities,
    save_app,
    save_capabilities,
    save_integrations,
)
from store.choosing import Chosen
from store.desk import answer, redrive, renew_links
from store.engine import reading, writing
from store.erasing import erase
from store.journal import NewIntent
from store.leases import claim
from store.models import BATCH, HISTORY, INTENT, ONBOARDING
from store.outages import is_passing, outlasting_outages
from store.pausing import go_on
from store.records import Record, Scope
from store.runs import begin_run, count_sweeps_before, update_run
from store.work import record_group
from store.writes import Begin, Held, LeaseLost, Moved
from tests.store.conftest import LEASE, Add


class Gone(Exception):
    """As PostgreSQL's driver says that the server is being shut down."""

    sqlstate = "57P01"


ANSWER = Given(name="channel", value="#orders")


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


@contextmanager
def a_server_that_is_shut_down(engine: Engine) -> Iterator[list[str]]:
    """Let the next statement fail, and all after it succeed."""
    failed: list[str] = []

    def before(_connection: Connection, _cursor: object, statement: str, *_more: object) -> None:
        if not failed:
            failed.append(statement)
            raise OperationalError(statement, None, Gone())

    event.listen(engine, "before_cursor_execute", before)
    try:
        yield failed
    finally:
        event.remove(engine, "before_cursor_execute", before)


SOME_APP = AppEntry("shopify", is_oauth=False, properties=("apiKey",))
SHOPIFY = CatalogueEntry.of("a" * 24, "Shopify", ["shopify"])


@pytest.mark.parametrize(
    "work",
    [
        lambda engine, _: load(engine),
        lambda engine, now: save_integrations(engine, [SHOPIFY], now),
        lambda engine, now: save_app(engine, SOME_APP, now),
        lambda engine, _: load_capabilities(engine, "host"),
        lambda engine, _: save_capabilities(engine, "host", {}),
        lambda engine, now: begin_run(engine, Scope(), now),
        lambda engine, now: update_run(engine, 1, now, calls=1, seconds=1.0),
        lambda engine, now: count_sweeps_before(engine, 1, "us", seen_since=now),
        lambda engine, now: go_on(engine, 1, now),
        lambda engine, now: cancel(engine, Chosen(), by="ops", now=now),
        lambda engine, now: redrive(engine, Chosen(), by="ops", now=now),
        lambda engine, now: renew_links(engine, Chosen(), by="ops", now=now),
        lambda engine, now: answer(engine, Chosen(), [ANSWER], by="ops", now=now),
        lambda engine, now: erase(engine, "ann@example.test", now=now),
    ],
    ids=[
        "load", "save_integrations", "save_app", "load_capabilities", "save_capabilities", "begin_run", "update_run",
        "count_sweeps_before",
        "go_on", "cancel", "redrive", "renew_links", "answer", "erase",
    ],
)  # fmt: skip
def test_what_runs_and_operators_ask_of_the_database_outlasts_its_absence(
    engine: Engine, add: Add, now: datetime, work: Callable[[Engine, datetime], object]
) -> None:
    add(stage=Stage.created)

    with a_server_that_is_shut_down(engine) as failed:
        work(engine, now)

    assert failed


def standing_still(add: Add, *usernames: str) -> None:
    for username in usernames:
        add(username, hold=HoldKind.operator, reason=Reason.rejected, sentence="no", due_at=None)


def test_a_cancelling_whose_commit_seemed_to_fail_counts_everybody_once(
    engine: Engine, add: Add, now: datetime
) -> None:
    standing_still(add, "one@example.test", "other@example.test")
    a_record_in_hand(engine, add, now)

    with a_commit_that_seems_to_fail(engine) as failed:
        cancelled = cancel(engine, Chosen(), by="ops", now=now)

    assert failed
    assert cancelled == Cancelled(3, 1)
    assert count(engine, HISTORY) == 3


def test_more_than_a_chunk_is_cancelled_though_a_commit_seemed_to_fail(
    engine: Engine, add: Add, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.choosing.CHUNK", 2)
    standing_still(add, *(f"c{number}@example.test" for number in range(5)))

    with a_commit_that_seems_to_fail(engine):
        assert cancel(engine, Chosen(), by="ops", now=now).number == 5


def test_a_redrive_whose_commit_seemed_to_fail_counts_everybody_once(engine: Engine, add: Add, now: datetime) -> None:
    standing_still(add, "one@example.test", "other@example.test")
    a_record_in_hand(engine, add, now)

    with a_commit_that_seems_to_fail(engine) as failed:
        number = redrive(engine, Chosen(), by="ops", now=now)

    assert failed
    assert number == 3
    assert count(engine, HISTORY) == 3


def a_record_in_hand(engine: Engine, add: Add, now: datetime) -> None:
    add("in-hand@example.test", hold=HoldKind.retry, reason=Reason.unreachable, sentence="no answer")
    a_record(engine, now)


def test_an_answer_whose_commit_seemed_to_fail_is_told_once(engine: Engine, add: Add, now: datetime) -> None:
    add(stage=Stage.installing)

    with a_commit_that_seems_to_fail(engine) as failed:
        number = answer(engine, Chosen(), [ANSWER], by="ops", now=now)

    assert failed
    assert number == 1
    assert count(engine, HISTORY) == 1


def test_links_whose_renewal_seemed_to_fail_are_counted(engine: Engine, add: Add, now: datetime) -> None:
    add(stage=Stage.created, link_issued_at=now)

    with a_commit_that_seems_to_fail(engine) as failed:
        number = renew_links(engine, Chosen(), by="ops", now=now)

    assert failed
    assert number == 1


def test_a_batch_whose_letting_go_on_seemed_to_fail_went_on(engine: Engine, add: Add, now: datetime) -> None:
    add(due_at=None)
    with writing(engine) as connection:
        connection.execute(update(BATCH).values(paused_at=now, paused_why="too many were refused"))
        batch_id = connection.scalars(select(BATCH.c.id)).one()

    with a_commit_that_seems_to_fail(engine) as failed:
        went_on = go_on(engine, batch_id, now)

    assert failed
    assert went_on
    with reading(engine) as connection:
        assert connection.scalars(select(ONBOARDING.c.due_at)).all() == [now]


def test_an_erasure_whose_commit_seemed_to_fail_says_how_many_it_erased(
    engine: Engine, add: Add, now: datetime
) -> None:
    add(), add(integration="slack")

    with a_commit_that_seems_to_fail(engine) as failed:
        number = erase(engine, "ann@example.test", now=now)

    assert failed
    assert number == 2
    with reading(engine) as connection:
        assert connection.scalars(select(BATCH.c.erased)).all() == [2]


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
        [outcome] = record_group(engine, [moved], worker="w1", now=now)

    assert failed
    assert outcome is None or isinstance(outcome, LeaseLost)
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
