"""``authenticate``: the credential that this onboarding brought, and never an older one.

Alloy's lists tell neither who asked for a credential nor with which values, so ours is told from others by a
snapshot: the user's credentials before the first link or POST, taken once. What is new since, or has been renewed
since, was granted.
"""

import re
from collections.abc import Sequence
from datetime import datetime

from pydantic import SecretStr

from flows.alloy.answers import Credential
from flows.alloy.client import masking
from flows.catalogue import settle_integration
from flows.steps.attempt import Attempt, Evidence
from flows.steps.rule import Again, Change, carry_out
from flows.steps.sharing import has_credentials_of_before_us, may_be_anothers, shared_credential, turns_to_take
from states.failures import Rejected, Waiting
from states.holds import Reason
from store.catalogue import AppEntry
from store.records import Record
from store.vault import SealedValueLost, UnresolvedReference, resolve_reference


async def authenticate(attempt: Attempt) -> Evidence:
    """Get the credential: by the customer's consent for an OAuth app, from the sealed values for any other."""
    record = attempt.record
    app = await settle_integration(attempt)
    shared = shared_credential(record)
    if shared is not None:
        if record.snapshot is None:  # taken for its question alone: is the integration installed already?
            await attempt.learn(snapshot=await _take_snapshot(attempt))
        return Evidence({"credential_id": shared}, "shares the credential of the customer's other onboarding")
    if app.is_oauth:
        return await _await_consent(attempt, app)
    return await _create_credential(attempt, app)


async def _await_consent(attempt: Attempt, app: AppEntry) -> Evidence:
    record, alloy = attempt.record, attempt.resources.alloy
    if record.snapshot is None:
        await attempt.learn(snapshot=await _begin(attempt))
    else:
        found = await _look_for_granted(attempt, app)
        if found is not None:
            return found
    if record.link_issued_at is None:
        values = _values(attempt, app)
        with masking(values.values()):
            link = await alloy.oauth_url(_user(record), app.app, values)
        await attempt.issue_link(link.get_secret_value())
    raise Waiting(Reason.awaiting_consent, f"the customer has not consented to {app.app} yet")


async def _create_credential(attempt: Attempt, app: AppEntry) -> Evidence:
    record, alloy = attempt.record, attempt.resources.alloy
    if record.intent is None:
        _values(attempt, app)  # or else nothing is begun
    if record.snapshot is None:
        attempt.remember(snapshot=await _begin(attempt))

    async def call() -> Evidence:
        # Not before: what an earlier call did is found without them, though the values or their key be gone by now.
        values = _values(attempt, app)
        with masking(values.values()):
            return Evidence({"credential_id": await alloy.create_credential(_user(record), app.app, values)})

    async def look_up() -> Evidence | None:
        found = await _look_for_granted(attempt, app)
        if found is not None and may_be_anothers(record):
            raise Rejected(
                Reason.credential_in_doubt,
                f"a credential for {app.app} was made, by a call of this onboarding or by one of another onboarding of"
                " the customer with other values, and Alloy does not tell which",
            )
        return found

    request = f"POST /headless/credentials {record.alloy_user_id} {app.app} {record.auth_digest}"
    return await carry_out(attempt, Change(request, call, look_up, Again.doubles))


async def _begin(attempt: Attempt) -> dict[str, str]:
    snapshot = await _take_snapshot(attempt)
    await attempt.take_turn(turns_to_take(attempt.record))
    return snapshot


async def _take_snapshot(attempt: Attempt) -> dict[str, str]:
    """Return which credentials the user has by now; ask once whether somebody from before us is installed already.

    If so that is remembered: from then on Alloy's view of the integration says nothing about our own installation.
    """
    record, alloy = attempt.record, attempt.resources.alloy
    credentials = await alloy.list_credentials(_user(record))
    snapshot = {one.credential_id: _time_text(one.updated_at) for one in credentials}
    was_there = record.adopted or has_credentials_of_before_us(record, snapshot)
    if was_there and not record.was_installed and await _is_installed(attempt):
        attempt.remember(was_installed=True)  # together with the hold that asks, or nobody might be asked
        raise Rejected(
            Reason.already_installed, "the user was at Alloy before us, and the integration is installed for them"
        )
    return snapshot


async def _is_installed(attempt: Attempt) -> bool:
    record = attempt.record
    if record.integration_id is None:
        return False
    view = await attempt.resources.alloy.get_integration(record.integration_id, _user(record))
    return view is not None and view.installed


async def _look_for_granted(attempt: Attempt, app: AppEntry) -> Evidence | None:
    record = attempt.record
    credentials = await attempt.resources.alloy.list_credentials(_user(record))
    found = granted(
        credentials,
        app.app,
        snapshot=record.snapshot or {},
        taken={one for sibling in record.siblings for one in (sibling.credential_id, *sibling.strays)},
    )
    if not found:
        return None
    others = ", ".join(one.credential_id for one in found[1:])
    note = f"several credentials were granted; the newest is used, not {others}" if others else ""
    return Evidence({"credential_id": found[0].credential_id}, note)


def granted(
    credentials: Sequence[Credential], app: str, *, snapshot: dict[str, str], taken: set[str | None]
) -> list[Credential]:
    """Return the credentials of ``app`` that are new or renewed since ``snapshot`` and nobody else's, newest first.

    ``snapshot`` maps ids to ISO times (empty if Alloy gave none); ``taken`` are the ids of other onboardings.
    """
    since = [
        one
        for one in credentials
        if one.credential_id not in taken
        and _is_of(one.type, app)
        and (one.credential_id not in snapshot or _later(one.updated_at, snapshot[one.credential_id]))
    ]
    return sorted(since, key=lambda one: _time_text(one.updated_at or one.created_at), reverse=True)


def _is_of(credential_type: str, app: str) -> bool:
    """A credential's type is the app's name, give or take its kind: ``hubspot-oauth2`` (contract, 4.11)."""
    return not credential_type or bool(
        re.fullmatch(re.escape(app) + r"([-_ ]?(oauth2?|api))?", credential_type, flags=re.IGNORECASE)
    )


def _later(updated_at: datetime | None, before: str) -> bool:
    return updated_at is not None and before != "" and updated_at > datetime.fromisoformat(before)


def _time_text(time: datetime | None) -> str:
    return time.isoformat() if time else ""


def _values(attempt: Attempt, app: AppEntry) -> dict[str, SecretStr]:
    absent = [name for name in app.properties if name not in attempt.record.auth_names]
    if absent:
        raise Rejected(Reason.missing_auth, f"{app.app} needs {', '.join(f'auth.{name}' for name in absent)}")
    vault = attempt.resources.vault
    try:
        return {
            name: resolve_reference(vault.open_value(sealed).get_secret_value())
            for name, sealed in attempt.record.sealed.items()
        }
    except SealedValueLost as lost:
        raise Rejected(
            Reason.sealed_value_lost, "the sealed auth values cannot be opened with ONBOARD_SECRET_KEY"
        ) from lost
    except UnresolvedReference as missing:
        raise Rejected(Reason.missing_auth, str(missing)) from missing


def _user(record: Record) -> str:
    if record.alloy_user_id is None:
        raise RuntimeError("a created onboarding has no user id")
    return record.alloy_user_id
