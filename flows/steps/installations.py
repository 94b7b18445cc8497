"""``start_installation`` and ``complete_installation``: one live installation for each onboarding.

Starting twice makes two records at Alloy, of which only a completed one lives; so where Alloy has no list to look a
lost start up in, it is started again and the first is noted as a suspected leftover (vendor contract, section 12).
"""

from collections.abc import Sequence
from datetime import datetime

from flows.alloy.answers import Installation
from flows.steps.attempt import Attempt, Evidence
from flows.steps.rule import Again, Change, carry_out
from states.failures import Effect, Failure, Rejected, Transient
from states.holds import Reason
from store.records import Record
from store.views import retries_for

_MAYBE_COMPLETED = (400, 409)
"""The statuses with which a second completion may be refused; which one is documented nowhere."""

_LOOKS_IN_VAIN = 6
"""How often a completion that Alloy accepted may fail to show before an operator is asked."""


async def start_installation(attempt: Attempt) -> Evidence:
    """Start the installation with exactly the credential that this onboarding brought."""
    record, alloy = attempt.record, attempt.resources.alloy
    user_id, integration_id, credential_id = _ids(record)

    async def look_up() -> Evidence | None:
        installations = await alloy.find_installations(user_id, integration_id)
        found = _ours(record, installations or ())
        if not found:
            return None
        note = f"{len(found) - 1} more like it left behind at Alloy" if len(found) > 1 else ""
        return _started(found[-1].installation_id, found[-1].form_data, note)

    async def call() -> Evidence:
        try:
            started = await alloy.start_installation(user_id, integration_id, [credential_id])
        except Rejected as refusal:
            if refusal.status != 409:
                raise
            found = await look_up()
            if found is None:
                raise Rejected(Reason.installation_conflict, refusal.sentence, status=409) from refusal
            return found
        if record.was_installed:
            await _refuse_what_was_there(attempt, started.installation_id)
        return _started(started.installation_id, started.form)

    request = f"POST /headless/startInstallation {user_id} {integration_id} {credential_id}"
    return await carry_out(
        attempt,
        Change(
            request,
            call,
            look_up,
            Again.leaves_leftover,
            can_look=lambda: alloy.capabilities.installations is not False,
        ),
    )


async def _refuse_what_was_there(attempt: Attempt, installation_id: str) -> None:
    """Raise ``Rejected`` if Alloy began nothing, and handed out an installation of before us with another credential.

    Where Alloy lists no installations this cannot be known.
    """
    record = attempt.record
    alloy = attempt.resources.alloy
    try:
        listed = await alloy.find_installations(_known(record.alloy_user_id), _known(record.integration_id))
    except Failure as failure:  # it is the look that did nothing: the start before it may have begun one
        raise Transient(
            Reason.unknown_outcome, f"what was started cannot be looked at: {failure.sentence}", effect=Effect.unknown
        ) from failure
    for one in listed or ():
        if (
            one.installation_id == installation_id
            and one.credential_ids
            and record.credential_id not in one.credential_ids
        ):
            raise Rejected(
                Reason.installation_conflict,
                f"Alloy begins no other installation than {installation_id}, which was there before us and has another"
                " credential",
            )


async def complete_installation(attempt: Attempt) -> Evidence:
    """Hand the answers in, and read the installation back where that can be done."""
    record, alloy = attempt.record, attempt.resources.alloy
    installation_id = _known(record.installation_id)

    async def look_up() -> Evidence | None:
        # Where it was installed before us the view shows that one; so ours is called again, which does no harm.
        if not record.was_installed and await _installed(attempt):
            return Evidence({"verified_at": attempt.resources.clock.now()})
        return None

    async def call() -> Evidence:
        try:
            await alloy.complete_installation(installation_id, record.answers or [])
        except Rejected as refusal:
            found = await look_up()  # completed before, and refused a second time
            if found is None and record.was_installed and refusal.status in _MAYBE_COMPLETED:
                raise Rejected(Reason.installation_conflict, refusal.sentence, status=refusal.status) from refusal
            if found is None:
                raise
            return found
        return await _confirmed(attempt)

    request = f"POST /headless/completeInstallation {installation_id} {record.answers}"
    evidence = await carry_out(attempt, Change(request, call, look_up, Again.harmless))
    verified_at = evidence.values.get("verified_at")
    if isinstance(verified_at, str):  # from the journal, which keeps times as text
        return Evidence({"verified_at": datetime.fromisoformat(verified_at)}, evidence.note)
    return evidence


async def _confirmed(attempt: Attempt) -> Evidence:
    if attempt.record.was_installed:
        note = "Alloy accepted it; it was installed before us too, so that what it shows cannot confirm ours"
        return Evidence({"verified_at": None}, note)
    try:
        installed = await _installed(attempt)
    except Transient as failure:
        raise _unconfirmed(
            f"Alloy accepted the completion, but reading it back failed: {failure.sentence}"
        ) from failure
    if installed is None:
        return Evidence({"verified_at": None}, "Alloy accepted it; this host offers nothing to read it back from")
    if installed:
        return Evidence({"verified_at": attempt.resources.clock.now()})
    if await _looks_in_vain(attempt) >= _LOOKS_IN_VAIN:
        raise Rejected(
            Reason.installation_conflict,
            "Alloy accepts the completion again and again, but does not show the integration as installed",
        )
    raise _unconfirmed("Alloy accepted the completion, but does not show it yet")


async def _looks_in_vain(attempt: Attempt) -> int:
    """Return how often it was not shown before; what it was tried again for besides, such as the rate, is no look."""
    record, resources = attempt.record, attempt.resources
    if record.attempts < _LOOKS_IN_VAIN:  # nor can the looks be enough
        return record.attempts
    return await resources.in_thread(
        retries_for, resources.engine, record.id, Reason.not_confirmed, of_last=record.attempts
    )


def _unconfirmed(sentence: str) -> Transient:
    return Transient(Reason.not_confirmed, sentence, effect=Effect.unknown)


async def _installed(attempt: Attempt) -> bool | None:
    """Ask whether the integration is installed for the user; None if this host cannot tell.

    The integration's own view counts: what ``enabled`` means in the list of installations is unclear (contract, 13.7).
    """
    record = attempt.record
    view = await attempt.resources.alloy.get_integration(_known(record.integration_id), _known(record.alloy_user_id))
    return None if view is None else view.installed


def _ours(record: Record, installations: Sequence[Installation]) -> list[Installation]:
    others = {sibling.installation_id for sibling in record.siblings}
    return [
        one
        for one in installations
        if one.user_id == record.alloy_user_id
        and one.integration_id == record.integration_id
        and one.installation_id not in others
        and record.credential_id in one.credential_ids
    ]


def _started(installation_id: str, form: object, note: str = "") -> Evidence:
    return Evidence({"installation_id": installation_id, "form": form}, note)


def _ids(record: Record) -> tuple[str, str, str]:
    return _known(record.alloy_user_id), _known(record.integration_id), _known(record.credential_id)


def _known(value: str | None) -> str:
    if value is None:
        raise RuntimeError("a record stands at a stage without the evidence of the one before")
    return value
