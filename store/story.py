"""One customer's whole story: every onboarding, what happened to it, its calls, and what holds it back.

Plain SQL through :mod:`store.read_only`, as all that is looked at often.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from states.holds import HoldKind, Reason
from states.stage import Stage, Trigger
from store.finding import NotFound, find_customer
from store.intake.unfinished import Unfinished, unfinished
from store.read_only import Database, as_json, as_optional_time, as_time, ask
from store.standstill import PausedBatch, QuarantinedCohort, paused_batches, quarantined_cohorts

if TYPE_CHECKING:
    from pydantic import JsonValue


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
    form: "list[dict[str, JsonValue]] | None"
    history: list[Event]
    intents: list[IntentView]
    quarantined: QuarantinedCohort | None = None
    """Set if it would be claimed, but is of a cohort that is held back."""
    paused: PausedBatch | None = None
    """Set if it would be claimed, but its batch stands still."""
    unfinished: Unfinished | None = None
    """Set if it would be claimed, but its list is only half in."""


@dataclass(frozen=True, slots=True)
class Story:
    """One customer and their onboardings."""

    username: str
    full_name: str
    alloy_user_id: str | None
    onboardings: list[OnboardingStory]


def story(database: Database, username: str) -> Story:
    """Return one customer's whole story. Raises :class:`store.finding.NotFound`."""
    customer_id = find_customer(database, username)
    known = ask(database, "SELECT full_name, alloy_user_id FROM customer WHERE id = :id", id=customer_id)
    if not known:
        raise NotFound(f"{username!r} was erased just now")
    [(full_name, alloy_user_id)] = known
    rows = ask(
        database,
        """
        SELECT onboarding.id, batch.name, onboarding.integration, onboarding.integration_id, onboarding.stage,
               onboarding.hold, onboarding.reason, onboarding.sentence, onboarding.due_at, onboarding.attempts,
               onboarding.lease_owner, onboarding.credential_id, onboarding.installation_id,
               onboarding.link_issued_at, onboarding.verified_at, onboarding.form,
               coalesce(onboarding.integration_id, onboarding.integration_key)
        FROM onboarding JOIN batch ON batch.id = onboarding.batch_id
        WHERE onboarding.customer_id = :customer_id ORDER BY onboarding.id
        """,
        customer_id=customer_id,
    )
    histories, journals = _histories(database, customer_id), _journals(database, customer_id)
    holders = _Holders(database)
    return Story(
        username=username,
        full_name=full_name,
        alloy_user_id=alloy_user_id,
        onboardings=[_onboarding(row, histories.get(row[0], []), journals.get(row[0], []), holders) for row in rows],
    )


class _Holders:
    """What holds others back at present, although nothing is wrong with them."""

    def __init__(self, database: Database) -> None:
        self._closed = {(name, one.stage): one for one in quarantined_cohorts(database) for name in one.names}
        self._paused = {one.batch: one for one in paused_batches(database)}
        self._half_in = {one.batch: one for one in unfinished(database)}

    def of(self, onboarding_id: int, cohort: str, stage: Stage, hold: HoldKind | None, batch: str) -> dict[str, Any]:
        """Return what of that holds an onboarding back; nothing does that stands still for a reason of its own."""
        if stage is Stage.completed or hold not in (None, HoldKind.retry, HoldKind.customer):
            return {}
        half_in = self._half_in.get(batch)
        return {
            "quarantined": self._closed.get((cohort, stage)),
            "paused": self._paused.get(batch),
            "unfinished": half_in if half_in is not None and half_in.holds_back(onboarding_id) else None,
        }


def _onboarding(
    row: Sequence[Any], history: list[Event], intents: list[IntentView], holders: _Holders
) -> OnboardingStory:
    (
        onboarding_id, batch, integration, integration_id, stage, hold, reason, sentence, due_at, attempts, leased_by,
        credential_id, installation_id, link_issued_at, verified_at, form, cohort,
    ) = row  # fmt: skip
    held = hold and HoldKind(hold)
    return OnboardingStory(
        id=onboarding_id,
        batch=batch,
        integration=integration,
        integration_id=integration_id,
        stage=Stage(stage),
        hold=held,
        reason=reason and Reason(reason),
        sentence=sentence,
        due_at=as_optional_time(due_at),
        attempts=attempts,
        leased_by=leased_by,
        credential_id=credential_id,
        installation_id=installation_id,
        link_issued_at=as_optional_time(link_issued_at),
        verified_at=as_optional_time(verified_at),
        form=as_json(form),
        history=history,
        intents=intents,
        **holders.of(onboarding_id, cohort, Stage(stage), held, batch),
    )


def _histories(database: Database, customer_id: int) -> dict[int, list[Event]]:
    found: dict[int, list[Event]] = {}
    for onboarding_id, at, stage, trigger, hold, reason, sentence, worker in ask(
        database,
        """
        SELECT onboarding_id, at, stage, trigger, hold, reason, sentence, worker FROM history
        WHERE onboarding_id IN (SELECT id FROM onboarding WHERE customer_id = :customer_id) ORDER BY id
        """,
        customer_id=customer_id,
    ):
        event = Event(
            at=as_time(at),
            stage=Stage(stage),
            trigger=trigger and Trigger(trigger),
            hold=hold and HoldKind(hold),
            reason=reason and Reason(reason),
            sentence=sentence,
            worker=worker,
        )
        found.setdefault(onboarding_id, []).append(event)
    return found


def _journals(database: Database, customer_id: int) -> dict[int, list[IntentView]]:
    found: dict[int, list[IntentView]] = {}
    for onboarding_id, intent_id, trigger, opened_at, closed_at, outcome in ask(
        database,
        """
        SELECT onboarding_id, id, trigger, opened_at, closed_at, outcome FROM intent
        WHERE onboarding_id IN (SELECT id FROM onboarding WHERE customer_id = :customer_id) ORDER BY id
        """,
        customer_id=customer_id,
    ):
        view = IntentView(intent_id, Trigger(trigger), as_time(opened_at), as_optional_time(closed_at), outcome)
        found.setdefault(onboarding_id, []).append(view)
    return found
