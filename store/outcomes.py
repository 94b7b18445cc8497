"""What becomes of a record when its worker is done with it: it moves on, it is held, or it is given back as it was."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BindParameter, Connection, bindparam, case, delete, null, update

from states.holds import HoldKind, Reason
from states.machine import fire
from states.stage import Stage, Trigger
from states.transitions import BY_TRIGGER
from store.beginnings import set_columns
from store.fence import compare_and_set
from store.history import entry, remember
from store.journal import close_others, mark_absent
from store.models import AUTH_VALUE, CONSENT_LINK, CUSTOMER, ONBOARDING
from store.writes import Held, Moved, Released


@dataclass(slots=True)
class _Position:
    """A stage to fire on."""

    stage: Stage


def move(connection: Connection, writes: Sequence[Moved], worker: str, now: datetime) -> Sequence[None]:
    """Let records leave their stage, with the evidence that this needs."""
    by_trigger: dict[Trigger, list[Moved]] = defaultdict(list)
    for write in writes:
        by_trigger[write.trigger].append(write)
    for trigger, group in by_trigger.items():
        records = [write.record for write in group]
        for write in group:
            # On a copy: the transaction may yet be rolled back, and the record must then be what it was.
            fire(_Position(write.record.stage), trigger, **write.evidence)
        compare_and_set(connection, records, [_moved_columns(write, now) for write in group])
        _AFTER.get(trigger, _nothing_more)(connection, group, now)
    close_others(connection, [write.record.id for write in writes], now)
    remember(
        connection,
        [entry(write.record, now, worker, trigger=write.trigger, sentence=write.note) for write in writes],
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


# To build a statement anew costs more than to run it, and these are run with every group of answers.
_IDS: BindParameter[int] = bindparam("ids", expanding=True)
_KEEP_USER = (
    update(CUSTOMER)
    .where(CUSTOMER.c.id == bindparam("of_id"))
    .values(alloy_user_id=bindparam("user"), adopted=bindparam("was_there"))
)
_DELETE_VALUES = delete(AUTH_VALUE).where(AUTH_VALUE.c.onboarding_id.in_(_IDS))
_DELETE_LINKS = delete(CONSENT_LINK).where(CONSENT_LINK.c.onboarding_id.in_(_IDS))
_LET_OTHERS_LOOK = (
    update(ONBOARDING)
    .where(
        ONBOARDING.c.customer_id.in_(_IDS),
        ONBOARDING.c.stage == Stage.created,
        ONBOARDING.c.reason == Reason.awaiting_consent,
        ONBOARDING.c.lease_token.is_(None),
    )
    .values(due_at=bindparam("at", type_=ONBOARDING.c.due_at.type), version=ONBOARDING.c.version + 1)
)
_LOOK_ANEW = (
    update(ONBOARDING)
    .where(ONBOARDING.c.id.in_(_IDS), ONBOARDING.c.nudged)
    .values(
        nudged=False,
        due_at=case(
            (ONBOARDING.c.hold == HoldKind.cancelled, null()),
            else_=bindparam("at", type_=ONBOARDING.c.due_at.type),
        ),
    )
)


def _user_known(connection: Connection, writes: Sequence[Moved], now: datetime) -> None:
    del now
    connection.execute(
        _KEEP_USER,
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
    connection.execute(_DELETE_VALUES, {"ids": ids})
    connection.execute(_DELETE_LINKS, {"ids": ids})
    connection.execute(_LET_OTHERS_LOOK, {"ids": [write.record.customer_id for write in writes], "at": now})


def _nothing_more(connection: Connection, writes: Sequence[Moved], now: datetime) -> None:
    """Most triggers change the onboarding and nothing else."""


_AFTER: dict[Trigger, Callable[[Connection, Sequence[Moved], datetime], None]] = {
    Trigger.create_user: _user_known,
    Trigger.authenticate: _credential_known,
}


def hold(connection: Connection, writes: Sequence[Held], worker: str, now: datetime) -> Sequence[None]:
    """Let records stand still, or be due at once if somebody asked for another look meanwhile."""
    records = [write.record for write in writes]
    compare_and_set(
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
    set_columns(connection, writes)
    connection.execute(_LOOK_ANEW, {"ids": [record.id for record in records], "at": now})
    mark_absent(connection, [write.absent for write in writes if write.absent is not None], now)
    remember(
        connection,
        [
            entry(write.record, now, worker, hold=write.hold)
            for write in writes
            if write.hold.kind is HoldKind.retry
            or (write.hold.reason, write.hold.sentence) != (write.record.reason, write.record.sentence)
        ],
    )
    return [None] * len(writes)


def release(connection: Connection, writes: Sequence[Released], worker: str, now: datetime) -> Sequence[None]:
    """Give records back as they were: due as before, nobody blamed."""
    del worker, now
    for write in writes:
        compare_and_set(connection, [write.record], [{"stage": write.record.stage}])
    return [None] * len(writes)
