"""Two onboardings of one customer on the same app: one consent for both, or one consent after the other.

With the same auth values they share the credential, so nobody consents twice. With different values their consents
cannot be told apart at Alloy (its links carry no state), so they take turns. One that stands still half-way (for an
operator, or cancelled) loses its turn to the next that begins: by its older snapshot it would take the other's consent.
"""

from collections.abc import Collection

from states.failures import Waiting
from states.holds import HoldKind, Reason
from states.stage import Stage
from store.records import Record, Sibling


def shared_credential(record: Record) -> str | None:
    """Return the credential to share, or None if this onboarding is to get its own now.

    Raises :class:`states.failures.Waiting` if another onboarding of the customer has its turn first.
    """
    rivals = [sibling for sibling in record.siblings if sibling.app == record.app]
    for rival in rivals:
        if rival.auth_digest == record.auth_digest and rival.credential_id is not None:
            return rival.credential_id
    if record.snapshot is not None:
        return None
    if any(_goes_first(rival, record) for rival in rivals):
        raise Waiting(Reason.awaiting_consent, f"another onboarding of this customer connects {record.app} first")
    return None


def turns_to_take(record: Record) -> list[int]:
    """Return the onboardings whose turn passes to ``record``, now that it begins and none goes first."""
    return [
        rival.id
        for rival in record.siblings
        if rival.app == record.app
        and rival.auth_digest != record.auth_digest
        and rival.stage is Stage.created
        and rival.begun
    ]


def may_be_anothers(record: Record) -> bool:
    """Tell whether a new credential may come of a call of another onboarding, whose outcome nobody knows."""
    return any(
        None in rival.strays
        for rival in record.siblings
        if rival.app == record.app and rival.auth_digest != record.auth_digest
    )


def has_credentials_of_before_us(record: Record, snapshot: Collection[str]) -> bool:
    """Tell whether the user has a credential in ``snapshot``, or had one when another onboarding began, of before us.

    One that another onboarding uses is ours, unless that onboarding saw it before: then it was there, and the consent
    has only renewed it.
    """
    ours = {sibling.credential_id for sibling in record.siblings if sibling.credential_id not in sibling.saw}
    seen = set(snapshot).union(*(sibling.saw for sibling in record.siblings))
    return not seen <= ours


def _goes_first(rival: Sibling, record: Record) -> bool:
    if rival.stage is not Stage.created or rival.hold in (HoldKind.operator, HoldKind.cancelled):
        return False
    return rival.begun or rival.id < record.id
