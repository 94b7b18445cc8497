"""Moving one page: every record of it at once, each recorded as soon as its own outcome is there.

A slow customer does not keep its page's neighbours waiting, and a failed one does not fail them.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from flows.pacing import NotWanted
from flows.resources import Resources
from flows.steps.attempt import Attempt, Evidence
from flows.steps.credentials import authenticate
from flows.steps.forms import map_fields
from flows.steps.installations import complete_installation, start_installation
from flows.steps.users import create_user
from flows.steps.users_together import create_users_together
from flows.tally import VERDICT_OF, Tally, Verdict
from states.failures import Failure, Halted, Rejected, Transient, Waiting
from states.holds import LAST_ATTEMPT, REMEDIES, Hold, HoldKind, Reason, wait_before_looking, wait_before_retry
from states.pace import CEILING
from states.stage import Stage, Trigger
from states.transitions import BY_SOURCE
from store.faults_log import write_down
from store.records import Page
from store.writes import Held, LeaseLost, Moved, Released

_GOLDEN = 0.6180339887498949
"""Multiples of it, less their whole parts, lie as evenly between 0 and 1 as numbers can, however many are taken."""

Step = Callable[[Attempt], Awaitable[Evidence]]

STEPS: dict[Trigger, Step] = {
    Trigger.create_user: create_user,
    Trigger.authenticate: authenticate,
    Trigger.start_installation: start_installation,
    Trigger.map_fields: map_fields,
    Trigger.complete_installation: complete_installation,
}


async def move_page(page: Page, resources: Resources) -> Tally:
    """Try to move every record of ``page`` by the trigger of its stage.

    Raises :class:`states.failures.Halted` when no record can be moved by anybody; the page's other records are then
    finished or given back first.
    """
    trigger = BY_SOURCE[page.stage].trigger
    attempts = [Attempt(record, resources) for record in page.records]
    if trigger is Trigger.create_user:
        await create_users_together(attempts)

    async def move_one(attempt: Attempt) -> Verdict:
        try:
            return await move(attempt, trigger)
        finally:
            resources.unfinished[page.key] = resources.unfinished.get(page.key, 1) - 1

    verdicts = await asyncio.gather(*map(move_one, attempts), return_exceptions=True)
    tally: Tally = Counter()
    for verdict in verdicts:
        if isinstance(verdict, BaseException):
            raise verdict
        tally[verdict] += 1
    return tally


async def move(attempt: Attempt, trigger: Trigger) -> Verdict:
    """Try to move one record, and record what came of it."""
    try:
        evidence = await STEPS[trigger](attempt)
        await _record(
            attempt, Moved(attempt.record, trigger, dict(evidence.values), attempt.closes, note=evidence.note)
        )
    except Halted:
        await _give_back(attempt)
        raise
    except Failure as failure:
        return await _hold(attempt, failure)
    except NotWanted:
        await _give_back(attempt)
        return Verdict.released
    except LeaseLost:
        await _give_back(attempt)  # it is not ours to give, but what is certain about its intent is written
        return Verdict.lost
    except IntegrityError:
        return await _hold(attempt, Transient(Reason.refused_for_now, "somebody else wrote the same at this moment"))
    except SQLAlchemyError:
        raise  # the database fails everybody
    except Exception as fault:
        return await _hold(attempt, _blamed_on_us(fault, attempt.resources))
    return Verdict.moved


def _blamed_on_us(fault: Exception, resources: Resources) -> Rejected:
    """Return what a fault of this program means for the one record that brought it out; the others go on."""
    log = write_down(fault, resources.home)
    return Rejected(Reason.our_fault, f"a fault of this program ({type(fault).__name__}), written down in {log}")


async def _record(attempt: Attempt, moved: Moved) -> None:
    try:
        await attempt.resources.recorder.write(moved)
    except IntegrityError as refused:
        if moved.trigger is not Trigger.create_user:
            raise
        if attempt.closes is not None:  # it may be mended at Alloy, so that the user is asked for again
            attempt.closes = replace(attempt.closes, evidence=None)
        raise Rejected(
            Reason.user_of_another_customer,
            "Alloy takes the username for that of another customer on record, written in another way (case, spaces)",
        ) from refused


async def _hold(attempt: Attempt, failure: Failure) -> Verdict:
    attempts = attempt.record.attempts + 1 if attempt.record.hold is failure.hold else 1
    hold = hold_for(failure, attempt, attempts, await _crowd(attempt, failure))
    try:
        await attempt.resources.recorder.write(
            Held(attempt.record, hold, attempts, attempt.closes, attempt.absent, attempt.unknown, attempt.remembers)
        )
    except LeaseLost:
        return Verdict.lost
    return VERDICT_OF[hold.kind]


async def _give_back(attempt: Attempt) -> None:
    try:
        await attempt.resources.recorder.write(Released(attempt.record, attempt.closes))
    except LeaseLost:
        return


async def _crowd(attempt: Attempt, failure: Failure) -> timedelta:
    """Return how far apart looks are to be because of all the others who are looked for."""
    if failure.reason is not Reason.awaiting_consent:
        return timedelta(0)
    crowd = attempt.resources.crowd
    if attempt.record.reason is not Reason.awaiting_consent:
        crowd.join()
    return await crowd.wait(attempt.resources.alloy.pacing.rate or CEILING)


def hold_for(failure: Failure, attempt: Attempt, attempts: int, crowd: timedelta = timedelta(0)) -> Hold:
    """Return the hold that ``failure`` means for the record, after ``attempts`` of its kind in a row."""
    match failure:
        case Transient() if attempts >= LAST_ATTEMPT:
            sentence = f"given up after {attempts} attempts; the last: {failure.sentence}"
            return Hold(HoldKind.operator, Reason.gave_up, _with_remedy(Reason.gave_up, sentence), None)
        case Transient():
            due_in = wait_before_retry(attempts, attempt.resources.random.random(), failure.retry_after)
            return Hold(HoldKind.retry, failure.reason, f"{failure.sentence}; tried again by itself", due_in)
        case Waiting():
            spread = attempt.record.id * _GOLDEN % 1
            due_in = wait_before_looking(_waited(attempt), spread=spread, crowd=crowd)
            return Hold(HoldKind.customer, failure.reason, _with_remedy(failure.reason, failure.sentence), due_in)
        case Rejected():
            return Hold(HoldKind.operator, failure.reason, _with_remedy(failure.reason, failure.sentence), None)
        case _:
            raise failure


def _waited(attempt: Attempt) -> timedelta:
    """Return how long what is awaited now has been: a consent since its link, an answer since it was asked for."""
    record = attempt.record
    linked_at = record.link_issued_at if record.stage is Stage.created else None
    return attempt.resources.clock.now() - (linked_at or record.stage_since)


def _with_remedy(reason: Reason, sentence: str) -> str:
    remedy = REMEDIES.get(reason)
    return f"{sentence}; {remedy}" if remedy else sentence
