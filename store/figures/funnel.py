"""How many ever got how far. No onboarding goes back to an earlier stage, so who is further has been there."""

from dataclasses import dataclass

from states.stage import Stage
from store.standing import Standing


@dataclass(frozen=True, slots=True)
class Step:
    """One stage, as the funnel shows it."""

    stage: Stage
    here: int
    """How many are at it now."""
    reached: int
    """How many ever were."""
    converted: float | None
    """Which share that is of those who reached the stage before; None for the first, and where nobody did."""


def funnel(standing: Standing) -> list[Step]:
    """Return a step for every stage, the first one first."""
    steps: list[Step] = []
    reached = standing.total
    for stage in Stage:
        before = steps[-1].reached if steps else 0
        steps.append(Step(stage, standing.stages[stage], reached, reached / before if before else None))
        reached -= standing.stages[stage]
    return steps
