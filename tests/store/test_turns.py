"""Whoever begins takes the turn of those who stand still half-way; by the fence, and not of whom a call is in doubt."""

from datetime import datetime
from typing import Any

from sqlalchemy import Engine, insert, select

from states.holds import HoldKind, Reason
from states.stage import Stage, Trigger
from store.engine import reading, writing
from store.leases import claim
from store.models import CONSENT_LINK, HISTORY, INTENT, ONBOARDING
from store.records import Record, Scope
from store.work import record_group
from store.writes import LeaseLost, TakeTurn
from tests.store.conftest import LEASE, Add

HALF_WAY = {
    "stage": Stage.created, "snapshot": {"old": ""}, "hold": HoldKind.operator, "reason": Reason.gave_up,
    "due_at": None,
}  # fmt: skip


def stands_half_way(engine: Engine, add: Add, now: datetime, **columns: Any) -> int:
    """Put an onboarding into the tables that has sent its link and stands still."""
    onboarding = add(integration="orders", **{**HALF_WAY, "link_issued_at": now, **columns})
    with writing(engine) as connection:
        connection.execute(insert(CONSENT_LINK).values(onboarding_id=onboarding, sealed=b"link", issued_at=now))
    return onboarding


def begins(engine: Engine, add: Add, now: datetime) -> Record:
    add(integration="refunds", stage=Stage.created)
    page = claim(engine, Scope(), worker="w1", limit=1, lease=LEASE, now=now)
    assert page is not None
    return page.records[0]


def take_turn(engine: Engine, record: Record, other: int, now: datetime) -> int | LeaseLost | None:
    return record_group(engine, [TakeTurn(record, [other])], worker="w1", now=now)[0]


def begun(engine: Engine, onboarding: int) -> tuple[bool, bool, int]:
    """Tell whether an onboarding has its snapshot, and its link, and how many links are kept."""
    with reading(engine) as connection:
        row = connection.execute(select(ONBOARDING).where(ONBOARDING.c.id == onboarding)).one()
        kept = len(connection.execute(select(CONSENT_LINK)).all())
    return row.snapshot is not None, row.link_issued_at is not None, kept


def test_one_that_stands_still_half_way_begins_anew(engine: Engine, add: Add, now: datetime) -> None:
    other = stands_half_way(engine, add, now)

    assert take_turn(engine, begins(engine, add, now), other, now) is None

    assert begun(engine, other) == (False, False, 0)


def test_its_history_tells_once_that_its_turn_has_passed(engine: Engine, add: Add, now: datetime) -> None:
    other = stands_half_way(engine, add, now)
    record = begins(engine, add, now)

    for _ in range(2):  # as after a commit that only seemed to fail
        take_turn(engine, record, other, now)

    with reading(engine) as connection:
        (told,) = connection.execute(select(HISTORY).where(HISTORY.c.onboarding_id == other))
    assert "its turn has passed" in told.sentence


def test_one_whose_call_is_in_doubt_keeps_its_snapshot(engine: Engine, add: Add, now: datetime) -> None:
    other = stands_half_way(engine, add, now)
    with writing(engine) as connection:
        values = {"onboarding_id": other, "trigger": Trigger.authenticate, "opened_at": now, "settled_at": now}
        connection.execute(insert(INTENT).values(digest="", **values))

    take_turn(engine, begins(engine, add, now), other, now)

    assert begun(engine, other) == (True, True, 1)


def test_one_that_has_its_credential_keeps_what_it_has(engine: Engine, add: Add, now: datetime) -> None:
    other = stands_half_way(engine, add, now, stage=Stage.authed)

    take_turn(engine, begins(engine, add, now), other, now)

    assert begun(engine, other) == (True, True, 1)


def test_a_worker_whose_lease_ran_out_takes_no_turn(engine: Engine, add: Add, now: datetime) -> None:
    other = stands_half_way(engine, add, now)
    record = begins(engine, add, now)

    assert isinstance(take_turn(engine, record, other, now + LEASE), LeaseLost)

    assert begun(engine, other) == (True, True, 1)
