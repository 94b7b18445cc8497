"""Adds what is new in a list: customers, onboardings at the first stage, their sealed auth values."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ParamSpec, TypeVar

import stamina
from sqlalchemy import Connection, exists, or_, select, update
from sqlalchemy.exc import IntegrityError

from states.stage import Stage
from store.intake.taking import Asked, Taking, sealed_rows
from store.journal import is_unsettled
from store.lists.rows import CustomerRow
from store.many_rows import insert_many
from store.models import CUSTOMER, ONBOARDING, AuthValue, Customer, History, Onboarding
from store.vault import Vault

P = ParamSpec("P")
T = TypeVar("T")

_NO_SUCH_KEY = "23503"


def once_more_with_customers_who_are_there(work: Callable[P, T]) -> Callable[P, T]:
    """Carry ``work``, one transaction, out again if a customer was deleted between our look and what we add to them.

    Their row is not locked by the look: a worker has it in hand at every claim, and the intake waits for nobody.
    """
    return stamina.retry(on=_is_gone, attempts=10, timeout=None, wait_initial=0.02, wait_max=1)(work)


def _is_gone(error: Exception) -> bool:
    return isinstance(error, IntegrityError) and getattr(error.orig, "sqlstate", None) == _NO_SUCH_KEY


@dataclass(frozen=True, slots=True)
class Customers:
    """The customers of some rows: their ids, and the full names of those who were there before."""

    ids: dict[str, int]
    before: dict[str, str]


def add_customers(connection: Connection, rows: Sequence[CustomerRow], now: datetime) -> Customers:
    """Make sure that the customers of ``rows`` are there; a name that was blank so far is filled in."""
    full_names: dict[str, str] = {}
    for row in rows:
        full_names[row.username] = full_names.get(row.username) or row.full_name
    if not full_names:
        return Customers({}, {})
    # Looked for first: of a list that goes on where it was left, nearly all are there.
    ids, before = _present(connection, full_names, now)
    # Sorted, so that two processes that take in lists with the same customers wait for each other in one order only.
    absent = sorted(full_names.keys() - ids.keys())
    added = insert_many(
        connection,
        Customer,
        [{"username": username, "full_name": full_names[username]} for username in absent],
        same={"adopted": False, "created_at": now},
        returning=(CUSTOMER.c.username, CUSTOMER.c.id),
    )
    ids |= {row.username: row.id for row in added}
    if len(ids) < len(full_names):
        meanwhile = {username: full_names[username] for username in absent if username not in ids}
        added_elsewhere, named_elsewhere = _present(connection, meanwhile, now)
        ids |= added_elsewhere
        before |= named_elsewhere
    return Customers(ids, before)


def _present(
    connection: Connection, full_names: Mapping[str, str], now: datetime
) -> tuple[dict[str, int], dict[str, str]]:
    """Return the ids and the full names of those who are there, with names that were blank filled in."""
    ids: dict[str, int] = {}
    before: dict[str, str] = {}
    wanted = (CUSTOMER.c.username, CUSTOMER.c.id, CUSTOMER.c.full_name)
    for username, customer_id, full_name in connection.execute(
        select(*wanted).where(CUSTOMER.c.username.in_(sorted(full_names)))
    ).all():
        ids[username] = customer_id
        before[username] = full_name or full_names[username]
        if full_name != before[username]:
            _name(connection, customer_id, before[username], now)
    return ids, before


def _name(connection: Connection, customer_id: int, full_name: str, now: datetime) -> None:
    in_use = exists().where(
        ONBOARDING.c.customer_id == CUSTOMER.c.id,
        or_(ONBOARDING.c.lease_until > now, is_unsettled()),
    )
    free = (
        select(CUSTOMER.c.id)
        .where(CUSTOMER.c.id == customer_id, CUSTOMER.c.alloy_user_id.is_(None), ~in_use)
        .with_for_update(of=CUSTOMER, skip_locked=True)
    )
    connection.execute(update(CUSTOMER).where(CUSTOMER.c.id.in_(free)).values(full_name=full_name))


def add_onboardings(connection: Connection, asked: Sequence[Asked], customers: Customers, taking: Taking) -> None:
    """Add an onboarding for each of ``asked``, none of which may be there yet; another process's are let be."""
    by_key = {(customers.ids[one.row.username], one.key): one for one in asked}
    now = taking.around.now
    added = insert_many(
        connection,
        Onboarding,
        [_onboarding(by_key[key], key[0], taking.around.vault) for key in sorted(by_key)],
        same={
            "batch_id": taking.intake.batch_id,
            "stage": Stage.new,
            "stage_since": now,
            "due_at": taking.due_at,
            "attempts": 0,
            "nudged": False,
            "version": 0,
            "answered": [],
            "created_at": now,
        },
        returning=(ONBOARDING.c.id, ONBOARDING.c.customer_id, ONBOARDING.c.integration_key),
    )
    history: list[dict[str, object]] = []
    sealed: list[dict[str, object]] = []
    for onboarding_id, customer_id, key in added:
        row = by_key[customer_id, key].row
        sentence = f"{_origin(taking.source, row.line)}{_other_name(row, customers)}"
        history.append({"onboarding_id": onboarding_id, "sentence": sentence})
        sealed += sealed_rows(onboarding_id, _values(row), taking.around.vault)
    insert_many(connection, History, history, same={"at": now, "stage": Stage.new, "worker": ""})
    insert_many(connection, AuthValue, sealed, same={})
    taking.intake.added += len(added)
    taking.intake.unchanged += len(by_key) - len(added)


def _origin(source: str, line: int) -> str:
    return f"taken in from {source} line {line}" if source else "taken in by itself, without a list"


def _other_name(row: CustomerRow, customers: Customers) -> str:
    before = customers.before.get(row.username, row.full_name)
    return "; the full name differs from the one on record, which is kept" if row.full_name not in ("", before) else ""


def _values(row: CustomerRow) -> dict[str, str]:
    return {name: value.get_secret_value() for name, value in row.auth.items()}


def _onboarding(asked: Asked, customer_id: int, vault: Vault) -> dict[str, Any]:
    row = asked.row
    return {
        "customer_id": customer_id,
        "line": row.line,
        "columns": row.columns,
        "integration": row.integration,
        "integration_key": asked.key,
        "integration_id": asked.entry.integration_id if asked.entry is not None else None,
        "app": asked.app,
        "given": [answer.model_dump(mode="json") for answer in row.given],
        "auth_names": sorted(row.auth),
        "auth_digest": vault.fingerprint(_values(row)),
    }
