"""``create_user`` for a long page: one call creates everybody who is new, and one list tells their ids.

The rule holds for each of them as it does for one: the intents are written before the call, all in one group, and if
its outcome is unknown every one of them stays open, so that whoever claims the record next looks for its user. A
username is unique at Alloy, so that to call again creates nobody twice. Who has an open intent, or a user already, is
not in the call; whoever was left out by Alloy, and is not in its list either, goes on by themselves.

Whom Alloy created is ours; whom it did not create is adopted, by whatever way the id was learnt.
"""

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from datetime import datetime

from flows.alloy.answers import User
from flows.alloy.client import AlloyClient
from flows.alloy.permit import Permit
from flows.pacing import NotWanted
from flows.resources import Resources
from flows.steps.attempt import Attempt, Evidence
from flows.steps.rule import digest_of, note_failure, plain
from flows.steps.users import MAYBE_TAKEN, adopted
from states.failures import Effect, Failure, Rejected, Transient
from states.holds import LOOK_AFTER_UNKNOWN, Reason
from states.stage import Trigger
from store.closing import Closing
from store.journal import Close, NewIntent
from store.writes import Begin, LeaseLost, Prolong

MOST_AT_ONCE = 1000
"""More is refused (contract, 4.2)."""
_LONGEST_LIST = 50
"""The list has all users of the account: up to so many rows for each that is wanted, to read it costs less than a call
for each."""


@dataclass(slots=True)
class _Part:
    """One record's part in the call."""

    attempt: Attempt
    intent_id: int

    @property
    def username(self) -> str:
        return self.attempt.record.username

    def leave_out(self) -> None:
        """Have it go on by itself: the call certainly did nothing for it."""
        self.attempt.closes = Close(self.intent_id, Closing.nothing)

    def fail(self, failure: Exception) -> None:
        """Have it fail as it would have, had the call been its own."""
        if isinstance(failure, Failure):
            note_failure(self.attempt, self.intent_id, failure)
        _fail(self.attempt, failure)

    def succeed(self, user: User, *, created: bool) -> None:
        """Have it move on with ``user``."""
        evidence = _created(user) if created else adopted(self.attempt.record, user)
        self.attempt.closes = Close(self.intent_id, Closing.answered if created else Closing.found, plain(evidence))

        async def known() -> Evidence:
            return evidence

        self.attempt.together = known

    def look_up(self) -> None:
        """Have it ask for the id of the user who was created for it."""

        async def ask() -> Evidence:
            alloy = self.attempt.resources.alloy
            not_shown = Transient(
                Reason.unknown_outcome,
                "Alloy has accepted the user, but does not show them yet",
                effect=Effect.unknown,
                retry_after=LOOK_AFTER_UNKNOWN,
            )
            note_failure(self.attempt, self.intent_id, not_shown)
            user = await alloy.get_user(self.username)
            if user is None:
                raise not_shown
            evidence = _created(user)
            self.attempt.unknown = None
            self.attempt.closes = Close(self.intent_id, Closing.answered, plain(evidence))
            return evidence

        self.attempt.together = ask


async def create_users_together(attempts: Sequence[Attempt]) -> None:
    """Create the users of those ``attempts`` that are new, if they are many enough for one call; else do nothing.

    What came of it is :attr:`Attempt.together` of each, and is recorded by each; it fails for none of the others.
    """
    new = [one for one in attempts if one.record.alloy_user_id is None and one.record.intent is None][:MOST_AT_ONCE]
    if not new or not _is_worth_it(len(new), new[0].resources):
        return
    alloy = new[0].resources.alloy
    try:
        async with alloy.permit() as permit:
            with _as_one_call(len(new), new[0].resources):
                parts = await _begin(new, permit)
                if parts:
                    await _create(parts, alloy)
    except (NotWanted, Transient):
        return  # there was no turn to be had, so nothing is begun: each of them finds that out by itself


@contextmanager
def _as_one_call(number: int, resources: Resources) -> Iterator[None]:
    """Let the loop know that so many records keep no more than one call busy."""
    resources.together += number
    try:
        yield
    finally:
        resources.together -= number


def _is_worth_it(number: int, resources: Resources) -> bool:
    known = resources.alloy.capabilities
    return (
        number >= resources.users_worth_a_batch
        and known.create_users is not False
        and (known.users is None or known.users <= _LONGEST_LIST * number)
    )


async def _begin(attempts: Sequence[Attempt], permit: Permit) -> list[_Part]:
    """Write the intents of a call that is sent while ``permit`` is good, as one group; return those who are in it."""
    resources = attempts[0].resources
    settled_at = permit.send_by + resources.call_deadline

    def intent(attempt: Attempt) -> Begin:
        record = attempt.record
        digest = digest_of(f"POST /users/batch {record.username}")
        return Begin(record, NewIntent(record.id, Trigger.create_user, digest, settled_at))

    begun = await asyncio.gather(*(one.begin(intent(one)) for one in attempts), return_exceptions=True)
    parts: list[_Part] = []
    for attempt, ended in zip(attempts, begun, strict=True):
        if isinstance(ended, int):
            parts.append(_Part(attempt, ended))
        else:  # no longer this worker's, or cancelled since it was claimed
            _fail(attempt, ended)

    async def prolong(send_by: datetime) -> None:
        until = send_by + resources.call_deadline
        writes = (resources.recorder.write(Prolong(one.attempt.record, one.intent_id, until)) for one in parts)
        for ended in await asyncio.gather(*writes, return_exceptions=True):
            if isinstance(ended, BaseException):
                raise ended

    permit.prolonged_by(prolong)
    return parts


async def _create(parts: Sequence[_Part], alloy: AlloyClient) -> None:
    asked = frozenset(one.username for one in parts)
    try:
        left_out = await alloy.create_users([(one.username, one.attempt.record.full_name or None) for one in parts])
    except LeaseLost:  # by one of them, which was found out before anything was sent
        _leave_out(parts)
    except Rejected as refusal:
        if refusal.status in MAYBE_TAKEN:  # all of them, it may be
            await _learn(parts, frozenset(), alloy)
        else:
            alloy.capabilities.create_users = False
            _leave_out(parts)
    except Exception as failure:
        if isinstance(failure, Transient) and failure.effect is Effect.unknown:
            _doubt(alloy)
        for part in parts:
            part.fail(failure)
    else:
        await _learn(parts, asked - left_out, alloy)


def _leave_out(parts: Sequence[_Part]) -> None:
    for part in parts:
        part.leave_out()


async def _learn(parts: Sequence[_Part], created: Collection[str], alloy: AlloyClient) -> None:
    """Find out who everybody is, those who were created and those who were there before."""
    listed = await _listed(parts, alloy)
    for part in parts:
        user = listed.get(part.username)
        if user is not None:
            part.succeed(user, created=part.username in created)
        elif part.username in created:
            part.look_up()
        else:
            part.leave_out()
    if 2 * len(listed) >= len(parts):
        alloy.capabilities.create_users = True
    else:  # the ids cost a call each after all
        _doubt(alloy)


async def _listed(parts: Sequence[_Part], alloy: AlloyClient) -> Mapping[str, User]:
    try:
        found = await alloy.find_users([one.username for one in parts])
    except Failure:
        return {}
    return {one.username: found[one.username] for one in parts if one.username in found}


def _doubt(alloy: AlloyClient) -> None:
    """Go on without it for the rest of this run, unless it has just gone well: anybody may have one bad moment."""
    alloy.capabilities.create_users = None if alloy.capabilities.create_users else False


def _created(user: User) -> Evidence:
    return Evidence({"alloy_user_id": user.user_id, "adopted": False})


def _fail(attempt: Attempt, failure: BaseException) -> None:
    async def failed() -> Evidence:
        raise copy(failure) if isinstance(failure, Failure) else failure  # one exception belongs to one task

    attempt.together = failed
