"""What operators do to records: answer for a customer, let it be tried again, renew a consent link.

On a record that a worker has leased these are requests: what was given is written beside what the worker writes, and
the record is nudged, so that whoever holds it makes it due at once instead of standing still.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import JsonValue
from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Row,
    Select,
    Update,
    case,
    func,
    insert,
    null,
    or_,
    select,
    update,
)

from states.forms import Given
from states.holds import HoldKind, Reason
from states.stage import Stage
from store.deadlocks import once_more_after_a_deadlock
from store.engine import writing
from store.models import CUSTOMER, HISTORY, ONBOARDING
from store.views import NotFound


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which onboardings an operator means; every condition that is set must hold."""

    username: str | None = None
    integration: str | None = None
    batch_id: int | None = None
    stage: Stage | None = None
    hold: HoldKind | None = None
    reason: Reason | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return the conditions on an onboarding."""
        found: list[ColumnElement[bool]] = []
        if self.username is not None:
            ids = select(CUSTOMER.c.id).where(CUSTOMER.c.username == self.username).scalar_subquery()
            found.append(ONBOARDING.c.customer_id == ids)
        if self.integration is not None:
            found.append(
                or_(
                    func.lower(ONBOARDING.c.integration) == self.integration.lower(),
                    ONBOARDING.c.integration_id == self.integration,
                    func.lower(ONBOARDING.c.app) == self.integration.lower(),
                )
            )
        for column, value in (
            (ONBOARDING.c.batch_id, self.batch_id),
            (ONBOARDING.c.stage, self.stage),
            (ONBOARDING.c.hold, self.hold),
            (ONBOARDING.c.reason, self.reason),
        ):
            if value is not None:
                found.append(column == value)
        return found


@once_more_after_a_deadlock
def answer(engine: Engine, chosen: Chosen, given: Sequence[Given], *, by: str, now: datetime) -> int:
    """Keep answers for the onboardings ``chosen`` that are not mapped yet, and let them go on; return how many.

    Raises :class:`store.views.NotFound` if there is none.
    """
    open_stages = [Stage.new, Stage.created, Stage.authed, Stage.installing]
    with writing(engine) as connection:
        rows = connection.execute(
            select(ONBOARDING.c.id, ONBOARDING.c.stage, ONBOARDING.c.answered)
            .where(*chosen.conditions(), ONBOARDING.c.stage.in_(open_stages))
            .order_by(ONBOARDING.c.id)
            .with_for_update()
        ).all()
        if not rows:
            raise NotFound("nobody who matches is waiting for an answer: they are mapped already, or not on any list")
        for onboarding_id, _, answered in rows:
            connection.execute(
                update(ONBOARDING).where(ONBOARDING.c.id == onboarding_id).values(answered=_merged(answered, given))
            )
        ids = [row[0] for row in rows]
        names = ", ".join(sorted({one.name for one in given}))
        connection.execute(_let_go(ids, now))
        _remember(connection, rows, f"answered by {by}: {names}", now)
    return len(rows)


@once_more_after_a_deadlock
def redrive(engine: Engine, chosen: Chosen, *, by: str, now: datetime) -> int:
    """Let the held onboardings ``chosen`` be tried again now; return how many."""
    with writing(engine) as connection:
        rows = connection.execute(_held(chosen).order_by(ONBOARDING.c.id).with_for_update()).all()
        if rows:
            connection.execute(_let_go([row[0] for row in rows], now))
            _remember(connection, rows, f"to be tried again, says {by}", now)
    return len(rows)


def count_held(engine: Engine, chosen: Chosen) -> int:
    """Return how many onboardings :func:`redrive` would let go."""
    with engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(_held(chosen).subquery())) or 0


@once_more_after_a_deadlock
def renew_links(engine: Engine, chosen: Chosen, *, by: str, now: datetime) -> int:
    """Have new consent links issued for ``chosen``; return how many. A consent already given still counts."""
    with writing(engine) as connection:
        rows = connection.execute(
            select(ONBOARDING.c.id, ONBOARDING.c.stage)
            .where(
                *chosen.conditions(),
                ONBOARDING.c.stage == Stage.created,
                ONBOARDING.c.link_issued_at.is_not(None),
                ONBOARDING.c.lease_token.is_(None),
                ONBOARDING.c.hold.is_distinct_from(HoldKind.cancelled),
            )
            .order_by(ONBOARDING.c.id)
            .with_for_update()
        ).all()
        ids = [row[0] for row in rows]
        connection.execute(update(ONBOARDING).where(ONBOARDING.c.id.in_(ids)).values(link_issued_at=None))
        connection.execute(_let_go(ids, now))
        _remember(connection, rows, f"a new consent link, says {by}", now)
    return len(rows)


def _held(chosen: Chosen) -> Select[Any]:
    return select(ONBOARDING.c.id, ONBOARDING.c.stage).where(
        *chosen.conditions(),
        ONBOARDING.c.hold.is_not(None),
        ONBOARDING.c.stage != Stage.completed,
    )


def _let_go(ids: Sequence[int], now: datetime) -> Update:
    leased = ONBOARDING.c.lease_token.is_not(None)
    own = {"hold": ONBOARDING.c.hold, "reason": ONBOARDING.c.reason, "sentence": ONBOARDING.c.sentence}
    return (
        update(ONBOARDING)
        .where(ONBOARDING.c.id.in_(ids))
        .values(
            nudged=leased,
            due_at=now,
            version=case((leased, ONBOARDING.c.version), else_=ONBOARDING.c.version + 1),
            attempts=case((leased, ONBOARDING.c.attempts), else_=0),
            **{name: case((leased, column), else_=null()) for name, column in own.items()},
        )
    )


def _merged(answered: Sequence[dict[str, JsonValue]], given: Sequence[Given]) -> list[dict[str, JsonValue]]:
    """Put the new answers in place of those to the same question."""
    merged = {(one.get("name"), one.get("workflow_id"), one.get("block")): one for one in answered}
    for new in given:
        merged[new.name, new.workflow_id, new.block] = new.model_dump(mode="json")
    return list(merged.values())


def _remember(connection: Connection, rows: Sequence[Row[Any]], sentence: str, now: datetime) -> None:
    if not rows:
        return
    connection.execute(
        insert(HISTORY),
        [{"onboarding_id": row[0], "at": now, "stage": row[1], "sentence": sentence, "worker": ""} for row in rows],
    )
