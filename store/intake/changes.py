"""What a row that comes back may still change on the onboarding that it once made.

The rule: a value may be changed until it was used. A full name until the user is created, auth values until the
credential is there, answers until the installation is completed; and never while a call that uses the value may be
under way, or its answer came late and is still to be used. A row of which one part comes too late changes nothing.
"""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import JsonValue, ValidationError

from states.forms import Given, InvalidAnswer, fill, parse_form
from states.holds import HoldKind, Reason
from states.stage import Stage
from states.templates import render
from store.catalogue import CatalogueEntry
from store.lists.rows import CustomerRow
from store.vault import SealedValueLost, Vault

_MENDED: dict[Reason, frozenset[str]] = {
    # A hold that asks for a decision, such as already_installed, is no fault of the row: no change answers it.
    Reason.rejected: frozenset({"full name", "answers", "auth values"}),
    Reason.gave_up: frozenset({"full name", "answers", "auth values"}),
    Reason.invalid_answer: frozenset({"answers"}),
    Reason.awaiting_answer: frozenset({"answers"}),
    Reason.awaiting_consent: frozenset({"auth values"}),
    Reason.missing_auth: frozenset({"auth values"}),
    Reason.sealed_value_lost: frozenset({"auth values"}),
    Reason.unknown_integration: frozenset({"integration"}),
    Reason.ambiguous_integration: frozenset({"integration"}),
}
_AUTH_WANTED = (Reason.missing_auth, Reason.sealed_value_lost)
_BEFORE_CREDENTIAL = (Stage.new, Stage.created)


@dataclass(frozen=True, slots=True)
class Known:
    """An onboarding as it is on record, as far as a row may touch it."""

    id: int
    batch_id: int
    customer_id: int
    username: str
    full_name: str
    alloy_user_id: str | None
    integration: str
    integration_key: str
    integration_id: str | None
    stage: Stage
    hold: HoldKind | None
    reason: Reason | None
    lease_until: datetime | None
    version: int
    columns: dict[str, JsonValue]
    given: list[dict[str, JsonValue]]
    answered: list[dict[str, JsonValue]]
    form: list[dict[str, JsonValue]] | None
    auth_names: list[str]
    auth_digest: str
    is_unsettled: bool
    """A call of its stage was sent whose outcome is not known, or whose answer came late and is not used yet."""

    def is_leased(self, now: datetime) -> bool:
        """Tell whether a worker has it; one whose lease ran out can write no more."""
        return self.lease_until is not None and self.lease_until > now

    def was_purged(self) -> bool:
        """Tell whether it was cancelled and let go again: what was sealed is gone, and a list must bring it anew."""
        return self.hold is not HoldKind.cancelled and not self.auth_names and self.auth_digest != ""

    def wants_correction(self) -> bool:
        """Tell whether its integration could not be found, so that a row with another one corrects it."""
        return (
            self.hold is HoldKind.operator
            and self.reason in (Reason.unknown_integration, Reason.ambiguous_integration)
            and self.stage in _BEFORE_CREDENTIAL
        )


@dataclass(slots=True)
class Change:
    """What is to be written. ``what`` names the parts for people; without any, only the carried columns change."""

    what: list[str] = field(default_factory=list)
    values: dict[str, object] = field(default_factory=dict)
    full_name: str | None = None
    auth: Mapping[str, str] = field(default_factory=dict)
    """Auth values to be sealed in place of those of the same names."""


class TooLate(Exception):
    """The row cannot be applied; ``column`` says which part of it, ``remedy`` what to do instead."""

    def __init__(self, column: str, fault: str, remedy: str) -> None:
        super().__init__(column, fault, remedy)
        self.column, self.fault, self.remedy = column, fault, remedy


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a decision needs beside the record and the row."""

    vault: Vault
    templates: Sequence[Given]
    now: datetime
    sealed_of: Callable[[int], dict[str, bytes]]


def busy(column: str = "") -> TooLate:
    """Return the refusal of a row whose record is in somebody's hands."""
    return TooLate(column, "its record is being worked on at this moment", "run the same list again in a minute")


def decide(
    known: Known, row: CustomerRow, entry: CatalogueEntry | None, app: str | None, around: Circumstances
) -> Change | None:
    """Return what ``row`` changes on ``known``; None if nothing. Raises :class:`TooLate`."""
    change = Change()
    given = [answer.model_dump(mode="json") for answer in row.given]
    carried = row.columns != known.columns
    if carried:
        change.values["columns"] = row.columns
    if row.full_name and row.full_name != known.full_name:
        change.what.append("full name")
        change.full_name = row.full_name
    if auth := _changed_auth(known, row, around):
        change.what.append("auth values")
        change.auth = auth
    if given != known.given or (carried and around.templates and known.stage not in (Stage.mapped, Stage.completed)):
        change.what.append("answers")
        change.values["given"] = given
    if entry is not None and known.wants_correction() and known.integration_key != entry.integration_id:
        change.what.append("integration")
        change.values |= {"integration": row.integration, "integration_key": entry.integration_id}
        change.values |= {"integration_id": entry.integration_id, "app": app}
    if not change.what:
        return change if carried else None
    _refuse_if_too_late(known, row, change, around.now)
    if "answers" in change.what and known.stage is Stage.mapped:
        change.values["answers"] = _answers(known, row, around.templates)
    if "auth values" in change.what:
        names = {*known.auth_names, *change.auth}
        change.values |= {"auth_names": sorted(names), "link_issued_at": None}
        digest = around.vault.fingerprint(_merged_auth(known, row, around))
        change.values["auth_digest"] = digest
        if digest != known.auth_digest:
            change.values["snapshot"] = None  # what was granted for other values so far is an older credential
    _wake(known, change, around.now)
    return change


def _changed_auth(known: Known, row: CustomerRow, around: Circumstances) -> dict[str, str]:
    given = {name: value.get_secret_value() for name, value in row.auth.items()}
    if not given or known.stage is Stage.completed:
        return {}
    if (known.reason in _AUTH_WANTED or known.was_purged()) and known.stage in _BEFORE_CREDENTIAL:
        return given
    if known.stage not in _BEFORE_CREDENTIAL:
        # The values themselves are gone by now; what remains is their mark, if it was made with the key in use.
        comparable = around.vault.can_compare(known.auth_digest) and set(given) == set(known.auth_names)
        return given if comparable and around.vault.fingerprint(given) != known.auth_digest else {}
    return given if around.vault.fingerprint(_merged_auth(known, row, around)) != known.auth_digest else {}


def _merged_auth(known: Known, row: CustomerRow, around: Circumstances) -> dict[str, str]:
    given = {name: value.get_secret_value() for name, value in row.auth.items()}
    if set(known.auth_names) <= set(given):
        return given
    try:
        sealed = around.sealed_of(known.id)
        return {name: around.vault.open_value(one).get_secret_value() for name, one in sealed.items()} | given
    except SealedValueLost:
        absent = sorted(set(known.auth_names) - set(given))
        raise TooLate(
            f"auth.{absent[0]}", "is blank, and what was sealed cannot be opened any more", "give all auth values"
        ) from None


def _refuse_if_too_late(known: Known, row: CustomerRow, change: Change, now: datetime) -> None:
    in_use = known.is_leased(now) or known.is_unsettled
    if known.hold is HoldKind.cancelled:
        raise TooLate("", "its onboarding was cancelled", "let it go on with `onboard redrive --hold cancelled` first")
    if change.full_name is not None:
        if known.alloy_user_id is not None:
            raise TooLate("full_name", "the user exists at Alloy by another name", "change the name at Alloy")
        if known.stage is Stage.new and in_use:
            raise _in_use(known, "full_name")
    if change.auth:
        _refuse_late_auth(known, min(change.auth), in_use)
    if "answers" in change.what:
        _refuse_late_answers(known, row, in_use)
    if "integration" in change.what and in_use:
        raise _in_use(known, "integration")


def _refuse_late_auth(known: Known, name: str, in_use: bool) -> None:
    if known.stage not in _BEFORE_CREDENTIAL:
        erase = f"`onboard erase {shlex.quote(known.username)}`"
        anew = f"change it at Alloy, or begin anew with all that is theirs: {erase}, then run the list again"
        raise TooLate(f"auth.{name}", "the credential was made from another value", anew)
    if known.stage is Stage.created and in_use:
        raise _in_use(known, f"auth.{name}")


def _refuse_late_answers(known: Known, row: CustomerRow, in_use: bool) -> None:
    column = f"map.{row.given[0].name}" if row.given else ""
    if known.stage is Stage.completed:
        raise TooLate(column, "the installation is completed with other answers", "edit it at Alloy")
    if known.stage in (Stage.installing, Stage.mapped) and in_use:
        raise _in_use(known, column)


def _in_use(known: Known, column: str) -> TooLate:
    """Return why it cannot be changed now: a worker will settle its call by itself, but not while it stands still."""
    if not known.is_unsettled or known.hold is not HoldKind.operator:
        return busy(column)
    redrive = f"`onboard redrive --username {shlex.quote(known.username)}`"
    return TooLate(
        column,
        "a call was made with it whose outcome is not known, and its onboarding stands still",
        f"have the call looked up, {redrive} and `onboard resume`, and then run the same list again",
    )


def _answers(known: Known, row: CustomerRow, templates: Sequence[Given]) -> list[dict[str, object]]:
    """Fill the form in again: the stage is past the step that does it, and no stage is ever taken back."""
    context = {"username": row.username, "full_name": known.full_name, "columns": row.columns}
    try:
        sources = [[Given.model_validate(one) for one in known.answered], row.given, render(templates, context)]
        filled = fill(parse_form(known.form or []), sources)
    except (InvalidAnswer, ValidationError) as fault:
        why = str(fault) if isinstance(fault, InvalidAnswer) else "its form cannot be read"
        raise TooLate("", why, "correct the row") from None
    wrong = filled.faults + [f"{name} has no answer" for name in filled.missing]
    if wrong:
        raise TooLate("", "; ".join(wrong[:5]), "correct the row")
    return filled.answers


def _wake(known: Known, change: Change, now: datetime) -> None:
    if known.is_leased(now):
        # What it is doing does not use what changed; whoever holds it lets it go on at once afterwards.
        change.values["nudged"] = True
        return
    change.values["version"] = known.version + 1
    if known.reason is not None and _MENDED.get(known.reason, frozenset()) & set(change.what):
        change.values |= {"hold": None, "reason": None, "sentence": None, "due_at": now, "attempts": 0}
