"""What can be chosen in the forms: Prefect's pages show an enumeration as a list to choose from.

A form cannot leave a choice empty without showing two kinds of field, so each has a word for "whatever it is".
"""

from datetime import timedelta
from enum import StrEnum, auto
from typing import Annotated

from pydantic import Field

from states.holds import HoldKind, Reason
from states.stage import Stage
from store.wanted import Wanted


class WhatToDo(StrEnum):
    """Whether a form only shows whom it would reach, or reaches them."""

    preview = auto()
    apply = auto()


class AnyStage(StrEnum):
    """A stage that can be left, or whichever."""

    any = auto()
    new = Stage.new.value
    created = Stage.created.value
    authed = Stage.authed.value
    installing = Stage.installing.value
    mapped = Stage.mapped.value


class AnyHold(StrEnum):
    """A kind of hold, or whichever."""

    any = auto()
    retry = HoldKind.retry.value
    customer = HoldKind.customer.value
    operator = HoldKind.operator.value
    cancelled = HoldKind.cancelled.value


class AnyReason(StrEnum):
    """A reason for which records are held, or whichever."""

    any = auto()
    unreachable = Reason.unreachable.value
    rate_limited = Reason.rate_limited.value
    refused_for_now = Reason.refused_for_now.value
    unknown_outcome = Reason.unknown_outcome.value
    unreadable_answer = Reason.unreadable_answer.value
    not_confirmed = Reason.not_confirmed.value
    awaiting_consent = Reason.awaiting_consent.value
    awaiting_answer = Reason.awaiting_answer.value
    rejected = Reason.rejected.value
    invalid_answer = Reason.invalid_answer.value
    unreadable_form = Reason.unreadable_form.value
    already_installed = Reason.already_installed.value
    installation_conflict = Reason.installation_conflict.value
    unknown_integration = Reason.unknown_integration.value
    ambiguous_integration = Reason.ambiguous_integration.value
    missing_auth = Reason.missing_auth.value
    sealed_value_lost = Reason.sealed_value_lost.value
    same_onboarding_twice = Reason.same_onboarding_twice.value
    user_of_another_customer = Reason.user_of_another_customer.value
    credential_in_doubt = Reason.credential_in_doubt.value
    gave_up = Reason.gave_up.value
    our_fault = Reason.our_fault.value
    cancelled = Reason.cancelled.value


class AgeUnit(StrEnum):
    """What an age is counted in."""

    hours = auto()
    days = auto()


Age = Annotated[float, Field(ge=0, le=100_000)]
"""Zero: of any age."""


def wanted(
    *,
    stage: AnyStage = AnyStage.any,
    hold: AnyHold = AnyHold.any,
    reason: AnyReason = AnyReason.any,
    integration: str = "",
    batch: str = "",
    username: str = "",
    older_than: float = 0,
    older_than_unit: AgeUnit = AgeUnit.hours,
) -> Wanted:
    """Return whom a form means; what was left blank is no condition."""
    return Wanted(
        username=username.strip() or None,
        batch=batch.strip() or None,
        reason=None if reason is AnyReason.any else Reason(reason.value),
        hold=None if hold is AnyHold.any else HoldKind(hold.value),
        stage=None if stage is AnyStage.any else Stage(stage.value),
        integration=integration.strip() or None,
        older_than=timedelta(**{older_than_unit.value: older_than}) if older_than else None,
    )
