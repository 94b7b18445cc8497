"""Alerts: what Prefect watches for us, as data, and how it is kept in step with what this version wants.

Each is an automation of Prefect: an event of ours (:mod:`flows.events`), or its absence, and an action. The action is a
notification block of the user's choosing; without one, a run of `note-alert`, which any deployment can have and which
shows the alert in Prefect itself.

Installing them again changes nothing that is as it should be. What an operator has switched off stays off, and what we
did not make is never touched: ours bear a tag besides their name.

An absence is told by two alerts, since Prefect counts in two ways. Counted ``after`` an event, it is told on time and
once; but what no event began is never missed, so installing is such an event, and what falls due while Prefect's server
is away is forgotten. Counted without, it begins by itself and is told again in every period, the first time up to three
periods late: so that period is a day.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from deployments.registering import registered
from deployments.schedules import NOTE_ALERT

if TYPE_CHECKING:  # importing Prefect takes seconds
    from prefect.client.orchestration import PrefectClient
    from prefect.events.actions import RunDeployment, SendNotification
    from prefect.events.schemas.automations import Automation, AutomationCore, EventTrigger

    from flows.settings import Settings

TAG = "headless-onboarding"

_ANY = "onboarding.*"


class NoBlock(Exception):
    """ONBOARD_ALERT_BLOCK names a block that this Prefect does not have."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert: the event that is expected, or that is missed for ``within``."""

    name: str
    event: str
    description: str
    missed_for: timedelta | None = None
    again: bool = False
    """Whether it fires again and again while the event is missed, and not only once."""
    says: str = "{{ event.payload.sentence }}"
    """What the alert says; a template that Prefect fills in."""


ALERTS: tuple[Alert, ...] = (
    Alert(
        "onboarding: halted",
        "onboarding.halted",
        "A run could not go on: most often Alloy does not take the key any more. Once a day while it lasts.",
    ),
    Alert(
        "onboarding: nothing completed",
        "onboarding.stalled",
        "Nothing was completed for an hour while work was due. Once a day while it lasts.",
    ),
    Alert(
        "onboarding: resume missing",
        "onboarding.resuming",
        "No run has gone on with what is due for half an hour: is `onboard up`, or a worker, at work? Once.",
        missed_for=timedelta(minutes=30),
        says="No run has gone on with what is due for half an hour. Is `onboard up`, or a worker, at work?",
    ),
    Alert(
        "onboarding: resume still missing",
        "onboarding.resuming",
        "No run has gone on with what is due for a day or longer. Once a day while it lasts.",
        missed_for=timedelta(days=1),
        again=True,
        says="No run has gone on with what is due for a day or longer. Is `onboard up`, or a worker, at work?",
    ),
    Alert(
        "onboarding: operators needed",
        "onboarding.operator.needed",
        "More onboardings wait for operators than ONBOARD_ALERT_OPERATORS. Once a day while it lasts.",
    ),
    Alert(
        "onboarding: batch paused",
        "onboarding.batch.paused",
        "A batch has spent its failure budget: nothing of it goes on until somebody says so.",
    ),
    Alert(
        "onboarding: list refused",
        "onboarding.list.refused",
        "A list in the inbox has faults, and nothing of it was taken in.",
    ),
)


@dataclass(frozen=True, slots=True)
class Installed:
    """What installing came to, by the alerts' names."""

    made: tuple[str, ...]
    changed: tuple[str, ...]
    kept: tuple[str, ...]


async def install(settings: "Settings", alerts: Sequence[Alert] = ALERTS) -> Installed:
    """Bring Prefect's automations in step with ``alerts``, and have it count from now on what is missed.

    The deployments must be registered before: one of them is what an alert runs. Raises :class:`NoBlock`.
    """
    from prefect.client.orchestration import get_client

    from flows.events import tell_that_resumes_are_expected

    made, changed, kept = list[str](), list[str](), list[str]()
    async with get_client() as client:
        acts = await _acts(client, settings.onboard_alert_block)
        for alert in alerts:
            known = await _ours(client, alert)
            wanted = _automation(alert, acts, enabled=known is None or known.enabled)
            if known is None:
                await client.create_automation(wanted)
                made.append(alert.name)
            elif _differ(known, wanted):
                await client.update_automation(known.id, wanted)
                changed.append(alert.name)
            else:
                kept.append(alert.name)
    await tell_that_resumes_are_expected()
    return Installed(tuple(made), tuple(changed), tuple(kept))


async def missing(settings: "Settings", alerts: Sequence[Alert] = ALERTS) -> list[str]:
    """Return the alerts that are not installed. Raises :class:`NoBlock` if the chosen block is not there."""
    from prefect.client.orchestration import get_client

    async with get_client() as client:
        if settings.onboard_alert_block is not None:
            await _block(client, settings.onboard_alert_block)
        return [alert.name for alert in alerts if await _ours(client, alert) is None]


async def _ours(client: "PrefectClient", alert: Alert) -> "Automation | None":
    for one in await client.read_automations_by_name(alert.name):
        if TAG in one.tags:
            return one
    return None


async def _acts(client: "PrefectClient", block: str | None) -> UUID | str:
    """Return the id of the block to notify, or that of the deployment to run, as its words in an action."""
    if block is not None:
        return await _block(client, block)
    note_alert = await registered(NOTE_ALERT)
    if note_alert is None:
        raise LookupError(f"{NOTE_ALERT.name} is not registered")
    return str(note_alert.id)


async def _block(client: "PrefectClient", block: str) -> UUID:
    from prefect.exceptions import ObjectNotFound

    slug, name = block.split("/")
    try:
        return (await client.read_block_document_by_name(name, slug, include_secrets=False)).id
    except ObjectNotFound:
        raise NoBlock(f"there is no block {block}: make it in Prefect, or unset ONBOARD_ALERT_BLOCK") from None


def _automation(alert: Alert, acts: UUID | str, *, enabled: bool) -> "AutomationCore":
    from prefect.events.schemas.automations import AutomationCore

    return AutomationCore(
        name=alert.name,
        description=alert.description,
        enabled=enabled,
        tags=[TAG],
        trigger=_trigger(alert),
        actions=[_action(alert, acts)],
    )


def _trigger(alert: Alert) -> "EventTrigger":
    from prefect.events.schemas.automations import EventTrigger, Posture

    from flows.events import EXPECTED

    match = {"prefect.resource.id": _ANY}
    if alert.missed_for is None:
        return EventTrigger(
            match=match, expect={alert.event}, posture=Posture.Reactive, threshold=1, within=timedelta(0)
        )
    awaited = {alert.event, EXPECTED}
    # Without `for_each` Prefect would begin to count by itself, whatever `after` says, and fire again every hour.
    once = {} if alert.again else {"after": awaited, "for_each": {"prefect.resource.id"}}
    return EventTrigger(
        match=match, expect=awaited, posture=Posture.Proactive, threshold=1, within=alert.missed_for, **once
    )


def _action(alert: Alert, acts: UUID | str) -> "RunDeployment | SendNotification":
    from prefect.events.actions import RunDeployment, SendNotification

    if isinstance(acts, UUID):
        return SendNotification(block_document_id=acts, subject=alert.name, body=alert.says)
    says = {"template": alert.says, "__prefect_kind": "jinja"}
    return RunDeployment(deployment_id=UUID(acts), parameters={"alert": alert.name, "says": says})


def _differ(known: "Automation", wanted: "AutomationCore") -> bool:
    """Tell whether Prefect has something else of what we say; it adds ids and defaults of its own."""
    return any(getattr(known, name) != getattr(wanted, name) for name in ("description", "tags", "trigger", "actions"))
