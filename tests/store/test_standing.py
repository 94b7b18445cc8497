"""The counts, asked through an engine and through the driver alone, of SQLite and of PostgreSQL."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, insert

from states.holds import HoldKind, Reason
from states.stage import Stage, Trigger
from store.engine import writing
from store.finding import NotFound, find_batch
from store.journal import Closing
from store.leftovers import leftovers
from store.models import BATCH, INTENT, RUN
from store.read_only import Database
from store.standing import Standing, Waiting, form_of, standing, waiting
from tests.store.conftest import Add

CONSENT = {
    "stage": Stage.created,
    "hold": HoldKind.customer,
    "reason": Reason.awaiting_consent,
    "sentence": "no consent",
}
ANSWER = {"stage": Stage.installing, "hold": HoldKind.customer, "reason": Reason.awaiting_answer, "sentence": "no name"}
REJECTED = {
    "stage": Stage.authed,
    "hold": HoldKind.operator,
    "reason": Reason.rejected,
    "sentence": "no",
    "due_at": None,
}
LIMITED = {"stage": Stage.created, "hold": HoldKind.retry, "reason": Reason.rate_limited, "sentence": "too fast"}
COMPLETED = {"stage": Stage.completed, "due_at": None}

AddBatch = Callable[[str], int]


@pytest.fixture
def add_batch(engine: Engine, now: datetime) -> AddBatch:
    def put(name: str) -> int:
        with writing(engine) as connection:
            batch_id: int = connection.execute(
                insert(BATCH).values(name=name, source="", templates=[], created_at=now).returning(BATCH.c.id)
            ).scalar_one()
        return batch_id

    return put


def add_run(engine: Engine, now: datetime, batch_id: int | None, calls: int, seconds: float) -> None:
    with writing(engine) as connection:
        connection.execute(insert(RUN).values(batch_id=batch_id, started_at=now, calls=calls, seconds=seconds))


def add_intent(engine: Engine, now: datetime, onboarding_id: int, outcome: Closing | None) -> None:
    with writing(engine) as connection:
        connection.execute(
            insert(INTENT).values(
                onboarding_id=onboarding_id, trigger=Trigger.start_installation, digest="", opened_at=now,
                settled_at=now, closed_at=now if outcome else None, outcome=outcome,
            )
        )  # fmt: skip


def test_nobody_is_counted_where_nobody_is(database: Database) -> None:
    assert standing(database) == Standing(
        batch=None,
        total=0,
        stages=dict.fromkeys(Stage, 0),
        holds=dict.fromkeys(HoldKind, 0),
        reasons={},
        moving=0,
        leftovers=0,
        next_due_at=None,
        calls=0,
        seconds=0.0,
    )
    assert waiting(database) == []


@pytest.fixture
def everybody(engine: Engine, add: Add, add_batch: AddBatch, now: datetime) -> None:
    """Two batches, in which somebody stands wherever one can stand."""
    autumn = add_batch("autumn")
    add("a@example.test", due_at=now + timedelta(hours=2))
    add("b@example.test", due_at=now + timedelta(hours=3), stage=Stage.mapped)
    add("c@example.test", due_at=now + timedelta(hours=5), **CONSENT)
    add("d@example.test", due_at=now + timedelta(minutes=61, microseconds=7), **ANSWER)
    late = add("e@example.test", **REJECTED)
    left = add("f@example.test", **COMPLETED)
    add("g@example.test", due_at=now + timedelta(hours=4), batch_id=autumn, **LIMITED)
    other = add("h@example.test", batch_id=autumn, **REJECTED)
    add("i@example.test", batch_id=autumn, **COMPLETED)
    for onboarding_id, outcome in (
        (late, Closing.late),
        (left, Closing.leftover),
        (left, Closing.answered),
        (left, None),
        (other, Closing.leftover),
    ):
        add_intent(engine, now, onboarding_id, outcome)
    spring = find_batch(engine, "spring")
    for batch_id, calls, seconds in ((spring, 7, 1.25), (spring, 4, 2.0004), (autumn, 100, 10.0), (None, 1000, 0.5)):
        add_run(engine, now, batch_id, calls, seconds)


@pytest.mark.usefixtures("everybody")
def test_everybody_is_counted_in_one_stage_and_one_hold(database: Database, now: datetime) -> None:
    assert standing(database) == Standing(
        batch=None,
        total=9,
        stages={
            Stage.new: 1,
            Stage.created: 2,
            Stage.authed: 2,
            Stage.installing: 1,
            Stage.mapped: 1,
            Stage.completed: 2,
        },
        holds={HoldKind.retry: 1, HoldKind.customer: 2, HoldKind.operator: 2, HoldKind.cancelled: 0},
        reasons={
            Reason.awaiting_consent: 1,
            Reason.awaiting_answer: 1,
            Reason.rejected: 2,
            Reason.rate_limited: 1,
        },
        moving=2,
        leftovers=3,
        next_due_at=now + timedelta(minutes=61, microseconds=7),
        calls=1111,
        seconds=13.75,
        parts={
            (Stage.new, None, None): 1,
            (Stage.created, HoldKind.customer, Reason.awaiting_consent): 1,
            (Stage.created, HoldKind.retry, Reason.rate_limited): 1,
            (Stage.authed, HoldKind.operator, Reason.rejected): 2,
            (Stage.installing, HoldKind.customer, Reason.awaiting_answer): 1,
            (Stage.mapped, None, None): 1,
            (Stage.completed, None, None): 2,
        },
    )


@pytest.mark.usefixtures("everybody")
def test_a_batch_is_counted_without_the_others(database: Database, now: datetime) -> None:
    assert standing(database, "spring") == Standing(
        batch="spring",
        total=6,
        stages=dict.fromkeys(Stage, 1),
        holds={HoldKind.retry: 0, HoldKind.customer: 2, HoldKind.operator: 1, HoldKind.cancelled: 0},
        reasons={Reason.awaiting_consent: 1, Reason.awaiting_answer: 1, Reason.rejected: 1},
        moving=2,
        leftovers=2,
        next_due_at=now + timedelta(minutes=61, microseconds=7),
        calls=11,
        seconds=3.25,
        parts={
            (Stage.new, None, None): 1,
            (Stage.created, HoldKind.customer, Reason.awaiting_consent): 1,
            (Stage.authed, HoldKind.operator, Reason.rejected): 1,
            (Stage.installing, HoldKind.customer, Reason.awaiting_answer): 1,
            (Stage.mapped, None, None): 1,
            (Stage.completed, None, None): 1,
        },
    )
    autumn = standing(database, "autumn")
    assert (autumn.total, autumn.next_due_at) == (3, now + timedelta(hours=4))
    assert (autumn.moving, autumn.leftovers, autumn.calls, autumn.seconds) == (0, 1, 100, 10.0)


@pytest.mark.usefixtures("everybody")
def test_words_are_members_and_times_are_in_utc(database: Database) -> None:
    counted = standing(database)
    assert {type(word) for words in (counted.stages, counted.holds, counted.reasons) for word in words} == {
        Stage,
        HoldKind,
        Reason,
    }
    assert counted.next_due_at is not None
    assert counted.next_due_at.tzinfo is UTC
    for one in waiting(database):
        assert (type(one.stage), type(one.hold), type(one.reason)) == (Stage, HoldKind, Reason)
        assert {time.tzinfo for time in (one.since, one.due_at) if time} == {UTC}


@pytest.mark.parametrize("outcome", [None, *Closing])
def test_only_what_may_be_left_at_alloy_is_a_leftover(
    outcome: Closing | None, engine: Engine, database: Database, add: Add, now: datetime
) -> None:
    add_intent(engine, now, add(), outcome)
    expected = 1 if outcome in (Closing.leftover, Closing.late) else 0
    assert (standing(database).leftovers, standing(database, "spring").leftovers) == (expected, expected)


@pytest.mark.parametrize("outcome", [None, *Closing])
def test_what_a_call_did_whose_outcome_nobody_looks_for_since_the_record_was_cancelled_is_a_leftover(
    outcome: Closing | None, engine: Engine, database: Database, add: Add, now: datetime
) -> None:
    add_intent(engine, now, add(hold=HoldKind.cancelled, reason=Reason.cancelled, due_at=None), outcome)
    expected = 1 if outcome in (None, Closing.leftover, Closing.late) else 0
    assert (standing(database).leftovers, standing(database, "spring").leftovers) == (expected, expected)
    assert len(leftovers(database)) == len(leftovers(database, batch="spring")) == expected


@pytest.mark.parametrize("kind", HoldKind)
def test_every_hold_has_its_count_and_its_row(kind: HoldKind, database: Database, add: Add) -> None:
    for reason in Reason:
        add(f"{reason}@example.test", hold=kind, reason=reason, sentence="why")
    counted = standing(database)
    assert (counted.holds[kind], counted.moving) == (len(Reason), 0)
    assert counted.reasons == dict.fromkeys(Reason, 1)
    assert [(one.hold, one.reason) for one in waiting(database)] == [(kind, reason) for reason in Reason]


def test_whom_an_operator_must_help_comes_first_then_the_longest_waiting(
    database: Database, add: Add, now: datetime
) -> None:
    add("a@example.test", stage_since=now - timedelta(hours=1), **CONSENT)
    add("b@example.test", stage_since=now - timedelta(hours=2, microseconds=1), attempts=3, **CONSENT)
    add("c@example.test", **REJECTED)
    add("d@example.test")
    found = waiting(database)
    assert [one.username[0] for one in found] == ["c", "b", "a"]
    assert found[1] == Waiting(
        username="b@example.test",
        integration="netsuite",
        stage=Stage.created,
        hold=HoldKind.customer,
        reason=Reason.awaiting_consent,
        sentence="no consent",
        since=now - timedelta(hours=2, microseconds=1),
        due_at=now,
        attempts=3,
    )
    assert found[0].due_at is None


@pytest.mark.usefixtures("everybody")
def test_who_waits_can_be_asked_by_batch_by_kind_and_a_few_at_a_time(database: Database) -> None:
    def found(**chosen: object) -> str:
        return "".join(sorted(one.username[0] for one in waiting(database, **chosen)))

    assert found() == "cdegh"
    assert found(batch="autumn") == "gh"
    assert found(kind=HoldKind.operator) == "eh"
    assert found(batch="spring", kind=HoldKind.customer) == "cd"
    assert found(kind=HoldKind.cancelled) == ""
    assert found(reason=Reason.awaiting_answer) == "d"
    assert found(kind=HoldKind.retry, reason=Reason.rate_limited) == "g"
    assert found(limit=2) == "eh"


def test_a_batch_that_is_not_there_is_not_found_and_the_latest_are_named(
    database: Database, add_batch: AddBatch
) -> None:
    with pytest.raises(NotFound, match=r"no batch 'winter'; the latest are: none yet"):
        find_batch(database, "winter")
    ids = [add_batch(name) for name in ("it's :name", "100%", "spring")]
    assert find_batch(database, "it's :name") == ids[0]
    for ask in (find_batch, standing, lambda of, name: waiting(of, batch=name)):
        with pytest.raises(NotFound, match="the latest are: spring, 100%, it's :name"):
            ask(database, "winter")


def test_the_form_of_an_onboarding_is_read_as_alloy_gave_it(database: Database, add: Add) -> None:
    form = [{"blockId": "b", "app": "slack", "fields": [{"name": "größe", "required": True, "default": None}]}]
    add("a@example.test", "slack", form=form)
    add("a@example.test", "netsuite", form=None)
    assert form_of(database, "a@example.test", "slack") == form
    assert form_of(database, "a@example.test", "netsuite") == []
    assert form_of(database, "nobody@example.test", "slack") == []
