"""Cancelling: for good, for those who are chosen, and beside a worker who has the record in hand."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, func, insert, select

from states.forms import Given
from states.holds import Hold, HoldKind, Reason
from states.stage import Stage, Trigger
from store.cancelling import Cancelled, cancel
from store.choosing import Chosen
from store.desk import answer, redrive, renew_links
from store.engine import reading, writing
from store.finding import NotFound
from store.journal import Close, Closing, NewIntent
from store.leases import claim, outlook, release
from store.models import AUTH_VALUE, CONSENT_LINK, HISTORY, INTENT, ONBOARDING
from store.records import Record, Scope
from store.views import leftovers, links
from store.work import record_group
from store.writes import Begin, Held, Issue, Learn, LeaseLost, Moved, Released, TakeTurn, Write
from tests.store.conftest import LEASE, Add

USER = {"alloy_user_id": "user-1"}
EVERYBODY = Chosen()


@pytest.fixture
def sealed(engine: Engine, now: datetime) -> Callable[[int], None]:
    """Give an onboarding a sealed auth value and a consent link."""

    def seal(onboarding: int) -> None:
        with writing(engine) as connection:
            connection.execute(insert(AUTH_VALUE).values(onboarding_id=onboarding, name="apiKey", sealed=b"sealed"))
            connection.execute(insert(CONSENT_LINK).values(onboarding_id=onboarding, sealed=b"sealed", issued_at=now))

    return seal


def stop(engine: Engine, now: datetime, chosen: Chosen = EVERYBODY) -> Cancelled:
    return cancel(engine, chosen, by="ops", now=now)


def take(engine: Engine, now: datetime) -> Record:
    page = claim(engine, Scope(), worker="w1", limit=1, lease=LEASE, now=now)
    assert page is not None
    return page.records[0]


def write(engine: Engine, now: datetime, *writes: Write) -> list[int | LeaseLost | None]:
    return record_group(engine, writes, worker="w1", now=now)


def row(engine: Engine, onboarding: int) -> Any:
    with reading(engine) as connection:
        return connection.execute(select(ONBOARDING).where(ONBOARDING.c.id == onboarding)).one()


def kept(engine: Engine) -> tuple[int, int]:
    """Return how many auth values and consent links there are."""
    with reading(engine) as connection:
        auth = connection.scalar(select(func.count()).select_from(AUTH_VALUE)) or 0
        consent = connection.scalar(select(func.count()).select_from(CONSENT_LINK)) or 0
    return auth, consent


def intents(engine: Engine) -> list[Any]:
    with reading(engine) as connection:
        return list(connection.execute(select(INTENT).order_by(INTENT.c.id)))


def intent(record: Record, now: datetime) -> NewIntent:
    return NewIntent(record.id, Trigger.create_user, "digest", now + timedelta(seconds=40))


def test_a_cancelled_record_keeps_its_stage_and_says_how_to_take_it_back(
    engine: Engine, add: Add, now: datetime
) -> None:
    onboarding = add(stage=Stage.installing, installation_id="i1")

    assert stop(engine, now) == Cancelled(1, 0)
    ended = row(engine, onboarding)
    assert (ended.stage, ended.installation_id) == (Stage.installing, "i1")
    assert (ended.hold, ended.reason) == (HoldKind.cancelled, Reason.cancelled)
    assert "ops" in ended.sentence
    assert "redrive --hold cancelled" in ended.sentence


def test_a_cancelled_record_is_never_claimed(engine: Engine, add: Add, now: datetime) -> None:
    add()
    stop(engine, now)

    assert claim(engine, Scope(), worker="w1", limit=5, lease=LEASE, now=now + timedelta(days=400)) is None


def test_what_was_sealed_for_a_cancelled_record_is_deleted(
    engine: Engine, add: Add, now: datetime, sealed: Callable[[int], None]
) -> None:
    onboarding = add(stage=Stage.created, auth_names=["apiKey"], link_issued_at=now)
    sealed(onboarding)
    stop(engine, now)

    ended = row(engine, onboarding)
    assert (kept(engine), ended.auth_names, ended.link_issued_at) == ((0, 0), [], None)


def test_what_was_sealed_for_others_stays(
    engine: Engine, add: Add, now: datetime, sealed: Callable[[int], None]
) -> None:
    add("ann@example.test")
    sealed(add("bob@example.test"))
    stop(engine, now, Chosen(username="ann@example.test"))

    assert kept(engine) == (1, 1)


def test_past_the_credential_it_stays_on_record_which_values_it_was_made_from(
    engine: Engine, add: Add, now: datetime
) -> None:
    onboarding = add(stage=Stage.authed, auth_names=["apiKey"], credential_id="c1")
    stop(engine, now)

    assert row(engine, onboarding).auth_names == ["apiKey"]


def test_a_completed_record_is_not_touched(engine: Engine, add: Add, now: datetime) -> None:
    onboarding = add(stage=Stage.completed, due_at=None)

    assert stop(engine, now) == Cancelled(0, 0)
    assert row(engine, onboarding).hold is None


def test_cancelling_twice_changes_nothing_more(engine: Engine, add: Add, now: datetime) -> None:
    onboarding = add()
    stop(engine, now)
    before = row(engine, onboarding)

    assert stop(engine, now + timedelta(hours=1)) == Cancelled(0, 0)
    assert row(engine, onboarding) == before


@pytest.mark.parametrize(
    "chosen",
    [
        Chosen(username="bob@example.test"),
        Chosen(integration="SLACK"),
        Chosen(stage=Stage.created),
        Chosen(hold=HoldKind.customer),
        Chosen(reason=Reason.awaiting_consent),
        Chosen(batch_id=1, stage=Stage.created),
    ],
    ids=str,
)
def test_only_those_who_are_chosen_are_cancelled(engine: Engine, add: Add, now: datetime, chosen: Chosen) -> None:
    other = add("ann@example.test", "netsuite")
    meant = add(
        "bob@example.test", "slack", stage=Stage.created, hold=HoldKind.customer, reason=Reason.awaiting_consent
    )

    assert stop(engine, now, chosen).number == 1
    assert (row(engine, other).hold, row(engine, meant).hold) == (None, HoldKind.cancelled)


def test_age_is_the_time_at_the_stage(engine: Engine, add: Add, now: datetime) -> None:
    young = add("ann@example.test", stage_since=now - timedelta(days=29), created_at=now - timedelta(days=300))
    old = add("bob@example.test", stage_since=now - timedelta(days=31))
    stop(engine, now, Chosen(since=now - timedelta(days=30)))

    assert (row(engine, young).hold, row(engine, old).hold) == (None, HoldKind.cancelled)


def test_more_than_a_statement_may_name_are_cancelled_at_once(
    engine: Engine, add: Add, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.choosing.CHUNK", 2)
    for number in range(5):
        add(f"customer-{number}")

    assert stop(engine, now).number == 5


def test_a_record_in_hand_stands_cancelled_at_once_and_stays_its_workers(
    engine: Engine, add: Add, now: datetime
) -> None:
    onboarding = add()
    record = take(engine, now)

    assert stop(engine, now) == Cancelled(1, 1)
    ended = row(engine, onboarding)
    assert (ended.hold, ended.lease_token, ended.version) == (HoldKind.cancelled, record.token, record.version)


def test_the_outcome_of_a_call_that_was_under_way_is_recorded_and_the_record_goes_no_further(
    engine: Engine, add: Add, now: datetime
) -> None:
    onboarding = add()
    record = take(engine, now)
    (begun,) = write(engine, now, Begin(record, intent(record, now)))
    assert isinstance(begun, int)
    stop(engine, now)

    assert write(
        engine, now, Moved(record, Trigger.create_user, USER, Close(begun, Closing.answered, {"alloy_user_id": "u"}))
    ) == [None]
    ended = row(engine, onboarding)
    assert (ended.stage, ended.hold, ended.reason) == (Stage.created, HoldKind.cancelled, Reason.cancelled)
    assert (ended.due_at, ended.lease_token) == (None, None)
    assert [one.outcome for one in intents(engine)] == [Closing.answered]


def test_a_failure_that_arrives_after_the_cancelling_does_not_make_it_due_again(
    engine: Engine, add: Add, now: datetime
) -> None:
    onboarding = add()
    record = take(engine, now)
    stop(engine, now)
    hold = Hold(HoldKind.retry, Reason.unreachable, "no answer", timedelta(seconds=2))

    assert write(engine, now, Held(record, hold, attempts=1)) == [None]
    ended = row(engine, onboarding)
    assert (ended.hold, ended.due_at, ended.lease_token) == (HoldKind.cancelled, None, None)


def test_an_unknown_outcome_stays_open_beside_the_cancelling(engine: Engine, add: Add, now: datetime) -> None:
    add()
    record = take(engine, now)
    write(engine, now, Begin(record, intent(record, now)))
    stop(engine, now)
    hold = Hold(HoldKind.retry, Reason.unknown_outcome, "reset", timedelta(seconds=2))
    write(engine, now, Held(record, hold, attempts=1))

    assert [one.outcome for one in intents(engine)] == [None]


def test_a_question_that_nobody_came_to_hear_is_asked_again_once_it_goes_on(
    engine: Engine, add: Add, now: datetime
) -> None:
    onboarding = add(stage=Stage.created)
    record = take(engine, now)
    stop(engine, now)
    hold = Hold(HoldKind.operator, Reason.already_installed, "it was installed before us", None)

    write(engine, now, Held(record, hold, attempts=1, values={"was_installed": True}))

    found = row(engine, onboarding)
    assert (found.hold, found.was_installed) == (HoldKind.cancelled, False)


def test_what_an_unknown_outcome_left_is_suspected_for_as_long_as_nobody_looks_for_it(
    engine: Engine, add: Add, now: datetime
) -> None:
    add()
    record = take(engine, now)
    write(engine, now, Begin(record, intent(record, now)))
    assert leftovers(engine) == []
    stop(engine, now)
    release(engine, [record.token])

    [left] = leftovers(engine)
    assert (left.trigger, left.called_at, left.outcome) == (Trigger.create_user, now, None)
    redrive(engine, Chosen(hold=HoldKind.cancelled), by="ops", now=now)
    assert leftovers(engine) == []


def test_a_record_that_is_given_back_after_the_cancelling_is_not_due(engine: Engine, add: Add, now: datetime) -> None:
    onboarding = add()
    write(engine, now, Released(cancelled_in_hand(engine, now)))

    ended = row(engine, onboarding)
    assert (ended.hold, ended.due_at, ended.lease_token) == (HoldKind.cancelled, None, None)


def test_pages_that_are_given_back_after_the_cancelling_are_not_due(engine: Engine, add: Add, now: datetime) -> None:
    onboarding = add()
    release(engine, [cancelled_in_hand(engine, now).token])

    ended = row(engine, onboarding)
    assert (ended.hold, ended.due_at, ended.lease_token) == (HoldKind.cancelled, None, None)


def cancelled_in_hand(engine: Engine, now: datetime) -> Record:
    record = take(engine, now)
    stop(engine, now)
    return record


def _begin(record: Record, now: datetime) -> Write:
    return Begin(record, intent(record, now), values={"snapshot": {"c1": ""}})


def _issue(record: Record, now: datetime) -> Write:
    del now
    return Issue(record, b"sealed")


def _learn(record: Record, now: datetime) -> Write:
    del now
    return Learn(record, {"snapshot": {"c1": ""}}, "learnt")


def _take_turn(record: Record, now: datetime) -> Write:
    del now
    return TakeTurn(record, [])


@pytest.mark.parametrize("made", [_begin, _issue, _learn, _take_turn])
def test_nothing_more_is_begun_for_a_cancelled_record_and_it_is_let_go(
    engine: Engine, add: Add, now: datetime, made: Callable[[Record, datetime], Write]
) -> None:
    onboarding = add()
    record = cancelled_in_hand(engine, now)

    (refused,) = write(engine, now, made(record, now))

    ended = row(engine, onboarding)
    assert isinstance(refused, LeaseLost)
    assert (intents(engine), kept(engine), ended.snapshot) == ([], (0, 0), None)
    assert (ended.hold, ended.lease_token, ended.due_at) == (HoldKind.cancelled, None, None)


def test_what_completes_before_its_worker_hears_of_the_cancelling_is_completed(
    engine: Engine, add: Add, now: datetime
) -> None:
    onboarding = add(stage=Stage.mapped)
    record = cancelled_in_hand(engine, now)
    write(engine, now, Moved(record, Trigger.complete_installation, {"verified_at": now}))

    ended = row(engine, onboarding)
    assert (ended.stage, ended.hold, ended.sentence) == (Stage.completed, None, None)
    with reading(engine) as connection:
        assert connection.scalars(select(HISTORY.c.sentence).order_by(HISTORY.c.id.desc())).first() == (
            "it was cancelled too late"
        )


def test_the_others_of_a_group_are_written_beside_one_that_was_cancelled(
    engine: Engine, add: Add, now: datetime
) -> None:
    add("ann@example.test"), add("bob@example.test")
    page = claim(engine, Scope(), worker="w1", limit=2, lease=LEASE, now=now)
    assert page is not None
    stop(engine, now, Chosen(username="ann@example.test"))

    ann, bob = write(engine, now, *(Begin(record, intent(record, now)) for record in page.records))
    assert isinstance(ann, LeaseLost)
    assert isinstance(bob, int)


def test_a_lease_that_ran_out_is_taken_away(engine: Engine, add: Add, now: datetime) -> None:
    onboarding = add()
    take(engine, now)

    assert stop(engine, now + timedelta(minutes=2)) == Cancelled(1, 0)
    assert row(engine, onboarding).lease_token is None


def test_nobody_waits_for_a_cancelled_record_whose_worker_died(engine: Engine, add: Add, now: datetime) -> None:
    add()
    cancelled_in_hand(engine, now)

    ahead = outlook(engine, Scope())
    assert (ahead.leased, ahead.leased_until, ahead.next_due_at) == (0, None, None)


def test_an_answer_does_not_revive_a_cancelled_record(engine: Engine, add: Add, now: datetime) -> None:
    add(stage=Stage.installing)
    stop(engine, now)

    with pytest.raises(NotFound):
        answer(engine, EVERYBODY, [Given(name="channel", value="#a")], by="ops", now=now)


def test_no_link_is_renewed_for_a_cancelled_record(engine: Engine, add: Add, now: datetime) -> None:
    add(stage=Stage.created, link_issued_at=now)
    stop(engine, now)

    assert renew_links(engine, EVERYBODY, by="ops", now=now) == 0
    assert links(engine) == []


@pytest.mark.parametrize("chosen", [EVERYBODY, Chosen(hold=HoldKind.operator)], ids=str)
def test_redrive_does_not_revive_who_was_cancelled_unless_they_are_named(
    engine: Engine, add: Add, now: datetime, chosen: Chosen
) -> None:
    onboarding = add()
    stop(engine, now)

    assert redrive(engine, chosen, by="ops", now=now) == 0
    assert row(engine, onboarding).hold is HoldKind.cancelled


def test_redrive_of_the_cancelled_lets_them_go_on_where_they_stood(engine: Engine, add: Add, now: datetime) -> None:
    onboarding = add(stage=Stage.installing)
    stop(engine, now)

    assert redrive(engine, Chosen(hold=HoldKind.cancelled), by="ops", now=now) == 1
    revived = row(engine, onboarding)
    assert (revived.stage, revived.hold, revived.reason, revived.due_at) == (Stage.installing, None, None, now)


def test_a_cancelling_that_is_taken_back_while_the_record_is_in_hand_leaves_no_trace_on_its_outcome(
    engine: Engine, add: Add, now: datetime
) -> None:
    onboarding = add()
    record = cancelled_in_hand(engine, now)
    redrive(engine, Chosen(hold=HoldKind.cancelled), by="ops", now=now)
    hold = Hold(HoldKind.retry, Reason.unreachable, "no answer", timedelta(hours=2))
    write(engine, now, Held(record, hold, attempts=1))

    held = row(engine, onboarding)
    assert (held.hold, held.due_at) == (HoldKind.retry, now)
