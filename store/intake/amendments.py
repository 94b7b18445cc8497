"""Applies what rows change on onboardings that were there before.

Nothing is waited for while a lock is held: a record that somebody else has locked is refused as busy, since the lock
is a worker's, and two that wait for each other would both be thrown out by the database.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Select, delete, select, update
from sqlalchemy import insert as plain_insert

from store.intake.changes import Change, Known, TooLate, busy, decide
from store.intake.taking import Asked, Taking, sealed_rows
from store.journal import is_unsettled
from store.lists.rows import CustomerRow
from store.models import AUTH_VALUE, CONSENT_LINK, CUSTOMER, HISTORY, ONBOARDING
from store.quarantine import let_be_probed

_KNOWN = (
    ONBOARDING.c.id, ONBOARDING.c.batch_id, ONBOARDING.c.customer_id, CUSTOMER.c.username, CUSTOMER.c.full_name,
    CUSTOMER.c.alloy_user_id, ONBOARDING.c.integration, ONBOARDING.c.integration_key, ONBOARDING.c.integration_id,
    ONBOARDING.c.stage, ONBOARDING.c.hold, ONBOARDING.c.reason, ONBOARDING.c.lease_until, ONBOARDING.c.version,
    ONBOARDING.c.columns, ONBOARDING.c.given, ONBOARDING.c.answered, ONBOARDING.c.form, ONBOARDING.c.auth_names,
    ONBOARDING.c.auth_digest,
    is_unsettled(),
)  # fmt: skip
"""In the order of the fields of :class:`store.intake.changes.Known`."""


def read_known(connection: Connection, usernames: Sequence[str], *, lock: bool = False) -> dict[str, list[Known]]:
    """Return the onboardings of the customers ``usernames``; with ``lock`` only those that nobody has locked."""
    statement: Select[Any] = (
        select(*_KNOWN)
        .join(CUSTOMER, CUSTOMER.c.id == ONBOARDING.c.customer_id)
        .where(CUSTOMER.c.username.in_(set(usernames)))
        .order_by(ONBOARDING.c.id)
    )
    if lock:
        statement = statement.with_for_update(of=[ONBOARDING, CUSTOMER], skip_locked=True)
    found: dict[str, list[Known]] = {}
    for columns in connection.execute(statement).all():
        record = Known(*columns)
        found.setdefault(record.username, []).append(record)
    return found


def find(asked: Asked, known: Sequence[Known]) -> Known | None:
    """Return which of a customer's onboardings a row means, or corrects: one whose integration was not found."""
    for record in known:
        if asked.means(record):
            return record
    corrected = [record for record in known if asked.entry is not None and record.wants_correction()]
    return corrected[0] if len(corrected) == 1 else None


def changes(asked: Asked, record: Known, taking: Taking) -> bool:
    """Tell whether a row changes its record; count it as unchanged or refused if not."""
    return isinstance(_decide(asked, record, taking), Change)


def amend(connection: Connection, changed: Sequence[tuple[Asked, Known]], taking: Taking) -> None:
    """Apply rows to their records; each is decided again now that the record is locked."""
    if not changed:
        return
    locked = read_known(connection, [asked.row.username for asked, _ in changed], lock=True)
    now_known = {record.id: record for records in locked.values() for record in records}
    history: list[dict[str, Any]] = []
    for asked, seen in changed:
        record = now_known.get(seen.id)
        if record is None:
            taking.intake.too_late(asked.row, busy())
            continue
        change = _decide(asked, record, taking)
        if change is None:
            continue
        _apply(connection, record, change, asked.row, taking)
        taking.intake.updated += 1
        if change.what:
            sentence = f"{', '.join(change.what)} changed by {taking.source} line {asked.row.line}"
            history.append(taking.history(record.id, record.stage, sentence))
    if history:
        connection.execute(plain_insert(HISTORY), history)
        let_be_probed(connection, [row["onboarding_id"] for row in history], taking.around.now)


def sealed_of(connection: Connection, onboarding_id: int) -> dict[str, bytes]:
    """Return the sealed auth values of an onboarding."""
    rows = connection.execute(
        select(AUTH_VALUE.c.name, AUTH_VALUE.c.sealed).where(AUTH_VALUE.c.onboarding_id == onboarding_id)
    )
    return {row.name: row.sealed for row in rows}


def _decide(asked: Asked, record: Known, taking: Taking) -> Change | None:
    try:
        change = decide(record, asked.row, asked.entry, asked.app, taking.around)
    except TooLate as late:
        taking.intake.too_late(asked.row, late)
        return None
    if change is None:
        taking.intake.unchanged += 1
    return change


def _apply(connection: Connection, record: Known, change: Change, row: CustomerRow, taking: Taking) -> None:
    values = {**change.values, "line": row.line}
    connection.execute(update(ONBOARDING).where(ONBOARDING.c.id == record.id).values(values))
    if change.full_name is not None:
        connection.execute(
            update(CUSTOMER).where(CUSTOMER.c.id == record.customer_id).values(full_name=change.full_name)
        )
    if change.auth:
        connection.execute(
            delete(AUTH_VALUE).where(AUTH_VALUE.c.onboarding_id == record.id, AUTH_VALUE.c.name.in_(change.auth))
        )
        connection.execute(plain_insert(AUTH_VALUE), sealed_rows(record.id, change.auth, taking.around.vault))
        # A link that was issued for other values leads to another account.
        connection.execute(delete(CONSENT_LINK).where(CONSENT_LINK.c.onboarding_id == record.id))
