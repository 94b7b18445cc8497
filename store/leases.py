"""Claiming due onboardings, page by page, and keeping them while they are worked on.

One statement flips the lease of a page; what it returns is exactly what this worker owns. A customer is never in two
hands: the claim first locks the customers (PostgreSQL skips those that another claim holds; on SQLite the whole claim
is one serialised transaction) and takes none of whom another onboarding is leased. A lease that ran out is claimed
like anything else that is due, which is all there is to resuming. What is held back (:mod:`store.gates`) is due, and
is not handed out.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import uuid4

from sqlalchemy import ColumnElement, Connection, Engine, Integer, Select, bindparam, exists, func, or_, select, update

from states.holds import Reason
from states.stage import Stage
from states.transitions import LATEST_FIRST
from store.engine import reading, writing
from store.gates import Candidate, Gates
from store.loading import load_records
from store.models import CUSTOMER, ONBOARDING
from store.outages import attempts, outlasting_outages
from store.quarantine import INTEGRATION
from store.records import Page, Scope

_NOW = bindparam("now", type_=ONBOARDING.c.due_at.type)


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is left to do: when the next record falls due, and how many are in somebody's hands until when."""

    next_due_at: datetime | None
    leased: int
    """Only those that can be claimed as soon as their lease ends: whoever waits for that must not wait in vain."""
    leased_until: datetime | None


def claim(
    engine: Engine, scope: Scope, *, worker: str, limit: int, size: int = 1, lease: timedelta, now: datetime
) -> Page | None:
    """Lease up to ``limit`` due onboardings of one stage; None if nothing in ``scope`` is due.

    It is the latest stage that has enough of them to fill half a page of ``size``, or else the one that has most: what
    was begun is finished before more is begun, but a page that was meant to be large is not spent on a straggler. A
    stage with records that a dead worker held comes before all others: they have waited for as long as a lease.
    """
    token = uuid4().hex
    for attempt in attempts():
        with attempt:
            if attempt.num > 1:
                release(engine, [token])  # what was claimed by a commit that only seemed to fail
            with writing(engine) as connection:
                gates = Gates.at(connection, now)
                stage, ids = _choose(connection, scope, limit, size, now, gates)
                taken = _take(connection, ids, token, worker, lease, now) if ids else []
                gates.keep(taken)
                return Page(token, stage, load_records(connection, taken, stage)) if taken else None
    raise AssertionError("attempts end with a result or an error")


def _choose(
    connection: Connection, scope: Scope, limit: int, size: int, now: datetime, gates: Gates
) -> tuple[Stage, list[int]]:
    fullest: tuple[Stage, list[int]] = (LATEST_FIRST[0], [])
    for stage in _left_behind(connection, scope, now):
        if ids := _due(connection, scope, stage, limit, now, gates):
            return stage, ids
    for stage in LATEST_FIRST:
        ids = _due(connection, scope, stage, limit, now, gates)
        if 2 * len(ids) >= size:
            return stage, ids
        if len(ids) > len(fullest[1]):
            fullest = stage, ids
    return fullest


def _left_behind(connection: Connection, scope: Scope, now: datetime) -> list[Stage]:
    """Return the stages in which leases ran out, the fullest first."""
    found = connection.execute(_left_behind_statement(*_kind_of(scope)), {"now": now, **_named(scope)})
    return [stage for stage, _ in Counter(sorted(found.scalars())).most_common()]


@lru_cache
def _left_behind_statement(*kind: bool) -> Select[Any]:
    # Counted by whoever asks: SQLite would group by reading an index of all that is due.
    return select(ONBOARDING.c.stage).where(
        ONBOARDING.c.lease_token.is_not(None),
        ONBOARDING.c.lease_until <= _NOW,
        ONBOARDING.c.due_at <= _NOW,
        *_within_leased(*kind),
    )


@outlasting_outages
def renew(engine: Engine, tokens: Sequence[str], *, lease: timedelta, now: datetime) -> int:
    """Prolong the leases under ``tokens`` that have not run out; return how many records they still hold."""
    with writing(engine) as connection:
        held = _lock(connection, tokens)
        result = connection.execute(
            update(ONBOARDING)
            .where(ONBOARDING.c.id.in_(held), ONBOARDING.c.lease_until > now)
            .values(lease_until=now + lease)
        )
    return result.rowcount


@outlasting_outages
def release(engine: Engine, tokens: Sequence[str]) -> None:
    """Give back whatever is still held under ``tokens``, as it was: due as before, nobody blamed."""
    with writing(engine) as connection:
        connection.execute(
            update(ONBOARDING)
            .where(ONBOARDING.c.id.in_(_lock(connection, tokens)))
            .values(lease_token=None, lease_owner=None, lease_until=None, version=ONBOARDING.c.version + 1)
        )


def _lock(connection: Connection, tokens: Sequence[str]) -> list[int]:
    """Lock what is held under ``tokens``, in the order of ids as every writer does: so that none waits in a circle."""
    rows = connection.execute(
        select(ONBOARDING.c.id).where(ONBOARDING.c.lease_token.in_(tokens)).order_by(ONBOARDING.c.id).with_for_update()
    )
    return list(rows.scalars())


@outlasting_outages
def outlook(engine: Engine, scope: Scope) -> Outlook:
    """Tell when something in ``scope`` falls due next, and what is leased at this moment."""
    kind, named = _kind_of(scope), _named(scope)
    with reading(engine) as connection:
        dues = [connection.scalar(_next_due_statement(*kind), {"at_stage": stage, **named}) for stage in LATEST_FIRST]
        leased, until = connection.execute(_leased_statement(*kind), named).one()
    return Outlook(min((due for due in dues if due is not None), default=None), leased, until)


@lru_cache
def _next_due_statement(*kind: bool) -> Select[Any]:
    return select(func.min(ONBOARDING.c.due_at)).where(
        ONBOARDING.c.stage == bindparam("at_stage"),
        ONBOARDING.c.due_at.is_not(None),
        or_(ONBOARDING.c.lease_token.is_(None), ONBOARDING.c.due_at > ONBOARDING.c.lease_until),
        *_within(*kind),
    )


@lru_cache
def _leased_statement(*kind: bool) -> Select[Any]:
    return select(func.count(), func.max(ONBOARDING.c.lease_until)).where(
        ONBOARDING.c.lease_token.is_not(None),
        # Without a due time it was cancelled meanwhile: nobody claims it, even if its worker died.
        ONBOARDING.c.due_at <= ONBOARDING.c.lease_until,
        *_within_leased(*kind),
    )


@outlasting_outages
def count_due(engine: Engine, scope: Scope, most: int) -> int:
    """Return how many onboardings in ``scope`` fall due by themselves, now or later; not counted beyond ``most``."""
    within = _within(*_kind_of(scope))
    some = select(ONBOARDING.c.id).where(ONBOARDING.c.due_at.is_not(None), *within).limit(most).subquery()
    with reading(engine) as connection:
        return connection.scalar(select(func.count()).select_from(some), _named(scope)) or 0


@outlasting_outages
def count_awaited_consents(engine: Engine) -> int:
    """Return how many consents are looked for again and again, in all batches."""
    with reading(engine) as connection:
        return (
            connection.scalar(
                select(func.count())
                .select_from(ONBOARDING)
                .where(
                    ONBOARDING.c.stage == Stage.created,
                    ONBOARDING.c.due_at.is_not(None),
                    ONBOARDING.c.reason == Reason.awaiting_consent,
                )
            )
            or 0
        )


# Claiming and looking ahead are the busiest statements there are; to build one anew would cost more than to run it. So
# each is built once for each kind of scope, which names its batch or its customer when it is run.
def _kind_of(scope: Scope) -> tuple[bool, bool]:
    return scope.batch_id is not None, scope.customer_id is not None


def _named(scope: Scope) -> dict[str, int | None]:
    return {"of_batch": scope.batch_id, "of_customer": scope.customer_id}


def _within(of_batch: bool, of_customer: bool) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if of_batch:
        conditions.append(ONBOARDING.c.batch_id == bindparam("of_batch"))
    if of_customer:
        conditions.append(ONBOARDING.c.customer_id == bindparam("of_customer"))
    return conditions


def _within_leased(of_batch: bool, of_customer: bool) -> list[ColumnElement[bool]]:
    """The same of what is leased: leases are few, and an index of the batch would be read as a whole."""
    conditions: list[ColumnElement[bool]] = []
    if of_batch:
        conditions.append(ONBOARDING.c.batch_id + 0 == bindparam("of_batch"))
    if of_customer:
        conditions.append(ONBOARDING.c.customer_id + 0 == bindparam("of_customer"))
    return conditions


_OTHER = ONBOARDING.alias()
_FREE = (
    ONBOARDING.c.due_at <= _NOW,
    or_(ONBOARDING.c.lease_until.is_(None), ONBOARDING.c.lease_until <= _NOW),
    ~exists().where(
        _OTHER.c.customer_id == ONBOARDING.c.customer_id,
        _OTHER.c.id != ONBOARDING.c.id,
        _OTHER.c.lease_until > _NOW,
    ),
)
"""Due, and neither it nor another onboarding of its customer in anybody's hands."""


@lru_cache
def _due_statement(*kind: bool) -> Select[Any]:
    statement = select(ONBOARDING.c.id, ONBOARDING.c.customer_id, ONBOARDING.c.batch_id, INTEGRATION).join(
        CUSTOMER, CUSTOMER.c.id == ONBOARDING.c.customer_id
    )
    return (
        statement.where(ONBOARDING.c.stage == bindparam("at_stage"), *_FREE, *_within(*kind))
        .order_by(ONBOARDING.c.due_at, ONBOARDING.c.id)
        .limit(bindparam("most", type_=Integer))
        # Onboardings too: a worker that was stopped in the middle of a transaction would hold up everybody's claims.
        .with_for_update(of=[CUSTOMER, ONBOARDING], skip_locked=True)
    )


_TAKE = (
    update(ONBOARDING)
    .where(ONBOARDING.c.id.in_(bindparam("ids", expanding=True)), *_FREE)
    .values(
        lease_token=bindparam("token"),
        lease_owner=bindparam("worker"),
        lease_until=bindparam("until"),
        nudged=False,  # whoever claims it sees all that was asked for so far
        version=ONBOARDING.c.version + 1,
    )
    .returning(ONBOARDING.c.id)
)
# Asks again what the look asked, with the customers locked by now: in between another claim may have taken a sibling.


def _due(connection: Connection, scope: Scope, stage: Stage, limit: int, now: datetime, gates: Gates) -> list[int]:
    statement = _due_statement(*_kind_of(scope))

    def look(most: int) -> list[Candidate]:
        found = connection.execute(statement, {"at_stage": stage, "now": now, "most": most, **_named(scope)})
        return [Candidate(*row) for row in found]

    first_of_customer: dict[int, int] = {}
    for one in gates.let_through(stage, look, limit):
        first_of_customer.setdefault(one.customer_id, one.id)
    return list(first_of_customer.values())


def _take(
    connection: Connection, ids: Sequence[int], token: str, worker: str, lease: timedelta, now: datetime
) -> list[int]:
    taken = connection.execute(
        _TAKE, {"ids": list(ids), "now": now, "token": token, "worker": worker, "until": now + lease}
    )
    return sorted(taken.scalars())
