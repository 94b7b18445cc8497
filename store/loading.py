"""Loads the records of a claimed page in a handful of statements, however many they are."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from sqlalchemy import BindParameter, Connection, Select, bindparam, or_, select

from states.stage import Stage, Trigger
from states.transitions import BY_SOURCE
from store.closing import Closing
from store.journal import UNSETTLED
from store.models import AUTH_VALUE, BATCH, CUSTOMER, INTENT, ONBOARDING
from store.records import OpenIntent, Record, Sibling

_COLUMNS = (
    ONBOARDING.c.id, ONBOARDING.c.version, ONBOARDING.c.lease_token, ONBOARDING.c.stage, ONBOARDING.c.batch_id,
    ONBOARDING.c.customer_id, CUSTOMER.c.username, CUSTOMER.c.full_name, CUSTOMER.c.alloy_user_id, CUSTOMER.c.adopted,
    ONBOARDING.c.integration, ONBOARDING.c.integration_key, ONBOARDING.c.integration_id, ONBOARDING.c.app,
    ONBOARDING.c.hold, ONBOARDING.c.reason, ONBOARDING.c.sentence, ONBOARDING.c.attempts, ONBOARDING.c.stage_since,
    ONBOARDING.c.auth_digest, ONBOARDING.c.link_issued_at, ONBOARDING.c.credential_id, ONBOARDING.c.installation_id,
    ONBOARDING.c.was_installed,
)  # fmt: skip
"""In the order of the first fields of :class:`store.records.Record`."""

# Reading JSON costs more than all other columns together, and each stage's step needs little of it.
_JSON_NEEDED: dict[Stage, tuple[str, ...]] = {
    Stage.created: ("auth_names", "snapshot"),
    Stage.installing: ("columns", "given", "answered", "form"),
    Stage.mapped: ("answers",),
}
_SEE_SIBLINGS = frozenset({Stage.created, Stage.authed})


def load_records(connection: Connection, ids: Sequence[int], stage: Stage) -> list[Record]:
    """Return the onboardings ``ids``, all of which stand at ``stage``, in the order of their ids."""
    needed = _JSON_NEEDED.get(stage, ())
    rows = connection.execute(_records_statement(needed), {"ids": list(ids)})
    plain = len(_COLUMNS)
    records = []
    for row in rows:
        columns = tuple(row)
        records.append(Record(*columns[:plain], **dict(zip(needed, columns[plain:], strict=True))))
    _add_intents(connection, records, stage)
    if stage in _SEE_SIBLINGS:
        _add_siblings(connection, records)
    if stage is Stage.created:
        _add_sealed(connection, records)
    if stage is Stage.installing:
        _add_templates(connection, records)
    return records


@lru_cache
def _records_statement(json_columns: tuple[str, ...]) -> Select[Any]:
    return (
        select(*_COLUMNS, *(ONBOARDING.c[name] for name in json_columns))
        .join(CUSTOMER, CUSTOMER.c.id == ONBOARDING.c.customer_id)
        .where(ONBOARDING.c.id.in_(bindparam("ids", expanding=True)))
        .order_by(ONBOARDING.c.id)
    )


# To build a statement anew costs more than to run it.
_IDS: BindParameter[int] = bindparam("ids", expanding=True)
_INTENTS = (
    select(
        INTENT.c.onboarding_id, INTENT.c.id, INTENT.c.trigger, INTENT.c.opened_at,
        INTENT.c.settled_at, INTENT.c.absent_at, INTENT.c.evidence,
    )
    .where(INTENT.c.onboarding_id.in_(_IDS), INTENT.c.trigger == bindparam("of_trigger"), UNSETTLED)
    .order_by(INTENT.c.id)
)  # fmt: skip
_SIBLINGS = (
    select(
        ONBOARDING.c.customer_id, ONBOARDING.c.id, ONBOARDING.c.integration_key, ONBOARDING.c.integration_id,
        ONBOARDING.c.app, ONBOARDING.c.auth_digest, ONBOARDING.c.stage, ONBOARDING.c.hold,
        ONBOARDING.c.snapshot.is_not(None), ONBOARDING.c.credential_id, ONBOARDING.c.installation_id,
    )
    .where(ONBOARDING.c.customer_id.in_(_IDS))
    .order_by(ONBOARDING.c.id)
)  # fmt: skip
_STRAYS = select(INTENT.c.onboarding_id, INTENT.c.evidence).where(
    INTENT.c.onboarding_id.in_(_IDS),
    INTENT.c.trigger == Trigger.authenticate,
    or_(INTENT.c.closed_at.is_(None), INTENT.c.outcome.in_((Closing.late, Closing.leftover))),
)
_SNAPSHOTS = select(ONBOARDING.c.id, ONBOARDING.c.snapshot).where(
    ONBOARDING.c.id.in_(_IDS), ONBOARDING.c.snapshot.is_not(None)
)
_SEALED = select(AUTH_VALUE.c.onboarding_id, AUTH_VALUE.c.name, AUTH_VALUE.c.sealed).where(
    AUTH_VALUE.c.onboarding_id.in_(_IDS)
)
_TEMPLATES = select(BATCH.c.id, BATCH.c.templates).where(BATCH.c.id.in_(_IDS))


def _add_intents(connection: Connection, records: Sequence[Record], stage: Stage) -> None:
    of = {record.id: record for record in records}
    rows = connection.execute(_INTENTS, {"ids": list(of), "of_trigger": BY_SOURCE[stage].trigger})
    for onboarding_id, *columns in rows:
        record, intent = of[onboarding_id], OpenIntent(*columns)
        if record.intent is None or intent.evidence is not None:  # an answer at hand beats a question still open
            record.intent = intent


def _add_siblings(connection: Connection, records: Sequence[Record]) -> None:
    rows = connection.execute(_SIBLINGS, {"ids": [record.customer_id for record in records]}).all()
    if len(rows) == len(records):  # most customers have one onboarding
        return
    ids = [row.id for row in rows]
    strays, snapshots = _strays(connection, ids), _snapshots(connection, ids)
    siblings: dict[int, list[Sibling]] = defaultdict(list)
    for customer_id, *columns in rows:
        sibling = Sibling(*columns)
        siblings[customer_id].append(
            replace(sibling, strays=strays.get(sibling.id, ()), saw=snapshots.get(sibling.id, ()))
        )
    for record in records:
        record.siblings = [sibling for sibling in siblings[record.customer_id] if sibling.id != record.id]


def _strays(connection: Connection, ids: Sequence[int]) -> dict[int, list[str | None]]:
    strays: dict[int, list[str | None]] = defaultdict(list)
    for onboarding_id, evidence in connection.execute(_STRAYS, {"ids": ids}):
        strays[onboarding_id].append((evidence or {}).get("credential_id"))
    return strays


def _snapshots(connection: Connection, ids: Sequence[int]) -> dict[int, Collection[str]]:
    return {row.id: frozenset(row.snapshot or ()) for row in connection.execute(_SNAPSHOTS, {"ids": ids})}


def _add_sealed(connection: Connection, records: Sequence[Record]) -> None:
    of = {record.id: record for record in records}
    rows = connection.execute(_SEALED, {"ids": list(of)})
    for onboarding_id, name, sealed in rows:
        of[onboarding_id].sealed[name] = sealed


def _add_templates(connection: Connection, records: Sequence[Record]) -> None:
    rows = connection.execute(_TEMPLATES, {"ids": list({record.batch_id for record in records})})
    of_batch = {row.id: row.templates for row in rows}
    for record in records:
        record.templates = of_batch[record.batch_id]
