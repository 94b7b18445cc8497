"""Recording what workers did: the only writers of a stage.

Workers hand in groups of writes as their calls are sent and answers arrive; a group is one transaction. Each write is
fenced: the record must still be leased under the writer's token, the lease must not have run out, and for an outcome
the stage and version must be those that were claimed. A write that fails its fence changes nothing but the intent
that it carries the answer for; its writer is told so.

A record that was cancelled while it was leased stops at its next write: nothing more is begun, and an outcome is
recorded as it is, with the cancellation as its hold. One whose answers changed while its form was being filled in is
given back, so that whoever claims it next fills the form in with the new ones.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache

from sqlalchemy import Connection, Engine, Update, bindparam, case, delete, insert, null, select, update

from states.health import USUAL_BUDGET, FailureBudget
from states.holds import Hold, HoldKind, Reason
from states.machine import fire
from states.stage import Stage, Trigger
from states.transitions import BY_TRIGGER
from store.engine import writing
from store.health import note_outcomes
from store.journal import (
    Close,
    Closing,
    close_intents,
    close_others,
    mark_absent,
    open_intents,
    prolong_intents,
    suspect,
)
from store.models import AUTH_VALUE, CONSENT_LINK, CUSTOMER, HISTORY, ONBOARDING
from store.outages import outlasting_outages
from store.records import Record
from store.writes import Begin, Held, Issue, Learn, LeaseLost, Moved, Prolong, Released, Write


@dataclass(slots=True)
class _Position:
    """A stage to fire on."""

    stage: Stage


@dataclass(slots=True)
class _Fenced:
    """What the fence says of a group's writes, each by its place in the group."""

    ours: set[int]
    """Their records are still this worker's."""
    cancelled: dict[int, Hold]
    """Ours, and cancelled under way: the hold that this means."""
    nudged: set[int]
    """Ours, and something was asked for since they were claimed, such as another look at their answers."""

    def stopped(self, writes: Sequence[Write]) -> dict[int, str]:
        """Return the places of those of ours that are given back instead of written, and why."""
        begun = {place for place in self.cancelled if isinstance(writes[place], Begin | Prolong | Learn | Issue)}
        outdated = {place for place in self.nudged if _is_filled_in(writes[place])}
        return dict.fromkeys(begun, "was cancelled") | dict.fromkeys(outdated, "was answered while it was filled in")


@outlasting_outages
def record_group(
    engine: Engine, writes: Sequence[Write], *, worker: str, now: datetime, budget: FailureBudget = USUAL_BUDGET
) -> list[int | LeaseLost | None]:
    """Carry out ``writes`` in one transaction; return for each its new intent's id, None, or a :class:`LeaseLost`."""
    results: list[int | LeaseLost | None] = [None] * len(writes)
    with writing(engine) as connection:
        fenced = _fence(connection, writes, now)
        stopped = fenced.stopped(writes)
        ours = fenced.ours - stopped.keys()
        kept: dict[type, list[tuple[int, Write]]] = defaultdict(list)
        for place, write in enumerate(writes):
            if place in ours:
                kept[type(write)].append((place, _cancelling(write, fenced.cancelled.get(place))))
            else:
                why = stopped.get(place, "is no longer leased by this worker")
                results[place] = LeaseLost(f"onboarding {write.record.id} {why}")
        _release(connection, [Released(writes[place].record) for place in stopped], worker, now)
        _close(connection, writes, ours, now)
        for kind, apply in _APPLY.items():
            if kept[kind]:
                outcomes = apply(connection, [write for _, write in kept[kind]], worker, now)
                for (place, _), outcome in zip(kept[kind], outcomes, strict=True):
                    results[place] = outcome
        note_outcomes(connection, [write for group in kept.values() for _, write in group], now, budget)
    return results


def _is_filled_in(write: Write) -> bool:
    return isinstance(write, Moved) and write.trigger is Trigger.map_fields


def _fence(connection: Connection, writes: Sequence[Write], now: datetime) -> _Fenced:
    """Lock the records of ``writes``, and find out whose they are and what was asked for meanwhile."""
    rows = connection.execute(
        select(
            ONBOARDING.c.id,
            ONBOARDING.c.lease_token,
            ONBOARDING.c.stage,
            ONBOARDING.c.version,
            ONBOARDING.c.lease_until,
            ONBOARDING.c.hold,
            ONBOARDING.c.sentence,
            ONBOARDING.c.nudged,
        )
        .where(ONBOARDING.c.id.in_(_touched(writes)))
        .order_by(ONBOARDING.c.id)  # every writer locks in one order, so that no two can wait for each other
        .with_for_update()
    )
    held = {row.id: row for row in rows}
    ours = {
        place
        for place, write in enumerate(writes)
        if (row := held.get(write.record.id)) is not None
        and (row.lease_token, row.stage, row.version) == (write.record.token, write.record.stage, write.record.version)
        and row.lease_until > now
    }
    cancelled = {
        place: Hold(HoldKind.cancelled, Reason.cancelled, row.sentence, None)
        for place in ours
        if (row := held[writes[place].record.id]).hold is HoldKind.cancelled
    }
    return _Fenced(ours, cancelled, {place for place in ours if held[writes[place].record.id].nudged})


def _cancelling(write: Write, cancelled: Hold | None) -> Write:
    """Return what becomes of ``write`` if its record was cancelled under way: recorded, and no further from there."""
    if cancelled is None:
        return write
    match write:
        case Held():
            return replace(write, hold=cancelled)
        case Moved(trigger=Trigger.complete_installation):
            return replace(write, note=f"{write.note}; it was cancelled too late".removeprefix("; "))
        case Moved():
            return replace(write, then=cancelled)
        case _:
            return write


def _touched(writes: Sequence[Write]) -> set[int]:
    """The onboardings that ``writes`` change: their own, and those that wait for the same customer's consent."""
    ids = {write.record.id for write in writes}
    for write in writes:
        if isinstance(write, Moved) and write.trigger is Trigger.authenticate:
            ids.update(sibling.id for sibling in write.record.siblings)
    return ids


def _close(connection: Connection, writes: Sequence[Write], ours: set[int], now: datetime) -> None:
    closes = []
    for place, write in enumerate(writes):
        close = write.replaces if isinstance(write, Begin) else getattr(write, "closes", None)
        if close is None:
            continue
        if place in ours or close.outcome is Closing.nothing:
            closes.append(close)
        elif close.evidence is not None:
            closes.append(Close(close.id, Closing.late, close.evidence))
    close_intents(connection, closes, now)
    lost = [write for place, write in enumerate(writes) if place not in ours and isinstance(write, Held)]
    suspect(connection, [write.unknown for write in lost if write.unknown is not None])


def _begin(connection: Connection, writes: Sequence[Begin], worker: str, now: datetime) -> Sequence[int]:
    del worker
    _set_columns(connection, writes)
    return open_intents(connection, [write.intent for write in writes], now)


def _prolong(connection: Connection, writes: Sequence[Prolong], worker: str, now: datetime) -> Sequence[None]:
    del worker, now
    prolong_intents(connection, {write.intent_id: write.settled_at for write in writes})
    return [None] * len(writes)


# To build a statement anew costs more than to run it, and these are run with every answer that arrives.
@lru_cache
def _learn_statement(names: tuple[str, ...]) -> Update:
    return (
        update(ONBOARDING)
        .where(ONBOARDING.c.id == bindparam("of_id"))
        .values({name: bindparam(f"to_{name}") for name in names})
    )


@lru_cache
def _outcome_statement(names: tuple[str, ...]) -> Update:
    return _FENCED.values({name: bindparam(f"to_{name}") for name in names})


def _set_columns(connection: Connection, writes: Sequence[Begin | Learn]) -> None:
    by_columns: dict[tuple[str, ...], list[Begin | Learn]] = defaultdict(list)
    for write in writes:
        by_columns[tuple(write.values)].append(write)
    for names, group in by_columns.items():
        if names:
            connection.execute(
                _learn_statement(names),
                [{"of_id": w.record.id, **{f"to_{name}": w.values[name] for name in names}} for w in group],
            )


def _learn(connection: Connection, writes: Sequence[Learn], worker: str, now: datetime) -> Sequence[None]:
    _set_columns(connection, writes)
    _remember(
        connection,
        [_history(write.record, now, worker, sentence=write.note) for write in writes if write.note],
    )
    return [None] * len(writes)


def _issue(connection: Connection, writes: Sequence[Issue], worker: str, now: datetime) -> Sequence[None]:
    ids = [write.record.id for write in writes]
    connection.execute(delete(CONSENT_LINK).where(CONSENT_LINK.c.onboarding_id.in_(ids)))
    connection.execute(
        insert(CONSENT_LINK),
        [{"onboarding_id": w.record.id, "sealed": w.sealed, "issued_at": now} for w in writes],
    )
    connection.execute(update(ONBOARDING).where(ONBOARDING.c.id.in_(ids)).values(link_issued_at=now))
    _remember(connection, [_history(w.record, now, worker, sentence="consent link issued") for w in writes])
    return [None] * len(writes)


_FENCED = (
    update(ONBOARDING)
    .where(
        ONBOARDING.c.id == bindparam("of_id"),
        ONBOARDING.c.stage == bindparam("of_stage"),
        ONBOARDING.c.lease_token == bindparam("of_token"),
        ONBOARDING.c.version == bindparam("of_version"),
    )
    .values(lease_token=null(), lease_owner=null(), lease_until=null(), version=ONBOARDING.c.version + 1)
)
"""The compare-and-set under every outcome."""


def _compare_and_set(connection: Connection, records: Sequence[Record], columns: Sequence[dict[str, object]]) -> None:
    values = [
        {
            "of_id": record.id,
            "of_stage": record.stage,
            "of_token": record.token,
            "of_version": record.version,
            **{f"to_{name}": value for name, value in new.items()},
        }
        for record, new in zip(records, columns, strict=True)
    ]
    changed = connection.execute(_outcome_statement(tuple(columns[0])), values).rowcount
    if changed != len(values):  # the rows are locked since the fence was checked: this cannot happen, so nothing may
        raise RuntimeError(f"{changed} of {len(values)} records could be written under their lock")


def _move(connection: Connection, writes: Sequence[Moved], worker: str, now: datetime) -> Sequence[None]:
    by_trigger: dict[Trigger, list[Moved]] = defaultdict(list)
    for write in writes:
        by_trigger[write.trigger].append(write)
    for trigger, group in by_trigger.items():
        records = [write.record for write in group]
        for write in group:
            # On a copy: the transaction may yet be rolled back, and the record must then be what it was.
            fire(_Position(write.record.stage), trigger, **write.evidence)
        _compare_and_set(connection, records, [_moved_columns(write, now) for write in group])
        _AFTER.get(trigger, _nothing_more)(connection, group, now)
    close_others(connection, [write.record.id for write in writes], now)
    _remember(
        connection,
        [_history(write.record, now, worker, trigger=write.trigger, sentence=write.note) for write in writes],
    )
    return [None] * len(writes)


def _moved_columns(write: Moved, now: datetime) -> dict[str, object]:
    transition = BY_TRIGGER[write.trigger]
    own = {name: value for name, value in write.evidence.items() if name in ONBOARDING.c}
    return {
        "stage": transition.dest,
        "stage_since": now,
        "hold": write.then.kind if write.then else None,
        "reason": write.then.reason if write.then else None,
        "sentence": write.then.sentence if write.then else None,
        "attempts": 0,
        "nudged": False,
        "due_at": None if write.then or transition.dest is Stage.completed else now,
        **own,
    }


def _user_known(connection: Connection, writes: Sequence[Moved], now: datetime) -> None:
    del now
    connection.execute(
        update(CUSTOMER)
        .where(CUSTOMER.c.id == bindparam("of_id"))
        .values(alloy_user_id=bindparam("user"), adopted=bindparam("was_there")),
        [
            {
                "of_id": write.record.customer_id,
                "user": write.evidence["alloy_user_id"],
                "was_there": write.evidence.get("adopted", False),
            }
            for write in writes
        ],
    )


def _credential_known(connection: Connection, writes: Sequence[Moved], now: datetime) -> None:
    """Delete what was needed to get it; let the customer's other onboardings look, which may have waited for it."""
    ids = [write.record.id for write in writes]
    connection.execute(delete(AUTH_VALUE).where(AUTH_VALUE.c.onboarding_id.in_(ids)))
    connection.execute(delete(CONSENT_LINK).where(CONSENT_LINK.c.onboarding_id.in_(ids)))
    connection.execute(
        update(ONBOARDING)
        .where(
            ONBOARDING.c.customer_id.in_([write.record.customer_id for write in writes]),
            ONBOARDING.c.stage == Stage.created,
            ONBOARDING.c.reason == Reason.awaiting_consent,
            ONBOARDING.c.lease_token.is_(None),
        )
        .values(due_at=now, version=ONBOARDING.c.version + 1)
    )


def _nothing_more(connection: Connection, writes: Sequence[Moved], now: datetime) -> None:
    """Most triggers change the onboarding and nothing else."""


_AFTER: dict[Trigger, Callable[[Connection, Sequence[Moved], datetime], None]] = {
    Trigger.create_user: _user_known,
    Trigger.authenticate: _credential_known,
}


def _hold(connection: Connection, writes: Sequence[Held], worker: str, now: datetime) -> Sequence[None]:
    nudged = ONBOARDING.c.nudged
    records = [write.record for write in writes]
    _compare_and_set(
        connection,
        records,
        [
            {
                "hold": write.hold.kind,
                "reason": write.hold.reason,
                "sentence": write.hold.sentence,
                "attempts": write.attempts,
                "due_at": None if write.hold.due_in is None else now + write.hold.due_in,
            }
            for write in writes
        ],
    )
    ids = [record.id for record in records]
    connection.execute(
        update(ONBOARDING)
        .where(ONBOARDING.c.id.in_(ids), nudged)
        .values(nudged=False, due_at=case((ONBOARDING.c.hold == HoldKind.cancelled, null()), else_=now))
    )
    mark_absent(connection, [write.absent for write in writes if write.absent is not None], now)
    _remember(
        connection,
        [
            _history(write.record, now, worker, hold=write.hold)
            for write in writes
            if write.hold.kind is HoldKind.retry
            or (write.hold.reason, write.hold.sentence) != (write.record.reason, write.record.sentence)
        ],
    )
    return [None] * len(writes)


def _release(connection: Connection, writes: Sequence[Released], worker: str, now: datetime) -> Sequence[None]:
    del worker, now
    for write in writes:
        _compare_and_set(connection, [write.record], [{"stage": write.record.stage}])
    return [None] * len(writes)


def _history(
    record: Record,
    now: datetime,
    worker: str,
    *,
    trigger: Trigger | None = None,
    hold: Hold | None = None,
    sentence: str = "",
) -> dict[str, object]:
    return {
        "onboarding_id": record.id,
        "at": now,
        "stage": BY_TRIGGER[trigger].dest if trigger else record.stage,
        "trigger": trigger,
        "hold": hold.kind if hold else None,
        "reason": hold.reason if hold else None,
        "sentence": hold.sentence if hold else sentence,
        "worker": worker,
    }


def _remember(connection: Connection, rows: Sequence[dict[str, object]]) -> None:
    if rows:
        connection.execute(insert(HISTORY), list(rows))


_APPLY: dict[type, Callable[..., Sequence[int | None]]] = {
    Begin: _begin,
    Prolong: _prolong,
    Learn: _learn,
    Issue: _issue,
    Moved: _move,
    Held: _hold,
    Released: _release,
}
"""In the order in which one group's writes are carried out."""
