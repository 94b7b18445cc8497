"""Outcomes are written by whoever holds the lease, once, and by nobody else."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, insert, select, update
from sqlalchemy.exc import IntegrityError

from states.forms import Given
from states.holds import Hold, HoldKind, Reason
from states.machine import TransitionRefused
from states.stage import Stage, Trigger
from store.choosing import Chosen
from store.desk import answer
from store.engine import reading, writing
from store.journal import Close, Closing, NewIntent, Unknown
from store.leases import claim
from store.models import AUTH_VALUE, CONSENT_LINK, CUSTOMER, HISTORY, INTENT, ONBOARDING
from store.records import Record, Scope
from store.views import retries_for
from store.work import record_group
from store.writes import Begin, Held, Issue, Learn, LeaseLost, Moved, Released, Write
from tests.store.conftest import LEASE, Add

USER = {"alloy_user_id": "user-1", "adopted": False}
LOOKED = Hold(HoldKind.retry, Reason.unknown_outcome, "looked in vain", timedelta(0))


def take(engine: Engine, now: datetime, worker: str = "w1") -> Record:
    page = claim(engine, Scope(), worker=worker, limit=1, lease=LEASE, now=now)
    assert page is not None
    return page.records[0]


def write(engine: Engine, now: datetime, *writes: Write) -> list[int | LeaseLost | None]:
    return record_group(engine, writes, worker="w1", now=now)


def row(engine: Engine, onboarding: int) -> Any:
    with reading(engine) as connection:
        return connection.execute(select(ONBOARDING).where(ONBOARDING.c.id == onboarding)).one()


def intents(engine: Engine) -> list[Any]:
    with reading(engine) as connection:
        return list(connection.execute(select(INTENT).order_by(INTENT.c.id)))


def begin(record: Record, now: datetime, trigger: Trigger = Trigger.create_user) -> Begin:
    return Begin(record, NewIntent(record.id, trigger, "digest", now + timedelta(seconds=40)))


def begun(engine: Engine, record: Record, now: datetime, trigger: Trigger = Trigger.create_user) -> int:
    (intent,) = write(engine, now, begin(record, now, trigger))
    assert isinstance(intent, int)
    return intent


def test_a_moved_record_stands_at_the_next_stage_due_and_free(engine: Engine, add: Add, now: datetime) -> None:
    onboarding = add()
    assert write(engine, now, Moved(take(engine, now), Trigger.create_user, USER)) == [None]

    moved = row(engine, onboarding)
    assert (moved.stage, moved.due_at, moved.lease_token, moved.hold) == (Stage.created, now, None, None)


def test_a_completed_record_is_never_due_again(engine: Engine, add: Add, now: datetime) -> None:
    onboarding = add(stage=Stage.mapped)
    write(engine, now, Moved(take(engine, now), Trigger.complete_installation, {"verified_at": now}))

    completed = row(engine, onboarding)
    assert (completed.stage, completed.due_at, completed.verified_at) == (Stage.completed, None, now)


def test_the_user_id_is_kept_with_the_customer(engine: Engine, add: Add, now: datetime) -> None:
    add()
    write(engine, now, Moved(take(engine, now), Trigger.create_user, {"alloy_user_id": "user-1", "adopted": True}))

    with reading(engine) as connection:
        customer = connection.execute(select(CUSTOMER)).one()
    assert (customer.alloy_user_id, customer.adopted) == ("user-1", True)


def test_no_two_customers_have_one_user(engine: Engine, add: Add, now: datetime) -> None:
    add("ann@example.test")
    write(engine, now, Moved(take(engine, now), Trigger.create_user, USER))
    other = add("ANN@example.test")
    # The first is at a later stage, so that it would be claimed before.
    record = next(record for record in (take(engine, now), take(engine, now)) if record.id == other)

    with pytest.raises(IntegrityError):
        write(engine, now, Moved(record, Trigger.create_user, USER))

    assert row(engine, other).stage is Stage.new


def test_auth_values_are_deleted_once_the_credential_is_there(engine: Engine, add: Add, now: datetime) -> None:
    onboarding = add(stage=Stage.created)
    with writing(engine) as connection:
        connection.execute(AUTH_VALUE.insert().values(onboarding_id=onboarding, name="apiKey", sealed=b"sealed"))
    write(engine, now, Moved(take(engine, now), Trigger.authenticate, {"credential_id": "cred"}))

    with reading(engine) as connection:
        assert connection.execute(select(AUTH_VALUE)).all() == []


def test_a_worker_whose_lease_was_taken_over_cannot_move_the_record(engine: Engine, add: Add, now: datetime) -> None:
    onboarding = add()
    asleep = take(engine, now)
    later = now + LEASE
    take(engine, later, worker="w2")

    (result,) = write(engine, later, Moved(asleep, Trigger.create_user, USER))

    assert isinstance(result, LeaseLost)
    assert row(engine, onboarding).stage is Stage.new


def test_a_worker_that_slept_past_its_lease_cannot_move_the_record(engine: Engine, add: Add, now: datetime) -> None:
    onboarding = add()
    asleep = take(engine, now)

    (result,) = write(engine, now + LEASE, Moved(asleep, Trigger.create_user, USER))

    assert isinstance(result, LeaseLost)
    assert row(engine, onboarding).stage is Stage.new


def test_an_outcome_is_recorded_once(engine: Engine, add: Add, now: datetime) -> None:
    add()
    record = take(engine, now)
    moved = Moved(record, Trigger.create_user, USER)
    write(engine, now, moved)

    (second,) = write(engine, now, moved)

    assert isinstance(second, LeaseLost)


def test_a_record_that_somebody_else_wrote_is_not_overwritten(engine: Engine, add: Add, now: datetime) -> None:
    onboarding = add()
    record = take(engine, now)
    with writing(engine) as connection:
        connection.execute(update(ONBOARDING).values(version=ONBOARDING.c.version + 1))

    (result,) = write(engine, now, Moved(record, Trigger.create_user, USER))

    assert isinstance(result, LeaseLost)
    assert row(engine, onboarding).stage is Stage.new


def test_one_lost_lease_does_not_spoil_its_group(engine: Engine, add: Add, now: datetime) -> None:
    add("a@example.test")
    lost = take(engine, now)
    later = now + LEASE
    take(engine, later, worker="w2")
    kept_id = add("b@example.test", due_at=now)
    kept = take(engine, later)

    results = write(engine, later, Moved(lost, Trigger.create_user, USER), Moved(kept, Trigger.create_user, USER))

    assert [type(result) for result in results] == [LeaseLost, type(None)]
    assert row(engine, kept_id).stage is Stage.created


def test_a_move_without_its_evidence_changes_nothing(engine: Engine, add: Add, now: datetime) -> None:
    onboarding = add()
    record = take(engine, now)

    with pytest.raises(TransitionRefused):
        write(engine, now, Moved(record, Trigger.create_user, {}))

    assert row(engine, onboarding).stage is Stage.new


def test_an_intent_is_open_until_its_outcome_is_recorded(engine: Engine, add: Add, now: datetime) -> None:
    add()
    record = take(engine, now)
    intent = begun(engine, record, now)
    assert intents(engine)[0].closed_at is None

    write(
        engine, now, Moved(record, Trigger.create_user, USER, Close(intent, Closing.answered, {"alloy_user_id": "u"}))
    )

    assert (intents(engine)[0].outcome, intents(engine)[0].closed_at) == (Closing.answered, now)


def test_an_open_intent_is_handed_to_whoever_claims_the_record_next(engine: Engine, add: Add, now: datetime) -> None:
    add()
    intent = begun(engine, take(engine, now), now)

    record = take(engine, now + LEASE, worker="w2")

    assert record.intent is not None
    assert (record.intent.id, record.intent.evidence) == (intent, None)


def test_a_worker_without_the_lease_cannot_open_an_intent(engine: Engine, add: Add, now: datetime) -> None:
    add()
    asleep = take(engine, now)

    (result,) = write(engine, now + LEASE, begin(asleep, now))

    assert isinstance(result, LeaseLost)
    assert intents(engine) == []


def test_an_answer_that_comes_late_is_kept_for_whoever_claims_next(engine: Engine, add: Add, now: datetime) -> None:
    add()
    asleep = take(engine, now)
    intent = begun(engine, asleep, now)
    later = now + LEASE
    answer = Close(intent, Closing.answered, {"alloy_user_id": "user-1", "adopted": False})
    write(engine, later, Moved(asleep, Trigger.create_user, USER, answer))

    record = take(engine, later, worker="w2")

    assert intents(engine)[0].outcome == Closing.late
    assert record.intent is not None
    assert record.intent.evidence == {"alloy_user_id": "user-1", "adopted": False}


@pytest.mark.parametrize("outcome", [Closing.answered, Closing.found])
def test_evidence_that_moves_no_record_is_kept_for_whoever_claims_next(
    engine: Engine, add: Add, now: datetime, outcome: Closing
) -> None:
    add(stage=Stage.authed)
    record = take(engine, now)
    intent = begun(engine, record, now, Trigger.start_installation)
    # Its lease had run out by one clock and had not by another, corrected one: it could not move, and can give back.
    write(engine, now, Released(record, Close(intent, outcome, {"installation_id": "i"})))

    again = take(engine, now)
    assert again.intent is not None
    assert again.intent.evidence == {"installation_id": "i"}


def test_evidence_that_the_database_refuses_is_kept_beside_the_hold(engine: Engine, add: Add, now: datetime) -> None:
    add(stage=Stage.created)
    record = take(engine, now)
    intent = begun(engine, record, now, Trigger.authenticate)
    write(engine, now, Held(record, LOOKED, 1, Close(intent, Closing.answered, {"credential_id": "c"})))

    again = take(engine, now)
    assert again.intent is not None
    assert again.intent.evidence == {"credential_id": "c"}


def test_a_credential_that_was_given_up_as_absent_and_is_made_all_the_same_is_a_leftover(
    engine: Engine, add: Add, now: datetime
) -> None:
    add(stage=Stage.created)
    asleep = take(engine, now)
    given_up = begun(engine, asleep, now, Trigger.authenticate)
    later = now + LEASE
    awake = take(engine, later, worker="w2")
    again = NewIntent(awake.id, Trigger.authenticate, "digest", later)
    write(engine, later, Begin(awake, again, Close(given_up, Closing.absent)))
    answer = Close(given_up, Closing.answered, {"credential_id": "c"})

    write(engine, later, Moved(asleep, Trigger.authenticate, {"credential_id": "c"}, answer))

    first, second = intents(engine)
    assert (first.outcome, first.evidence) == (Closing.leftover, {"credential_id": "c"})
    assert second.closed_at is None


def begin_again(record: Record, given_up: int, now: datetime) -> Begin:
    """The call once more, since an earlier one is believed to have done nothing."""
    again = NewIntent(record.id, Trigger.authenticate, "digest", now + timedelta(seconds=40))
    return Begin(record, again, Close(given_up, Closing.absent))


def test_a_call_that_its_sender_has_told_of_and_that_is_not_there_is_no_leftover(
    engine: Engine, add: Add, now: datetime
) -> None:
    add(stage=Stage.created)
    first = take(engine, now)
    intent = begun(engine, first, now, Trigger.authenticate)
    write(engine, now, Held(first, LOOKED, 1, unknown=Unknown(intent, now)))
    write(engine, now, Held(take(engine, now), LOOKED, 2, absent=intent))

    write(engine, now, begin_again(take(engine, now), intent, now))

    assert [one.outcome for one in intents(engine)] == [Closing.absent, None]


def test_a_call_that_its_sender_has_not_told_of_may_be_sent_after_it_was_given_up(
    engine: Engine, add: Add, now: datetime
) -> None:
    add(stage=Stage.created)
    intent = begun(engine, take(engine, now), now, Trigger.authenticate)
    later = now + LEASE
    write(engine, later, Held(take(engine, later, worker="w2"), LOOKED, 1, absent=intent))

    write(engine, later, begin_again(take(engine, later, worker="w2"), intent, later))

    assert [one.outcome for one in intents(engine)] == [Closing.leftover, None]


def test_a_call_that_a_sleeper_sent_at_last_is_looked_for_anew(engine: Engine, add: Add, now: datetime) -> None:
    add(stage=Stage.created)
    asleep = take(engine, now)
    intent = begun(engine, asleep, now, Trigger.authenticate)
    later = now + LEASE
    write(engine, later, Held(take(engine, later, worker="w2"), LOOKED, 1, absent=intent))
    write(engine, later, Held(asleep, LOOKED, 1, unknown=Unknown(intent, later + LEASE)))

    again = take(engine, later, worker="w2").intent

    assert again is not None
    assert (again.absent_at, again.settled_at) == (None, later + LEASE)


def test_a_call_that_was_sent_between_the_looks_in_vain_and_the_next_call_is_a_leftover(
    engine: Engine, add: Add, now: datetime
) -> None:
    add(stage=Stage.created)
    asleep = take(engine, now)
    intent = begun(engine, asleep, now, Trigger.authenticate)
    later = now + LEASE
    write(engine, later, Held(take(engine, later, worker="w2"), LOOKED, 1, absent=intent))
    awake = take(engine, later, worker="w2")
    write(engine, later, Held(asleep, LOOKED, 1, unknown=Unknown(intent, later + LEASE)))

    write(engine, later, begin_again(awake, intent, later))

    assert [one.outcome for one in intents(engine)] == [Closing.leftover, None]


def test_an_installation_that_was_given_up_and_started_again_is_a_leftover_with_the_id_that_came_late(
    engine: Engine, add: Add, now: datetime
) -> None:
    add(stage=Stage.authed)
    asleep = take(engine, now)
    given_up = begun(engine, asleep, now, Trigger.start_installation)
    later = now + LEASE
    awake = take(engine, later, worker="w2")
    again = NewIntent(awake.id, Trigger.start_installation, "digest", later)
    write(engine, later, Begin(awake, again, Close(given_up, Closing.leftover)))
    answer = Close(given_up, Closing.answered, {"installation_id": "i"})

    write(engine, later, Moved(asleep, Trigger.start_installation, {"installation_id": "i", "form": []}, answer))

    first, second = intents(engine)
    assert (first.outcome, first.evidence) == (Closing.leftover, {"installation_id": "i"})
    assert second.closed_at is None


@pytest.mark.parametrize(
    ("stage", "trigger", "evidence"),
    [
        (Stage.created, Trigger.authenticate, {"credential_id": "c"}),
        (Stage.authed, Trigger.start_installation, {"installation_id": "i", "form": []}),
    ],
)
def test_a_call_whose_answer_came_just_before_it_is_made_again_is_not_made_again(
    engine: Engine, add: Add, now: datetime, stage: Stage, trigger: Trigger, evidence: dict[str, Any]
) -> None:
    add(stage=stage)
    asleep = take(engine, now)
    intent = begun(engine, asleep, now, trigger)
    later = now + LEASE
    awake = take(engine, later, worker="w2")
    write(engine, later, Moved(asleep, trigger, evidence, Close(intent, Closing.answered, evidence)))
    again = Begin(awake, NewIntent(awake.id, trigger, "digest", later), Close(intent, Closing.leftover))

    (told,) = write(engine, later, again)

    assert isinstance(told, LeaseLost)
    (only,) = intents(engine)
    assert (only.outcome, only.evidence) == (Closing.late, evidence)
    next_one = take(engine, later, worker="w3")
    assert next_one.intent is not None
    assert next_one.intent.evidence == evidence


def test_an_answer_at_hand_beats_a_question_still_open(engine: Engine, add: Add, now: datetime) -> None:
    add()
    asleep = take(engine, now)
    first = begun(engine, asleep, now)
    later = now + LEASE
    awake = take(engine, later, worker="w2")
    write(engine, later, Begin(awake, begin(awake, later).intent, replaces=Close(first, Closing.absent)))
    with writing(engine) as connection:
        connection.execute(
            update(INTENT).where(INTENT.c.id == first).values(outcome=Closing.late, evidence={"alloy_user_id": "u"})
        )

    record = take(engine, later + LEASE, worker="w3")

    assert record.intent is not None
    assert record.intent.id == first


def test_what_is_still_open_when_a_record_moves_is_a_suspected_leftover(
    engine: Engine, add: Add, now: datetime
) -> None:
    add()
    record = take(engine, now)
    begun(engine, record, now)

    write(engine, now, Moved(record, Trigger.create_user, USER))

    assert intents(engine)[0].outcome == Closing.leftover


def test_a_call_that_did_nothing_closes_its_intent(engine: Engine, add: Add, now: datetime) -> None:
    onboarding = add()
    record = take(engine, now)
    intent = begun(engine, record, now)
    hold = Hold(HoldKind.retry, Reason.unreachable, "refused; tried again", timedelta(seconds=3))

    write(engine, now, Held(record, hold, 1, Close(intent, Closing.nothing)))

    held = row(engine, onboarding)
    assert (held.hold, held.reason, held.due_at, held.attempts) == (
        HoldKind.retry, Reason.unreachable, now + timedelta(seconds=3), 1,
    )  # fmt: skip
    assert intents(engine)[0].outcome == Closing.nothing


def test_the_first_look_in_vain_is_remembered(engine: Engine, add: Add, now: datetime) -> None:
    add()
    record = take(engine, now)
    intent = begun(engine, record, now)
    hold = Hold(HoldKind.retry, Reason.unknown_outcome, "looked in vain", timedelta(0))

    write(engine, now, Held(record, hold, 1, absent=intent))

    again = take(engine, now)
    assert again.intent is not None
    assert again.intent.absent_at == now


def test_a_nudge_during_the_lease_makes_a_held_record_due_at_once(engine: Engine, add: Add, now: datetime) -> None:
    onboarding = add(stage=Stage.installing)
    record = take(engine, now)
    with writing(engine) as connection:
        connection.execute(update(ONBOARDING).values(nudged=True))
    hold = Hold(HoldKind.customer, Reason.awaiting_answer, "no answer", timedelta(hours=6))

    write(engine, now, Held(record, hold, 1))

    held = row(engine, onboarding)
    assert (held.due_at, held.nudged) == (now, False)


def test_a_form_that_was_filled_in_with_old_answers_is_filled_in_again(engine: Engine, add: Add, now: datetime) -> None:
    onboarding = add(stage=Stage.installing)
    record = take(engine, now)
    answer(engine, Chosen(), [Given(name="channel", value="#new")], by="ops", now=now)

    (result,) = write(engine, now, Moved(record, Trigger.map_fields, {"answers": []}))

    given_back = row(engine, onboarding)
    assert isinstance(result, LeaseLost)
    assert (given_back.stage, given_back.answers, given_back.due_at, given_back.lease_token) == (
        Stage.installing, None, now, None,
    )  # fmt: skip


def test_a_form_that_is_filled_in_with_the_new_answers_is_filled_in(engine: Engine, add: Add, now: datetime) -> None:
    onboarding = add(stage=Stage.installing)
    asleep = take(engine, now)
    answer(engine, Chosen(), [Given(name="channel", value="#new")], by="ops", now=now)
    write(engine, now, Moved(asleep, Trigger.map_fields, {"answers": []}))

    record = take(engine, now, worker="w2")
    assert [one["value"] for one in record.answered] == ["#new"]
    assert write(engine, now, Moved(record, Trigger.map_fields, {"answers": []})) == [None]
    assert row(engine, onboarding).stage is Stage.mapped


def test_a_nudge_for_a_worker_that_died_stops_nobody_who_has_seen_what_it_was_for(
    engine: Engine, add: Add, now: datetime
) -> None:
    onboarding = add(stage=Stage.installing)
    take(engine, now)
    answer(engine, Chosen(), [Given(name="channel", value="#new")], by="ops", now=now)
    later = now + LEASE

    assert write(engine, later, Moved(take(engine, later, worker="w2"), Trigger.map_fields, {"answers": []})) == [None]
    assert row(engine, onboarding).stage is Stage.mapped


def test_waiting_for_the_same_thing_fills_no_history(engine: Engine, add: Add, now: datetime) -> None:
    add(stage=Stage.created)
    hold = Hold(HoldKind.customer, Reason.awaiting_consent, "no consent yet", timedelta(0))
    for _ in range(3):
        write(engine, now, Held(take(engine, now), hold, 1))

    with reading(engine) as connection:
        assert len(connection.execute(select(HISTORY)).all()) == 1


def test_what_is_learnt_is_there_for_the_next_worker(engine: Engine, add: Add, now: datetime) -> None:
    add(stage=Stage.created)
    write(engine, now, Learn(take(engine, now), {"snapshot": {"cred-0": ""}}))

    assert take(engine, now + LEASE).snapshot == {"cred-0": ""}


def test_a_new_link_replaces_the_old_one(engine: Engine, add: Add, now: datetime) -> None:
    onboarding = add(stage=Stage.created)
    record = take(engine, now)
    write(engine, now, Issue(record, b"one"))
    write(engine, now, Issue(record, b"two"))

    with reading(engine) as connection:
        links = connection.execute(select(CONSENT_LINK.c.sealed)).scalars().all()
    assert (row(engine, onboarding).link_issued_at, links) == (now, [b"two"])


def test_a_record_given_back_blames_nobody(engine: Engine, add: Add, now: datetime) -> None:
    onboarding = add()
    write(engine, now, Released(take(engine, now)))

    given_back = row(engine, onboarding)
    assert (given_back.stage, given_back.hold, given_back.due_at, given_back.lease_token) == (
        Stage.new,
        None,
        now,
        None,
    )


def test_of_the_last_retries_those_for_one_reason_are_counted(engine: Engine, add: Add, now: datetime) -> None:
    onboarding = add(stage=Stage.mapped)
    with writing(engine) as connection:
        for reason in (Reason.not_confirmed, Reason.not_confirmed, Reason.rate_limited, Reason.not_confirmed):
            event = {"onboarding_id": onboarding, "at": now, "stage": Stage.mapped, "sentence": "", "worker": ""}
            connection.execute(insert(HISTORY).values(hold=HoldKind.retry, reason=reason, **event))

    counted = [retries_for(engine, onboarding, Reason.not_confirmed, of_last=number) for number in (1, 2, 3, 9)]

    assert counted == [1, 1, 2, 3]
