"""The read side: counts, who waits for what, and one customer's whole story. Nothing here writes."""

from dataclasses import dataclass
from datetime import datetime

from pydantic import JsonValue
from sqlalchemy import ColumnElement, Engine, select

from states.holds import HoldKind, Reason
from states.stage import Stage, Trigger
from store.engine import reading
from store.models import BATCH, CONSENT_LINK, CUSTOMER, HISTORY, INTENT, ONBOARDING
from store.standing import NotFound, Standing, Waiting, find_batch, standing, waiting

__all__ = [
    "Event",
    "IntentView",
    "Link",
    "NotFound",
    "OnboardingStory",
    "Standing",
    "Story",
    "Waiting",
    "find_batch",
    "find_customer",
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
