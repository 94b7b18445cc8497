"""How long the records of a dead worker waited for their next step, by the database's clock."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from math import ceil

from tests.chaos.crew import Struck
from tests.chaos.witness import Seen


@dataclass(frozen=True, slots=True)
class Wait:
    """One record of one dead worker, and its next step."""

    onboarding_id: int
    died_at: datetime
    claimed_at: datetime
    step_at: datetime

    @property
    def seconds(self) -> float:
        """From the death to the next step."""
        return (self.step_at - self.died_at).total_seconds()


@dataclass(frozen=True, slots=True)
class Recovery:
    """All waits, the shortest first, and the records that nobody ever took up again."""

    waits: Sequence[Wait]
    forgotten: Sequence[int]
    struck_again: int
    """Records whose next worker was killed or stopped, too, before its first step: that blow's wait is measured."""
    usual: float
    """What 95 of 100 claims that nobody disturbed took to their first step, on this machine and at this time.

    It is what a busy machine may add to the bound: a dead worker's records cannot be quicker than everybody else's.
    """

    def percentile(self, share: float) -> float:
        """Return the wait that this share of the records did not exceed."""
        return self.waits[max(ceil(share * len(self.waits)) - 1, 0)].seconds if self.waits else 0.0

    @property
    def longest(self) -> float:
        """The longest wait."""
        return self.percentile(1.0)

    def beyond(self, bound: timedelta) -> list[Wait]:
        """Return the waits that were longer."""
        return [one for one in self.waits if one.seconds > bound.total_seconds()]


def recovery(deaths: Iterable[Struck], stops: Iterable[Struck], seen: dict[int, list[Seen]]) -> Recovery:
    """Measure, for each record that a dead worker held, from the death to the first trace of another's work on it.

    That is a history row, an intent, or the lease given back with an outcome that leaves no row.
    """
    waits: list[Wait] = []
    forgotten: list[int] = []
    struck_again = 0
    deaths = list(deaths)
    blows = [*deaths, *stops]
    for death in deaths:
        for onboarding_id in death.held:
            rows = seen[onboarding_id]
            after = rows[bisect_right(rows, death.at, key=lambda one: one.at) :]
            claimed = [one for one in after if one.event == "lease" and one.worker and not death.is_by(one.worker)]
            steps = [one for one in after if claimed and one.at >= claimed[0].at and one is not claimed[0]]
            if steps and _any_fell(blows, claimed[0], steps[0]):
                struck_again += 1
            elif steps:
                waits.append(Wait(onboarding_id, death.at, claimed[0].at, steps[0].at))
            else:
                forgotten.append(onboarding_id)
    return Recovery(sorted(waits, key=lambda one: one.seconds), forgotten, struck_again, _usual(seen, blows))


def _usual(seen: dict[int, list[Seen]], blows: Sequence[Struck]) -> float:
    took = sorted(
        (step.at - claim.at).total_seconds()
        for rows in seen.values()
        for claim, step in pairwise(rows)
        if claim.event == "lease" and claim.worker and not _any_fell(blows, claim, step)
    )
    return took[int(0.95 * len(took))] if took else 0.0


def _any_fell(blows: Iterable[Struck], claim: Seen, step: Seen) -> bool:
    """Tell whether the worker that claimed was struck before its step."""
    return any(
        blow.is_by(claim.worker) and claim.at <= (blow.until or blow.at) and blow.at <= step.at for blow in blows
    )
