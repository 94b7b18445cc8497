"""When many are refused alike it is not their own fault: the rules by which we stop feeding them, and go on.

A *cohort* is the onboardings of one integration at one stage, since what refuses them alike is one call: a key that an
app no longer takes, a template that no form accepts. Those at other stages make other calls and go on. When most of the
records that were tried last are refused for the same reason, the cohort is *quarantined*: the others are held back,
and a few are let through as probes until one gets past. A *batch* has a failure budget, which is for failures that no
cohort explains: once it is spent the batch stands still until somebody has looked.

Refused is who was told no: by Alloy, or by a rule of ours. Not counted are waits for a person, unknown outcomes, calls
that never arrived, being slowed down (pacing answers for the whole account), and what concerns one customer alone.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from states.holds import Hold, Reason

REFUSALS = frozenset(
    {
        Reason.rejected,
        Reason.refused_for_now,
        Reason.invalid_answer,
        Reason.unreadable_form,
        Reason.missing_auth,
        Reason.sealed_value_lost,
        Reason.unknown_integration,
        Reason.ambiguous_integration,
        Reason.installation_conflict,
        Reason.our_fault,
    }
)
"""The reasons that speak against a cohort when many share one."""

COHORT_SAMPLE = 20
"""So many records of a cohort must have been tried before it is judged."""
COHORT_RECENT = 40
"""So many of the records tried last are judged."""
BATCH_SAMPLE = 50
BATCH_RECENT = 100

PROBES = 3
"""Records of a quarantined cohort that are let through at a time."""
_FIRST_PROBE = timedelta(minutes=1)
_LONGEST_WAIT = timedelta(hours=1)


def refusal_in(hold: Hold) -> Reason | None:
    """Return the reason if ``hold`` is a refusal, or None if it says nothing about its cohort."""
    return hold.reason if hold.reason in REFUSALS else None


def wait_before_probing(rounds: int) -> timedelta:
    """Return how long to hold a cohort back after ``rounds`` of probes in vain: a minute, doubling up to an hour."""
    return min(_FIRST_PROBE * float(2 ** min(rounds, 30)), _LONGEST_WAIT)


@dataclass(slots=True)
class Recent:
    """What became of the records that were tried last: a record's latest outcome, the latest record last.

    Empty for as long as nobody is refused, so that health costs nothing to remember.
    """

    most: int
    outcomes: dict[int, Reason | None] = field(default_factory=dict)
    """By onboarding: why it was refused, or None if it moved on."""

    def note(self, onboarding_id: int, refused: Reason | None) -> None:
        """Remember an outcome, in place of an earlier one of the same record."""
        if refused is None and not self.outcomes:
            return
        self.outcomes.pop(onboarding_id, None)
        self.outcomes[onboarding_id] = refused
        if len(self.outcomes) > self.most:
            del self.outcomes[next(iter(self.outcomes))]
        if not any(self.outcomes.values()):
            self.outcomes.clear()

    def refused_alike(self, sample: int = COHORT_SAMPLE) -> Reason | None:
        """Return the reason for which most of at least ``sample`` records were refused; None if there is none."""
        if len(self.outcomes) < sample:
            return None
        [(reason, number)] = Counter(_refusals(self.outcomes.values())).most_common(1)
        return reason if 2 * number > len(self.outcomes) else None

    def share_refused(self) -> float:
        """Return which share of them was refused, for whatever reason."""
        return len(list(_refusals(self.outcomes.values()))) / len(self.outcomes) if self.outcomes else 0.0


@dataclass(frozen=True, slots=True)
class FailureBudget:
    """How many of a batch may be refused before it is paused; what a quarantine explains is not counted."""

    share: float = 0.5
    """More than this share of the records tried last, of at least :data:`BATCH_SAMPLE`; 1 is never exceeded."""
    count: int | None = None
    """More than so many since the batch was begun or last resumed; None for any number."""

    def spent(self, recent: Recent, refused: int) -> str | None:
        """Return in words why a batch is to be paused; None while its budget lasts."""
        if self.count is not None and refused > self.count:
            return f"{refused} of its records were refused, and {self.count} may be"
        if len(recent.outcomes) >= BATCH_SAMPLE and recent.share_refused() > self.share:
            return f"{recent.share_refused():.0%} of the last {len(recent.outcomes)} records tried were refused"
        return None


USUAL_BUDGET = FailureBudget()


def _refusals(outcomes: Iterable[Reason | None]) -> Iterable[Reason]:
    return (reason for reason in outcomes if reason is not None)
