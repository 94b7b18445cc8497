"""The rule that keeps us safe: intent, call, evidence; and look before calling again.

An intent that is open when a record is claimed had an unknown outcome. Its effect is looked up first, adopted if it is
there, and only if it is not there is the call made again. Lists lag, so "not there" counts when it was seen twice, some
seconds apart, later than the call could still be under way; unless calling again can double nothing.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from hashlib import sha256

from pydantic import JsonValue, TypeAdapter

from flows.alloy.permit import Permit
from flows.steps.attempt import Attempt, Evidence
from states.failures import Effect, Failure, Halted, Rejected, Transient
from states.holds import LOOK_AFTER_UNKNOWN, Reason
from states.transitions import BY_SOURCE
from store.closing import Closing
from store.journal import Close, NewIntent, Unknown
from store.records import OpenIntent
from store.writes import Begin, LeaseLost, Prolong

_EVIDENCE: TypeAdapter[dict[str, object]] = TypeAdapter(dict[str, object])

BETWEEN_LOOKS = timedelta(seconds=3)
"""How far apart two looks in vain must be before "not there" is believed."""


class Again(Enum):
    """What calling a second time can do."""

    harmless = auto()
    """Nothing: Alloy itself keeps the effect single (a username is unique, an installation is completed once)."""
    doubles = auto()
    """A second effect that would live: only when the first is certainly not there."""
    leaves_leftover = auto()
    """A second effect of which only one will live: as above where Alloy can be asked, and allowed where it cannot."""


@dataclass(frozen=True, slots=True)
class Change:
    """A call that changes something at Alloy, and how to find out whether an earlier one did."""

    request: str
    """The request without its secrets; its digest goes into the intent."""
    call: Callable[[], Awaitable[Evidence]]
    look_up: Callable[[], Awaitable[Evidence | None]]
    again: Again
    can_look: Callable[[], bool] = lambda: True
    """Asked after a look in vain: whether Alloy has anything to look into at all."""


async def carry_out(attempt: Attempt, change: Change) -> Evidence:
    """Make sure that ``change`` has happened, once; return the evidence.

    Raises one of the four failures, or :class:`store.writes.LeaseLost`.
    """
    earlier = attempt.record.intent
    if earlier is not None:
        found = await _find(attempt, earlier, change)
        if found is not None:
            return found
    return await _call(attempt, change, earlier)


async def _find(attempt: Attempt, earlier: OpenIntent, change: Change) -> Evidence | None:
    if earlier.evidence is not None:  # answered, but too late for whoever had sent it
        attempt.closes = Close(earlier.id, Closing.found, earlier.evidence)
        return Evidence(earlier.evidence, "an answer that came late was used")
    found = await change.look_up()
    if found is not None:
        attempt.closes = Close(earlier.id, Closing.found, plain(found))
        return Evidence(found.values, found.note or "found at Alloy after an unknown outcome")
    if change.again is Again.doubles or (change.again is Again.leaves_leftover and change.can_look()):
        _believe_absence(attempt, earlier)
    return None


def _believe_absence(attempt: Attempt, earlier: OpenIntent) -> None:
    """Return if "not there" may be believed by now; otherwise raise ``Transient`` with the time of the next look."""
    now = attempt.resources.clock.now()
    if now < earlier.settled_at:
        raise _look_again("the call may still be under way", earlier.settled_at - now)
    if earlier.absent_at is None:
        attempt.absent = earlier.id
        raise _look_again("its effect is not to be seen yet", BETWEEN_LOOKS)
    if now - earlier.absent_at < BETWEEN_LOOKS:
        raise _look_again("its effect is not to be seen yet", BETWEEN_LOOKS - (now - earlier.absent_at))


def _look_again(why: str, wait: timedelta) -> Transient:
    return Transient(
        Reason.unknown_outcome,
        f"the outcome of the call is unknown and {why}",
        effect=Effect.unknown,
        retry_after=max(wait, LOOK_AFTER_UNKNOWN),
    )


async def _call(attempt: Attempt, change: Change, earlier: OpenIntent | None) -> Evidence:
    async with attempt.resources.alloy.permit() as permit:
        intent_id = await _intend(attempt, change, earlier, permit)
        try:
            evidence = await change.call()
        except LeaseLost:  # raised only while a call asks whether it may still be sent, so nothing was sent
            attempt.closes = Close(intent_id, Closing.nothing)
            raise
        except Failure as failure:
            note_failure(attempt, intent_id, failure)
            raise
        attempt.closes = Close(intent_id, Closing.answered, plain(evidence))
        return evidence


def note_failure(attempt: Attempt, intent_id: int, failure: Failure) -> None:
    """Note what the failure of a call says about its intent: it is closed only if the call certainly did nothing."""
    if _did_nothing(failure):
        attempt.closes = Close(intent_id, Closing.nothing)
    else:
        resources = attempt.resources
        attempt.unknown = Unknown(intent_id, resources.clock.now() + resources.call_deadline)


async def _intend(attempt: Attempt, change: Change, earlier: OpenIntent | None, permit: Permit) -> int:
    """Write the intent of a call that is sent while ``permit`` is good; return its id."""
    record, deadline = attempt.record, attempt.resources.call_deadline
    replaces, attempt.closes = attempt.closes, None  # of a call for several at once that left this one out
    if earlier is not None:
        outcome = Closing.leftover if change.again is Again.leaves_leftover else Closing.absent
        replaces = Close(earlier.id, outcome)
    intent = NewIntent(
        onboarding_id=record.id,
        trigger=BY_SOURCE[record.stage].trigger,
        digest=digest_of(change.request),
        settled_at=permit.send_by + deadline,
    )
    intent_id = await attempt.begin(Begin(record, intent, replaces, attempt.remembers))

    async def prolong(send_by: datetime) -> None:
        await attempt.resources.recorder.write(Prolong(record, intent_id, send_by + deadline))

    permit.prolonged_by(prolong)
    return intent_id


def digest_of(request: str) -> str:
    """Return what the journal keeps of a request, which is given without its secrets."""
    return sha256(request.encode()).hexdigest()


def _did_nothing(failure: Failure) -> bool:
    """Tell whether the call that ended in ``failure`` certainly changed nothing at Alloy."""
    match failure:
        case Transient():
            return failure.effect is Effect.nothing
        case Halted():
            return failure.reason in (Reason.unauthorized, Reason.forbidden)
        case _:
            return isinstance(failure, Rejected)


def plain(evidence: Evidence) -> dict[str, JsonValue]:
    """Return the evidence as the journal keeps it: what JSON can hold."""
    kept: dict[str, JsonValue] = _EVIDENCE.dump_python(dict(evidence.values), mode="json")
    return kept
