"""The fence: what a worker may still write of the records that it claimed, and the compare-and-set under every outcome.

A record is its worker's for as long as it is leased under the worker's token, the lease has not run out, and stage and
version are those that were claimed. The fence locks the records, so that nothing of this changes before the group is
written.

A record that was cancelled while it was leased stops at its next write: nothing more is begun, and an outcome is
recorded as it is, with the cancellation as its hold. One whose answers changed while its form was being filled in is
given back, so that whoever claims it next fills the form in with the new ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache

from sqlalchemy import Connection, Update, bindparam, null, select, update

from states.holds import Hold, HoldKind, Reason
from states.stage import Trigger
from store.models import ONBOARDING
from store.records import Record
from store.writes import Begin, Held, Issue, Learn, Moved, Prolong, TakeTurn, Write

_BEGINNINGS = (Begin, Prolong, Learn, TakeTurn, Issue)


@dataclass(slots=True)
class Fenced:
    """What the fence says of a group's writes, each by its place in the group."""

    ours: set[int]
    """Their records are still this worker's."""
    cancelled: dict[int, Hold]
    """Ours, and cancelled under way: the hold that this means."""
    nudged: set[int]
    """Ours, and something was asked for since they were claimed, such as another look at their answers."""

    def stopped(self, writes: Sequence[Write]) -> dict[int, str]:
        """Return the places of those of ours that are given back instead of written, and why."""
        begun = {place for place in self.cancelled if isinstance(writes[place], _BEGINNINGS)}
        outdated = {place for place in self.nudged if _is_filled_in(writes[place])}
        return dict.fromkeys(begun, "was cancelled") | dict.fromkeys(outdated, "was answered while it was filled in")


_LOCKED = (
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
    .where(ONBOARDING.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(ONBOARDING.c.id)  # every writer locks in one order, so that no two can wait for each other
    .with_for_update()
)


def fence(connection: Connection, writes: Sequence[Write], now: datetime) -> Fenced:
    """Lock the records of ``writes``, and find out whose they are and what was asked for meanwhile."""
    rows = connection.execute(_LOCKED, {"ids": list(_touched(writes))})
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
    return Fenced(ours, cancelled, {place for place in ours if held[writes[place].record.id].nudged})


def _is_filled_in(write: Write) -> bool:
    return isinstance(write, Moved) and write.trigger is Trigger.map_fields


def cancelling(write: Write, cancelled: Hold | None) -> Write:
    """Return what becomes of ``write`` if its record was cancelled under way: recorded, and no further from there."""
    if cancelled is None:
        return write
    match write:
        case Held():
            # What was found out with its hold is forgotten with it: who goes on after all is to be asked about it.
            return replace(write, hold=cancelled, values={})
        case Moved(trigger=Trigger.complete_installation):
            return replace(write, note=f"{write.note}; it was cancelled too late".removeprefix("; "))
        case Moved():
            return replace(write, then=cancelled)
        case _:
            return write


def _touched(writes: Sequence[Write]) -> set[int]:
    """The onboardings that ``writes`` change: their own, and others of the same customer that go by its consents."""
    ids = {write.record.id for write in writes}
    for write in writes:
        if isinstance(write, Moved) and write.trigger is Trigger.authenticate:
            ids.update(sibling.id for sibling in write.record.siblings)
        elif isinstance(write, TakeTurn):
            ids.update(write.others)
    return ids


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


# To build a statement anew costs more than to run it, and these are run with every answer that arrives.
@lru_cache
def _outcome_statement(names: tuple[str, ...]) -> Update:
    return _FENCED.values({name: bindparam(f"to_{name}") for name in names})


def compare_and_set(connection: Connection, records: Sequence[Record], columns: Sequence[dict[str, object]]) -> None:
    """Write ``columns`` to ``records`` and end their leases, if all is as it was when they were claimed."""
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
