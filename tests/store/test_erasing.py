"""Erasing a customer: nothing of them is left but a number, and nobody else loses anything."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine, func, insert, select

from states.stage import Stage, Trigger
from store.engine import reading, writing
from store.erasing import StillLeased, erase
from store.finding import NotFound
from store.journal import Close, Closing, NewIntent
from store.leases import claim
from store.models import AUTH_VALUE, BATCH, CONSENT_LINK, CUSTOMER, HISTORY, INTENT, ONBOARDING
from store.records import Record, Scope
from store.standing import standing
from store.work import record_group
from store.writes import Begin, Moved
from tests.store.conftest import LEASE, Add

ANN, BOB = "ann@example.test", "bob@example.test"
OURS = (ONBOARDING, HISTORY, INTENT, CONSENT_LINK, AUTH_VALUE, CUSTOMER)


@pytest.fixture
def live(engine: Engine, add: Add, now: datetime) -> Callable[..., int]:
    """Put an onboarding on record with a row of everything that belongs to it."""

    def live(username: str, integration: str = "netsuite", **columns: object) -> int:
        onboarding = add(username, integration, **columns)
        with writing(engine) as connection:
            connection.execute(insert(HISTORY).values(onboarding_id=onboarding, at=now, stage=Stage.new))
            connection.execute(
                insert(INTENT).values(
                    onboarding_id=onboarding, trigger=Trigger.create_user, opened_at=now, settled_at=now, digest=""
                )
            )
            connection.execute(insert(CONSENT_LINK).values(onboarding_id=onboarding, sealed=b"s", issued_at=now))
            connection.execute(insert(AUTH_VALUE).values(onboarding_id=onboarding, name="apiKey", sealed=b"s"))
        return onboarding

    return live


def counts(engine: Engine) -> list[int]:
    with reading(engine) as connection:
        return [connection.scalar(select(func.count()).select_from(table)) or 0 for table in OURS]


def take(engine: Engine, now: datetime) -> Record:
    page = claim(engine, Scope(), worker="w1", limit=1, lease=LEASE, now=now)
    assert page is not None
    return page.records[0]


def test_nothing_of_an_erased_customer_is_left(engine: Engine, live: Callable[..., int], now: datetime) -> None:
    live(ANN), live(ANN, "slack", stage=Stage.completed, due_at=None)

    assert erase(engine, ANN, now=now) == 2
    assert counts(engine) == [0] * len(OURS)


def test_everybody_else_keeps_everything(engine: Engine, live: Callable[..., int], now: datetime) -> None:
    live(BOB)
    before = counts(engine)
    live(ANN)
    erase(engine, ANN, now=now)

    assert counts(engine) == before


def test_what_is_on_record_and_what_was_erased_add_up_to_the_intake(engine: Engine, add: Add, now: datetime) -> None:
    add(ANN), add(ANN, "slack"), add(BOB)
    erase(engine, ANN, now=now)

    for counted in (standing(engine), standing(engine, "spring")):
        assert (counted.total, counted.erased) == (1, 2)


def test_a_batch_that_had_nothing_of_the_customer_counts_nothing(engine: Engine, add: Add, now: datetime) -> None:
    add(ANN)
    with writing(engine) as connection:
        connection.execute(insert(BATCH).values(name="autumn", source="", templates=[], created_at=now))
    erase(engine, ANN, now=now)

    assert standing(engine, "autumn").erased == 0


def test_a_customer_in_a_workers_hands_is_not_erased(
    engine: Engine, live: Callable[..., int], add: Add, now: datetime
) -> None:
    add(ANN)
    take(engine, now)
    live(ANN, "slack")
    before = counts(engine)

    with pytest.raises(StillLeased, match="in hand"):
        erase(engine, ANN, now=now)
    assert counts(engine) == before


def test_a_lease_that_ran_out_keeps_nobody_from_being_erased(engine: Engine, add: Add, now: datetime) -> None:
    add(ANN)
    take(engine, now)

    assert erase(engine, ANN, now=now + timedelta(minutes=2)) == 1


def test_nobody_of_that_name_is_said(engine: Engine, now: datetime) -> None:
    with pytest.raises(NotFound, match="ann@example"):
        erase(engine, ANN, now=now)


def test_an_answer_that_arrives_after_the_erasure_is_told_to_nobody_else(
    engine: Engine, add: Add, now: datetime
) -> None:
    add(ANN)
    asleep = take(engine, now)
    (intent,) = begin(engine, asleep, now)
    later = now + timedelta(minutes=2)
    erase(engine, ANN, now=later)
    add(BOB, due_at=later)
    (bobs,) = begin(engine, take(engine, later), later)
    answered = Close(intent, Closing.answered, {"alloy_user_id": "anns"})
    record_group(
        engine, [Moved(asleep, Trigger.create_user, {"alloy_user_id": "anns"}, answered)], worker="w1", now=later
    )

    with reading(engine) as connection:
        assert connection.execute(select(INTENT.c.id, INTENT.c.evidence)).all() == [(bobs, None)]


def begin(engine: Engine, record: Record, now: datetime) -> list[int]:
    intent = NewIntent(record.id, Trigger.create_user, "digest", now + timedelta(seconds=40))
    return [one for one in record_group(engine, [Begin(record, intent)], worker="w1", now=now) if isinstance(one, int)]
