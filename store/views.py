"""The read side: counts, who waits for what, and one customer's whole story. Nothing here writes."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import JsonValue
from sqlalchemy import ColumnElement, Engine, and_, func, or_, select

from states.holds import HoldKind, Reason
from states.stage import Stage, Trigger
from store.engine import reading
from store.intake.holding_back import IS_HELD_BACK
from store.intake.unfinished import Unfinished, unfinished
from store.journal import Closing
from store.models import BATCH, CONSENT_LINK, CUSTOMER, HISTORY, INTENT, ONBOARDING
from store.quarantine import INTEGRATION
from store.standing import NotFound, Standing, Waiting, find_batch, standing, waiting
from store.standstill import PausedBatch, QuarantinedCohort, paused_batches, quarantined_cohorts

__all__ = [
    "Event",
    "IntentView",
    "Leftover",
    "Link",
    "NotFound",
    "OnboardingStory",
    "Standing",
    "Story",
    "Waiting",
    "find_batch",
    "find_customer",
    "leftovers",
    "links",
    "some_alloy_user",
    "standing",
    "story",
    "waiting",
]


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
    quarantined: QuarantinedCohort | None = None
    """Set if it would be claimed, but is of a cohort that is held back."""
    paused: PausedBatch | None = None
    """Set if it would be claimed, but its batch stands still."""
    unfinished: Unfinished | None = None
    """Set if it would be claimed, but its list is only half in."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """A call whose effect may be left at Alloy, where nothing of ours uses it."""

    username: str
    alloy_user_id: str | None
    batch: str
    integration: str
    integration_id: str | None
    trigger: Trigger
    called_at: datetime
    outcome: Closing | None
    """None: nothing is known of it, and nobody looks, since the onboarding was cancelled."""
    installation_id: str | None
    """What is used instead."""
    credential_id: str | None
    evidence: dict[str, JsonValue] | None
    """What Alloy answered, where an answer came after all."""


@dataclass(frozen=True, slots=True)
class Story:
    """One customer and their onboardings."""

    username: str
    full_name: str
    alloy_user_id: str | None
    onboardings: list[OnboardingStory]


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


def retries_for(engine: Engine, onboarding_id: int, reason: Reason, *, of_last: int) -> int:
    """Return how many of an onboarding's last so many retries were for ``reason``."""
    last = (
        select(HISTORY.c.reason)
        .where(HISTORY.c.onboarding_id == onboarding_id, HISTORY.c.hold == HoldKind.retry)
        .order_by(HISTORY.c.id.desc())
        .limit(of_last)
        .subquery()
    )
    with reading(engine) as connection:
        return connection.scalar(select(func.count()).select_from(last).where(last.c.reason == reason)) or 0


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


def leftovers(engine: Engine, *, batch: str | None = None) -> list[Leftover]:
    """Return what :class:`Standing` counts as leftovers, the oldest call first."""
    abandoned = and_(INTENT.c.closed_at.is_(None), ONBOARDING.c.hold == HoldKind.cancelled)
    conditions: list[ColumnElement[bool]] = [or_(INTENT.c.outcome.in_((Closing.leftover, Closing.late)), abandoned)]
    if batch is not None:
        conditions.append(ONBOARDING.c.batch_id == find_batch(engine, batch))
    with reading(engine) as connection:
        rows = connection.execute(
            select(
                CUSTOMER.c.username, CUSTOMER.c.alloy_user_id, BATCH.c.name.label("batch"), ONBOARDING.c.integration,
                ONBOARDING.c.integration_id, INTENT.c.trigger, INTENT.c.opened_at.label("called_at"), INTENT.c.outcome,
                ONBOARDING.c.installation_id, ONBOARDING.c.credential_id, INTENT.c.evidence,
            )
            .join(ONBOARDING, ONBOARDING.c.id == INTENT.c.onboarding_id)
            .join(CUSTOMER, CUSTOMER.c.id == ONBOARDING.c.customer_id)
            .join(BATCH, BATCH.c.id == ONBOARDING.c.batch_id)
            .where(*conditions)
            .order_by(INTENT.c.id)
        ).all()  # fmt: skip
    return [Leftover(**{**row._asdict(), "outcome": row.outcome and Closing(row.outcome)}) for row in rows]


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
    held_back = _held_back(engine, customer_id)
    return Story(
        **customer._asdict(),
        onboardings=[
            OnboardingStory(
                **row._asdict(),
                history=[Event(*event[1:]) for event in history if event[0] == row[0]],
                intents=[IntentView(*intent[1:]) for intent in intents if intent[0] == row[0]],
                **held_back.get(row.id, {}),
            )
            for row in onboardings
        ],
    )


def _held_back(engine: Engine, customer_id: int) -> dict[int, dict[str, Any]]:
    """Return, by onboarding, what holds it back although nothing is wrong with it."""
    closed = {(name, one.stage): one for one in quarantined_cohorts(engine) for name in one.names}
    paused = {one.batch: one for one in paused_batches(engine)}
    half_in = {one.batch: one for one in unfinished(engine)}
    with reading(engine) as connection:
        rows = connection.execute(
            select(ONBOARDING.c.id, INTEGRATION, ONBOARDING.c.stage, BATCH.c.name, IS_HELD_BACK)
            .join(BATCH, BATCH.c.id == ONBOARDING.c.batch_id)
            .where(
                ONBOARDING.c.customer_id == customer_id,
                ONBOARDING.c.stage != Stage.completed,
                or_(ONBOARDING.c.hold.is_(None), ONBOARDING.c.hold.in_([HoldKind.retry, HoldKind.customer])),
            )
        ).all()
    return {
        onboarding_id: {
            "quarantined": closed.get((integration, stage)),
            "paused": paused.get(batch),
            "unfinished": half_in.get(batch) if is_of_unfinished else None,
        }
        for onboarding_id, integration, stage, batch, is_of_unfinished in rows
    }
