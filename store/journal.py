"""Intents: what we were about to do at Alloy, written before we did it, and how it ended.

An intent that is still open when its onboarding is claimed had an unknown outcome, and is looked up at Alloy before
the call is made again. Closing goes by the intent's id even when the lease is lost: the answer may be the only copy
of an id.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import JsonValue
from sqlalchemy import Connection, Exists, and_, bindparam, exists, insert, null, or_, select, update

from states.stage import Trigger
from states.transitions import TRANSITIONS
from store.closing import Closing
from store.models import INTENT, ONBOARDING


@dataclass(frozen=True, slots=True)
class NewIntent:
    """An intent to be written: whose, for which trigger, and until when its call may be under way."""

    onboarding_id: int
    trigger: Trigger
    digest: str
    settled_at: datetime


@dataclass(frozen=True, slots=True)
class Close:
    """How the intent ``id`` ended, and what Alloy gave."""

    id: int
    outcome: Closing
    evidence: dict[str, JsonValue] | None = None


_OF_EARLIER_CALLS = (Closing.found, Closing.absent, Closing.leftover)
"""The outcomes of calls that an earlier attempt made, perhaps in another hand."""

UNSETTLED = or_(INTENT.c.closed_at.is_(None), INTENT.c.outcome == Closing.late)
"""The condition on an intent whose onboarding will look up what it did, or use the answer that came late."""


def is_unsettled() -> Exists:
    """Return the condition on an onboarding that a call of its stage may have done already what is still to be done.

    Whoever claims it next adopts what the call did, so the values that it was sent with are in use until then.
    """
    of_its_stage = or_(
        *(and_(ONBOARDING.c.stage == one.source, INTENT.c.trigger == one.trigger) for one in TRANSITIONS)
    )
    return exists().where(INTENT.c.onboarding_id == ONBOARDING.c.id, of_its_stage, UNSETTLED)


@dataclass(frozen=True, slots=True)
class Unknown:
    """A call that was sent just now and has no known outcome: its intent, and until when it may be under way."""

    id: int
    settled_at: datetime


def open_intents(connection: Connection, intents: Sequence[NewIntent], now: datetime) -> list[int]:
    """Write ``intents``; return their ids in the same order.

    Those that the same call of this function has written already, in a commit that seemed to fail, are found again.
    """
    written = _written(connection, intents, now)
    new = [intent for intent in intents if intent.onboarding_id not in written]
    if new:
        rows = connection.execute(
            insert(INTENT).returning(INTENT.c.id, sort_by_parameter_order=True),
            [
                {
                    "onboarding_id": intent.onboarding_id,
                    "trigger": intent.trigger,
                    "digest": intent.digest,
                    "opened_at": now,
                    "settled_at": intent.settled_at,
                }
                for intent in new
            ],
        )
        written |= dict(zip((intent.onboarding_id for intent in new), rows.scalars(), strict=True))
    return [written[intent.onboarding_id] for intent in intents]


def _written(connection: Connection, intents: Sequence[NewIntent], now: datetime) -> dict[int, int]:
    """Return the ids of those of ``intents`` that are there, by onboarding; none has two that are open."""
    digests = {intent.onboarding_id: intent.digest for intent in intents}
    rows = connection.execute(_OPENED, {"onboarding_ids": list(digests), "at": now})
    return {row.onboarding_id: row.id for row in rows if row.digest == digests[row.onboarding_id]}


_OPENED = select(INTENT.c.id, INTENT.c.onboarding_id, INTENT.c.digest).where(
    INTENT.c.onboarding_id.in_(bindparam("onboarding_ids", expanding=True)),
    INTENT.c.closed_at.is_(None),
    INTENT.c.opened_at == bindparam("at"),
)


_CLOSE = (
    update(INTENT)
    .where(INTENT.c.id == bindparam("intent_id"), INTENT.c.closed_at.is_(None))
    .values(closed_at=bindparam("at"), outcome=bindparam("how"), evidence=bindparam("gave"))
)
_USE_LATE = (
    update(INTENT)
    .where(INTENT.c.id == bindparam("intent_id"), INTENT.c.outcome == Closing.late)
    .values(outcome=bindparam("how"))
)
_TURNED_UP = (
    update(INTENT)
    .where(
        INTENT.c.id == bindparam("intent_id"),
        INTENT.c.outcome == Closing.absent,
        INTENT.c.trigger == Trigger.authenticate,  # of users and completions Alloy itself has only one
    )
    .values(outcome=Closing.leftover, evidence=bindparam("gave"))
)
_REPORTED = (
    update(INTENT)
    .where(INTENT.c.id == bindparam("intent_id"), INTENT.c.reported_at.is_(None))
    .values(reported_at=bindparam("at"))
)
_DOUBTED = (
    update(INTENT)
    .where(INTENT.c.id == bindparam("intent_id"), INTENT.c.closed_at.is_(None))
    .values(absent_at=null(), settled_at=bindparam("until"))
)
_BELIEVED_TOO_SOON = (
    update(INTENT)
    .where(
        INTENT.c.id == bindparam("intent_id"),
        INTENT.c.outcome == Closing.absent,
        INTENT.c.trigger == Trigger.authenticate,
        or_(INTENT.c.reported_at.is_(None), INTENT.c.absent_at.is_(None)),
    )
    .values(outcome=Closing.leftover)
)
"""Its sender may be asleep with the call still to be sent, or has sent it since the looks in vain."""
_TOLD = (
    update(INTENT)
    .where(INTENT.c.id == bindparam("intent_id"), INTENT.c.outcome == Closing.leftover, INTENT.c.evidence.is_(None))
    .values(evidence=bindparam("gave"))
)
_PROLONG = (
    update(INTENT)
    .where(INTENT.c.id == bindparam("intent_id"), INTENT.c.closed_at.is_(None))
    .values(settled_at=bindparam("until"))
)
_CLOSE_OTHERS = (
    update(INTENT)
    .where(INTENT.c.onboarding_id.in_(bindparam("onboarding_ids", expanding=True)), INTENT.c.closed_at.is_(None))
    .values(closed_at=bindparam("at"), outcome=Closing.leftover)
)
_MARK_ABSENT = (
    update(INTENT)
    .where(INTENT.c.id == bindparam("intent_id"), INTENT.c.absent_at.is_(None))
    .values(absent_at=bindparam("at"))
)


def close_intents(connection: Connection, closes: Sequence[Close], now: datetime) -> None:
    """Close each intent once; one that was answered late and is used now keeps its evidence and its time.

    What a call did that was given up as absent, and was sent all the same by a worker that slept, is a leftover. Of a
    leftover the id may come yet, and perhaps nobody else knows it.
    """
    if not closes:
        return
    late = [{"intent_id": c.id, "gave": c.evidence} for c in closes if c.outcome is Closing.late]
    if late:
        connection.execute(_TURNED_UP, late)
        connection.execute(_TOLD, late)
    connection.execute(
        _CLOSE,
        [{"intent_id": c.id, "at": now, "how": c.outcome, "gave": c.evidence} for c in closes],
    )
    given_up = [{"intent_id": c.id} for c in closes if c.outcome is Closing.absent]
    if given_up:
        connection.execute(_BELIEVED_TOO_SOON, given_up)
    # Whoever got an answer or a refusal had opened the intent: nobody can have closed it as late before.
    adopted = [{"intent_id": c.id, "how": c.outcome} for c in closes if c.outcome in _OF_EARLIER_CALLS]
    if adopted:
        connection.execute(_USE_LATE, adopted)


def answered_late(connection: Connection, intent_ids: Sequence[int]) -> Collection[int]:
    """Return those of ``intent_ids`` whose answer came after all, and is not used yet."""
    return connection.scalars(
        select(INTENT.c.id).where(INTENT.c.id.in_(intent_ids), INTENT.c.outcome == Closing.late)
    ).all()


def report_unknown(connection: Connection, calls: Sequence[Unknown], now: datetime) -> None:
    """Note of calls that their senders are done with: no outcome is known, and none of them will be sent any more."""
    if calls:
        connection.execute(_REPORTED, [{"intent_id": call.id, "at": now} for call in calls])


def report_late(connection: Connection, calls: Sequence[Unknown], now: datetime) -> None:
    """The same of senders that slept: their effect is looked for anew, and what was given up may be there."""
    report_unknown(connection, calls, now)
    if calls:
        connection.execute(_DOUBTED, [{"intent_id": call.id, "until": call.settled_at} for call in calls])
        connection.execute(_TURNED_UP, [{"intent_id": call.id, "gave": None} for call in calls])


def prolong_intents(connection: Connection, until: Mapping[int, datetime]) -> None:
    """Note by intent until when its call may be under way, since it is sent later than was said."""
    connection.execute(_PROLONG, [{"intent_id": intent_id, "until": time} for intent_id, time in until.items()])


def mark_absent(connection: Connection, intent_ids: Sequence[int], now: datetime) -> None:
    """Note when the effect of each intent was first looked for in vain."""
    if intent_ids:
        connection.execute(_MARK_ABSENT, [{"intent_id": intent_id, "at": now} for intent_id in intent_ids])


def close_others(connection: Connection, onboarding_ids: Sequence[int], now: datetime) -> None:
    """Close what is still open of onboardings that have moved on without it, as suspected leftovers."""
    connection.execute(_CLOSE_OTHERS, {"onboarding_ids": list(onboarding_ids), "at": now})
