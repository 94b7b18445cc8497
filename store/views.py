"""The read side: counts, who waits for what, and one customer's whole story. Nothing here writes."""

from dataclasses import dataclass
from datetime import datetime

from pydantic import JsonValue
from sqlalchemy import ColumnElement, Engine, func, select

from states.holds import HoldKind, Reason
from states.stage import Stage, Trigger
from store.engine import reading
from store.journal import Closing
from store.models import BATCH, CONSENT_LINK, CUSTOMER, HISTORY, INTENT, ONBOARDING, RUN


class NotFound(LookupError):
    """There is no such batch or customer; the text names it."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where everybody stands. Every onboarding is in exactly one stage, so the stages add up to ``total``."""

    batch: str | None
    total: int
    stages: dict[Stage, int]
    holds: dict[HoldKind, int]
    reasons: dict[Reason, int]
    moving: int
    """Neither completed nor held: due, or in a worker's hands."""
    leftovers: int
    """Calls whose effect may be left at Alloy, where it does no harm."""
    next_due_at: datetime | None
    calls: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Waiting:
    """One onboarding that stands still, and why."""

    username: str
    integration: str
    stage: Stage
    hold: HoldKind
    reason: Reason
    sentence: str
    since: datetime
    due_at: datetime | None
    attempts: int


@dataclass(frozen=True, slots=True)
class Link:
    """A consent link to send out; still sealed."""

    username: str
    full_name: str
    integration: str
    issued_at: datetime
    sealed: bytes


@dataclass(frozen=True, slots=True)
class Event:
    """One line of an onboarding's history."""

    at: datetime
    stage: Stage
    trigger: Trigger | None
    hold: HoldKind | None
    reason: Reason | None
    sentence: str
    worker: str


@dataclass(frozen=True, slots=True)
class IntentView:
    """One entry of an onboarding's journal; without an outcome it is open."""

    id: int
    trigger: Trigger
    opened_at: datetime
    closed_at: datetime | None
    outcome: str | None


@dataclass(frozen=True, slots=True)
class OnboardingStory:
    """All that is known of one onboarding, without secrets."""

    id: int
    batch: str
    integration: str
    integration_id: str | None
    stage: Stage
    hold: HoldKind | None
    reason: Reason | None
    sentence: str | None
    due_at: datetime | None
    attempts: int
    leased_by: str | None
    credential_id: str | None
    installation_id: str | None
    link_issued_at: datetime | None
    verified_at: datetime | None
    form: list[dict[str, JsonValue]] | None
    history: list[Event]
    intents: list[IntentView]


@dataclass(frozen=True, slots=True)
class Story:
    """One customer and their onboardings."""

    username: str
    full_name: str
    alloy_user_id: str | None
    onboardings: list[OnboardingStory]


def find_batch(engine: Engine, name: str) -> int:
    """Return the id of the batch ``name``. Raises :class:`NotFound`."""
    with reading(engine) as connection:
        batch_id: int | None = connection.scalar(select(BATCH.c.id).where(BATCH.c.name == name))
        if batch_id is None:
            known = connection.scalars(select(BATCH.c.name).order_by(BATCH.c.id.desc()).limit(5)).all()
            raise NotFound(f"there is no batch {name!r}; the latest are: {', '.join(known) or 'none yet'}")
    return batch_id


def find_customer(engine: Engine, username: str) -> int:
    """Return the id of the customer ``username``. Raises :class:`NotFound`."""
    with reading(engine) as connection:
        customer_id: int | None = connection.scalar(select(CUSTOMER.c.id).where(CUSTOMER.c.username == username))
    if customer_id is None:
        raise NotFound(f"there is no customer {username!r}")
    return customer_id


def some_alloy_user(engine: Engine) -> str | None:
    """Return the id of any user whom we know at Alloy, to ask the catalogue on behalf of."""
    with reading(engine) as connection:
        return connection.scalar(select(CUSTOMER.c.alloy_user_id).where(CUSTOMER.c.alloy_user_id.is_not(None)).limit(1))


def standing(engine: Engine, batch: str | None = None) -> Standing:
    """Count everybody, or those of one batch. Raises :class:`NotFound`."""
    batch_id = find_batch(engine, batch) if batch is not None else None
    of_batch = [] if batch_id is None else [ONBOARDING.c.batch_id == batch_id]
    of_run = [] if batch_id is None else [RUN.c.batch_id == batch_id]
    with reading(engine) as connection:
        counts = connection.execute(
            select(ONBOARDING.c.stage, ONBOARDING.c.hold, ONBOARDING.c.reason, func.count())
            .where(*of_batch)
            .group_by(ONBOARDING.c.stage, ONBOARDING.c.hold, ONBOARDING.c.reason)
        ).all()
        next_due_at = connection.scalar(
            select(func.min(ONBOARDING.c.due_at)).where(ONBOARDING.c.due_at.is_not(None), *of_batch)
        )
        calls, seconds = connection.execute(
            select(func.coalesce(func.sum(RUN.c.calls), 0), func.coalesce(func.sum(RUN.c.seconds), 0.0)).where(*of_run)
        ).one()
        leftovers = connection.scalar(
            select(func.count())
            .select_from(INTENT)
            .join(ONBOARDING, ONBOARDING.c.id == INTENT.c.onboarding_id)
            .where(_is_leftover(), *of_batch)
        )
    stages, holds, reasons = dict.fromkeys(Stage, 0), dict.fromkeys(HoldKind, 0), dict[Reason, int]()
    moving = 0
    for stage, hold, reason, count in counts:
        stages[stage] += count
        if hold is not None:
            holds[hold] += count
            reasons[reason] = reasons.get(reason, 0) + count
        elif stage is not Stage.completed:
            moving += count
    return Standing(
        batch=batch,
        total=sum(stages.values()),
        stages=stages,
        holds=holds,
        reasons=reasons,
        moving=moving,
        leftovers=leftovers or 0,
        next_due_at=next_due_at,
        calls=int(calls),
        seconds=round(float(seconds), 3),
    )


def waiting(
    engine: Engine, *, batch: str | None = None, kind: HoldKind | None = None, limit: int = 50
) -> list[Waiting]:
    """Return who stands still, those whom an operator must help first, then the longest waiting."""
    conditions: list[ColumnElement[bool]] = [ONBOARDING.c.hold.is_not(None)]
    if batch is not None:
        conditions.append(ONBOARDING.c.batch_id == find_batch(engine, batch))
    if kind is not None:
        conditions.append(ONBOARDING.c.hold == kind)
    with reading(engine) as connection:
        rows = connection.execute(
            select(
                CUSTOMER.c.username, ONBOARDING.c.integration, ONBOARDING.c.stage, ONBOARDING.c.hold,
                ONBOARDING.c.reason, ONBOARDING.c.sentence, ONBOARDING.c.stage_since,
                ONBOARDING.c.due_at, ONBOARDING.c.attempts,
            )
            .join(CUSTOMER, CUSTOMER.c.id == ONBOARDING.c.customer_id)
            .where(*conditions)
            .order_by(ONBOARDING.c.hold != HoldKind.operator, ONBOARDING.c.stage_since, ONBOARDING.c.id)
            .limit(limit)
        ).all()  # fmt: skip
    return [Waiting(*row) for row in rows]


def links(engine: Engine, *, batch: str | None = None) -> list[Link]:
    """Return the consent links that wait to be followed, the oldest first; still sealed."""
    conditions: list[ColumnElement[bool]] = [
        ONBOARDING.c.stage == Stage.created,
        ONBOARDING.c.hold.is_distinct_from(HoldKind.cancelled),
    ]
    if batch is not None:
        conditions.append(ONBOARDING.c.batch_id == find_batch(engine, batch))
    with reading(engine) as connection:
        rows = connection.execute(
            select(
                CUSTOMER.c.username, CUSTOMER.c.full_name, ONBOARDING.c.integration,
                CONSENT_LINK.c.issued_at, CONSENT_LINK.c.sealed,
            )
            .join(ONBOARDING, ONBOARDING.c.id == CONSENT_LINK.c.onboarding_id)
            .join(CUSTOMER, CUSTOMER.c.id == ONBOARDING.c.customer_id)
            .where(*conditions)
            .order_by(CONSENT_LINK.c.issued_at, CONSENT_LINK.c.id)
        ).all()  # fmt: skip
    return [Link(*row) for row in rows]


def story(engine: Engine, username: str) -> Story:
    """Return one customer's whole story. Raises :class:`NotFound`."""
    customer_id = find_customer(engine, username)
    with reading(engine) as connection:
        customer = connection.execute(
            select(CUSTOMER.c.username, CUSTOMER.c.full_name, CUSTOMER.c.alloy_user_id).where(
                CUSTOMER.c.id == customer_id
            )
        ).one()
        onboardings = connection.execute(
            select(
                ONBOARDING.c.id, BATCH.c.name.label("batch"), ONBOARDING.c.integration, ONBOARDING.c.integration_id,
                ONBOARDING.c.stage, ONBOARDING.c.hold, ONBOARDING.c.reason, ONBOARDING.c.sentence,
                ONBOARDING.c.due_at, ONBOARDING.c.attempts, ONBOARDING.c.lease_owner.label("leased_by"),
                ONBOARDING.c.credential_id, ONBOARDING.c.installation_id, ONBOARDING.c.link_issued_at,
                ONBOARDING.c.verified_at, ONBOARDING.c.form,
            )
            .join(BATCH, BATCH.c.id == ONBOARDING.c.batch_id)
            .where(ONBOARDING.c.customer_id == customer_id)
            .order_by(ONBOARDING.c.id)
        ).all()  # fmt: skip
        ids = [row[0] for row in onboardings]
        history = connection.execute(
            select(
                HISTORY.c.onboarding_id, HISTORY.c.at, HISTORY.c.stage, HISTORY.c.trigger,
                HISTORY.c.hold, HISTORY.c.reason, HISTORY.c.sentence, HISTORY.c.worker,
            )
            .where(HISTORY.c.onboarding_id.in_(ids))
            .order_by(HISTORY.c.id)
        ).all()  # fmt: skip
        intents = connection.execute(
            select(
                INTENT.c.onboarding_id, INTENT.c.id, INTENT.c.trigger, INTENT.c.opened_at,
                INTENT.c.closed_at, INTENT.c.outcome,
            )
            .where(INTENT.c.onboarding_id.in_(ids))
            .order_by(INTENT.c.id)
        ).all()  # fmt: skip
    return Story(
        **customer._asdict(),
        onboardings=[
            OnboardingStory(
                **row._asdict(),
                history=[Event(*event[1:]) for event in history if event[0] == row[0]],
                intents=[IntentView(*intent[1:]) for intent in intents if intent[0] == row[0]],
            )
            for row in onboardings
        ],
    )


def _is_leftover() -> ColumnElement[bool]:
    """A start whose effect could not be found, or an answer that came too late to be used."""
    return INTENT.c.outcome.in_([Closing.leftover, Closing.late])
