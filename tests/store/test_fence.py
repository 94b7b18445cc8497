"""A worker whose lease is gone writes nothing, of whatever kind: neither when it ran out, nor when another has it."""

from datetime import datetime, timedelta
from typing import Any, get_args

import pytest
from sqlalchemy import Engine, select

from states.holds import Hold, HoldKind, Reason
from states.stage import Stage, Trigger
from store.engine import reading
from store.journal import NewIntent
from store.leases import claim
from store.models import CONSENT_LINK, HISTORY, INTENT, ONBOARDING
from store.records import Record, Scope
from store.work import record_group
from store.writes import Begin, Held, Issue, Learn, LeaseLost, Moved, Prolong, Released, TakeTurn, Write
from tests.store.conftest import LEASE, Add

KINDS = (Begin, Prolong, Learn, TakeTurn, Issue, Moved, Held, Released)
FIRST_INTENT = 1
STANDS_STILL = 2
"""Another onboarding of the same customer, whose turn can be taken."""


def test_every_kind_of_write_is_tried() -> None:
    assert set(KINDS) == set(get_args(Write))


def taken(engine: Engine, now: datetime, worker: str) -> Record:
    page = claim(engine, Scope(), worker=worker, limit=1, lease=LEASE, now=now)
    assert page is not None
    return page.records[0]


def add_both(add: Add) -> None:
    add()
    add(integration="slack", stage=Stage.created, due_at=None, snapshot={"credential-1": ""})


def begin(engine: Engine, record: Record, now: datetime) -> None:
    """Have the worker write the intent that is going to be prolonged, while the record is its own."""
    intent = NewIntent(record.id, Trigger.create_user, "digest", now + timedelta(seconds=40))
    assert record_group(engine, [Begin(record, intent)], worker="w1", now=now) == [FIRST_INTENT]


def write_of(kind: type[Write], record: Record, now: datetime) -> Write:
    hold = Hold(HoldKind.operator, Reason.rejected, "refused", None)
    writes: tuple[Write, ...] = (
        Begin(record, NewIntent(record.id, Trigger.create_user, "digest", now + timedelta(seconds=40))),
        Prolong(record, FIRST_INTENT, now + timedelta(seconds=80)),
        Learn(record, {"snapshot": {"credential-1": ""}}, "learnt something"),
        TakeTurn(record, [STANDS_STILL]),
        Issue(record, b"sealed"),
        Moved(record, Trigger.create_user, {"alloy_user_id": "user-1", "adopted": False}),
        Held(record, hold, 1),
        Released(record),
    )
    return next(write for write in writes if type(write) is kind)


def everything(engine: Engine) -> list[Any]:
    with reading(engine) as connection:
        return [connection.execute(select(table)).all() for table in (ONBOARDING, INTENT, HISTORY, CONSENT_LINK)]


def assert_refused(engine: Engine, kind: type[Write], record: Record, now: datetime) -> None:
    before = everything(engine)

    (result,) = record_group(engine, [write_of(kind, record, now)], worker="w1", now=now)

    assert isinstance(result, LeaseLost)
    assert everything(engine) == before


@pytest.mark.parametrize("kind", KINDS)
def test_a_worker_whose_record_another_has_writes_nothing(
    engine: Engine, add: Add, now: datetime, kind: type[Write]
) -> None:
    add_both(add)
    asleep = taken(engine, now, "w1")
    if kind is Prolong:
        begin(engine, asleep, now)
    taken(engine, now + LEASE, "w2")

    assert_refused(engine, kind, asleep, now + LEASE)


@pytest.mark.parametrize("kind", KINDS)
def test_a_worker_whose_lease_ran_out_writes_nothing(
    engine: Engine, add: Add, now: datetime, kind: type[Write]
) -> None:
    add_both(add)
    asleep = taken(engine, now, "w1")
    if kind is Prolong:
        begin(engine, asleep, now)

    assert_refused(engine, kind, asleep, now + LEASE)
