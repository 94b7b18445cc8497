"""Who stands still, by whom they wait for and why: how many there are of each, and those who have waited longest."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import JsonValue
from sqlalchemy import Engine, func, select

from states.forms import named_fields, readable_form
from states.holds import HoldKind, Reason
from states.stage import Stage
from store.engine import reading
from store.models import BATCH, CUSTOMER, ONBOARDING

_ASK_FOR_FIELDS = frozenset({Reason.awaiting_answer, Reason.invalid_answer})


@dataclass(frozen=True, slots=True)
class Held:
    """One onboarding that stands still."""

    username: str
    integration: str
    batch: str
    stage: Stage
    hold: HoldKind
    reason: Reason
    sentence: str
    since: datetime
    """Since when it is at its stage."""
    due_at: datetime | None
    attempts: int
    fields: tuple[str, ...]
    """The fields for which an answer is wanted, if that is what it waits for."""


@dataclass(frozen=True, slots=True)
class Group:
    """Those who are held alike."""

    hold: HoldKind
    reason: Reason
    number: int
    """How many they are."""
    oldest: Sequence[Held]
    """Some of them, those who have waited longest first."""


def held(engine: Engine, *, each: int, batch_id: int | None = None) -> list[Group]:
    """Return everybody who stands still, of all batches or of one, the largest groups first; ``each`` of a group."""
    alike = (ONBOARDING.c.hold, ONBOARDING.c.reason)
    ranked = select(
        ONBOARDING.c.id,
        func.count().over(partition_by=alike).label("number"),
        func.row_number().over(partition_by=alike, order_by=(ONBOARDING.c.stage_since, ONBOARDING.c.id)).label("place"),
    ).where(ONBOARDING.c.hold.is_not(None))
    if batch_id is not None:
        ranked = ranked.where(ONBOARDING.c.batch_id == batch_id)
    of_group = ranked.subquery()
    statement = (
        select(
            of_group.c.number, CUSTOMER.c.username, ONBOARDING.c.integration, BATCH.c.name, ONBOARDING.c.stage,
            ONBOARDING.c.hold, ONBOARDING.c.reason, ONBOARDING.c.sentence, ONBOARDING.c.stage_since,
            ONBOARDING.c.due_at, ONBOARDING.c.attempts, ONBOARDING.c.form,
        )
        .join_from(of_group, ONBOARDING, ONBOARDING.c.id == of_group.c.id)
        .join(CUSTOMER, CUSTOMER.c.id == ONBOARDING.c.customer_id)
        .join(BATCH, BATCH.c.id == ONBOARDING.c.batch_id)
        .where(of_group.c.place <= each)
        .order_by(ONBOARDING.c.stage_since, ONBOARDING.c.id)
    )  # fmt: skip
    groups: dict[tuple[HoldKind, Reason], tuple[int, list[Held]]] = {}
    with reading(engine) as connection:
        for number, *columns in connection.execute(statement):
            one = _held(columns)
            groups.setdefault((one.hold, one.reason), (number, []))[1].append(one)
    found = [Group(hold, reason, number, rows) for (hold, reason), (number, rows) in groups.items()]
    return sorted(found, key=lambda group: -group.number)


def _held(columns: Sequence[Any]) -> Held:
    username, integration, batch, stage, hold, reason, sentence, since, due_at, attempts, form = columns
    return Held(
        username=username,
        integration=integration,
        batch=batch,
        stage=stage,
        hold=hold,
        reason=reason,
        sentence=sentence or "",
        since=since,
        due_at=due_at,
        attempts=attempts,
        fields=_fields(form, sentence) if reason in _ASK_FOR_FIELDS else (),
    )


def _fields(form: list[dict[str, JsonValue]] | None, sentence: str | None) -> tuple[str, ...]:
    return tuple(named_fields(readable_form(form) or [], sentence or ""))
