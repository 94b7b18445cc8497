"""Why a record is not moving: kinds of hold, reason codes, who acts, and how long we wait before we look again."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum, auto


class HoldKind(StrEnum):
    """Who is waited for."""

    retry = auto()
    customer = auto()
    operator = auto()
    cancelled = auto()


class Reason(StrEnum):
    """The code behind a hold; stable, for filters and counts. The sentence beside it is for people."""

    # retry: by ourselves, at due_at
    unreachable = auto()
    rate_limited = auto()
    refused_for_now = auto()
    unknown_outcome = auto()
    unreadable_answer = auto()
    not_confirmed = auto()
    # customer: we look again at due_at
    awaiting_consent = auto()
    awaiting_answer = auto()
    # operator
    rejected = auto()
    invalid_answer = auto()
    unreadable_form = auto()
    already_installed = auto()
    installation_conflict = auto()
    unknown_integration = auto()
    ambiguous_integration = auto()
    missing_auth = auto()
    sealed_value_lost = auto()
    same_onboarding_twice = auto()
    user_of_another_customer = auto()
    credential_in_doubt = auto()
    gave_up = auto()
    our_fault = auto()
    # cancelled: for good, unless somebody says otherwise
    cancelled = auto()
    # not a hold: the run stops
    unauthorized = auto()
    forbidden = auto()
    wrong_host = auto()
    not_shared = auto()


REMEDIES: dict[Reason, str] = {
    Reason.rejected: "correct the row and run the list again",
    Reason.invalid_answer: "give a valid answer with `onboard answer`, or correct the row and run the list again",
    Reason.unreadable_form: "look at the installation at Alloy, then `onboard redrive`, which reads its form once more",
    Reason.already_installed: "the integration was installed before us; `onboard redrive` installs it once more",
    Reason.installation_conflict: "look at the user's installations at Alloy, then `onboard redrive`",
    Reason.unknown_integration: "correct the integration and run the list again",
    Reason.ambiguous_integration: "name the integration by its id and run the list again",
    Reason.missing_auth: "add the missing auth columns and run the list again",
    Reason.sealed_value_lost: "run the list again with the auth values, or restore ONBOARD_SECRET_KEY",
    Reason.same_onboarding_twice: "nothing to do if the other row is the right one; otherwise correct the list",
    Reason.user_of_another_customer: (
        "if both are one person, `onboard cancel` it, or `onboard erase` the other and `onboard redrive` this one; "
        "if they are two, list this one by another username"
    ),
    Reason.credential_in_doubt: (
        "delete the user's newest credentials of this app at Alloy, then `onboard redrive`, which has it made anew"
    ),
    Reason.gave_up: "see its history with `onboard show`, then `onboard redrive`",
    Reason.our_fault: "report it with what is written there; `onboard redrive` tries again",
    Reason.cancelled: "`onboard redrive --hold cancelled` lets it go on after all",
    Reason.awaiting_consent: "send the consent link: `onboard links`",
    Reason.awaiting_answer: "fill the field in with `onboard answer`",
}


@dataclass(frozen=True, slots=True)
class Hold:
    """A record stands still: ``due_in`` says when we look again; None means that somebody must act first."""

    kind: HoldKind
    reason: Reason
    sentence: str
    due_in: timedelta | None


LAST_ATTEMPT = 40
"""Attempts in a row at one stage after which an operator is asked. With the waits below this is more than a month."""

_RETRY_FIRST = timedelta(seconds=2)
_RETRY_LONGEST = timedelta(days=1)
_LOOK_FIRST = timedelta(seconds=2)
_LOOK_LONGEST = timedelta(hours=6)
_SPREAD_FROM = timedelta(minutes=1)
_SPREAD = 0.125
LOOKED_FOR_FREELY = 20
"""So many awaited consents are looked for as if each were the only one."""
_SHARE_OF_CALLS = 0.2
"""What looking for consents may take of the calls that Alloy allows, whether or not there is other work."""
LOOK_AFTER_UNKNOWN = timedelta(seconds=2)
"""How long after an unknown outcome we look it up: the call may still be under way, and lists lag."""


def wait_before_retry(attempt: int, jitter: float, retry_after: timedelta | None = None) -> timedelta:
    """Return how long to wait before attempt number ``attempt + 1``.

    Doubles from two seconds to a day. ``jitter`` in [0, 1) spreads records that failed together over half to the whole
    wait. What the vendor asked for in ``retry_after`` is a minimum, and jitter only lengthens it.
    """
    doubled = min(_RETRY_FIRST * float(2 ** min(max(attempt - 1, 0), 30)), _RETRY_LONGEST)
    spread = doubled * (0.5 + jitter / 2)
    if retry_after is None:
        return spread
    return max(min(retry_after, _RETRY_LONGEST) * (1 + jitter / 10), spread)


def wait_before_looking(waited: timedelta, *, spread: float = 0.0, crowd: timedelta = timedelta(0)) -> timedelta:
    """Return how long to wait before looking for a consent or an answer again that has been awaited for ``waited``.

    As long again as it has been awaited, so the looks come after 2, 4, 8, 16 … seconds, then ever more slowly up to six
    hours apart: a customer who consents does so within minutes, or some day. Where ``crowd`` is longer, it is that long
    on the average. ``spread`` in [0, 1), another for each record, keeps those apart who began to wait together.
    """
    decayed = max(_LOOK_FIRST, min(waited, _LOOK_LONGEST))
    if decayed >= _SPREAD_FROM:
        decayed = min(decayed * (1 + _SPREAD * spread), _LOOK_LONGEST * (1 + _SPREAD))
    return max(decayed, crowd * (0.5 + spread))


def wait_in_a_crowd(waiting: int, rate: float) -> timedelta:
    """Return how far apart the looks for one consent are to be, if ``waiting`` are awaited and ``rate`` calls allowed.

    ``rate`` is in calls a second. So far apart, all looks together take a fifth of the calls at most.
    """
    return timedelta(seconds=max(waiting - LOOKED_FOR_FREELY, 0) / (_SHARE_OF_CALLS * rate))
