"""What comes next: who is on the way, when the next one falls due, how fast it goes, and how long it will take."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from deployments.cli.held_back import number_held_back
from deployments.cli.terminal import folded
from deployments.cli.wording import ahead, command, count, span
from states.holds import HoldKind

if TYPE_CHECKING:
    from store.completed_lately import Pace
    from store.standing import Standing


def what_comes_next(standing: "Standing") -> Iterator[str]:
    """Yield what goes on by itself, and what may be left behind."""
    moving = standing.moving - number_held_back(standing)
    if moving > 0:
        yield f"{count(moving, 'onboarding is', 'onboardings are')} on the way: {command('resume')}"
    if standing.next_due_at is not None:
        yield f"The next one falls due {ahead(standing.next_due_at)}: {command('resume')}"
    elif moving <= 0:
        yield "Nothing falls due by itself any more."
    if standing.leftovers:
        yield from folded(
            f"{count(standing.leftovers, 'suspected leftover')} at Alloy, which does no harm: "
            "`onboard leftovers` lists them.",
            0,
        )


def how_long(standing: "Standing", pace: "Pace") -> Iterator[str]:
    """Yield how many were completed lately, and how long those will take that can go on by themselves."""
    if pace.completed:
        left = going_on(standing)
        time = pace.time_for(left) if left else None
        rest = f"; {left:,} more take about {span(time)} at this rate" if time is not None else ""
        yield from folded(f"{pace.completed:,} completed in the last hour{rest}.", 0)


def going_on(standing: "Standing") -> int:
    """Return how many go on by themselves: they wait for nobody, and nothing holds them back."""
    return max(0, standing.moving - number_held_back(standing)) + standing.holds[HoldKind.retry]


def how_fast(standing: "Standing") -> Iterator[str]:
    """Yield how fast Alloy is called at present, and how that was found."""
    for one in standing.paces:
        if one.rate is None:
            yield from folded("All workers together: as fast as they can, since nothing was refused.", 0)
        else:
            how = (
                "as ALLOY_RATE says"
                if one.given
                else f"the limit is {'found' if one.limit_met else 'searched'} by asking"
            )
            yield from folded(f"All workers together: at most {one.rate:,.4g} calls a second, {how}.", 0)
        if one.paused_until is not None and one.paused_until > datetime.now(UTC):
            yield from folded(f"Alloy has asked to wait: it is called again {ahead(one.paused_until)}.", 0)
