"""Who is held back for no fault of their own: in quarantine, in a paused batch, on a list that is only half in."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from deployments.cli.half_in import how_far, remedies, what_that_means
from deployments.cli.terminal import folded, styled
from deployments.cli.wording import ago, ahead, command, printable, quoted

if TYPE_CHECKING:
    from store.standing import Standing


def held_back(standing: "Standing") -> Iterator[str]:
    """Yield the lines about them, with what lets them go."""
    for cohort in standing.quarantined:
        yield from _why(
            f"Held back: {cohort.held_back:,} of {printable(cohort.label)} at {cohort.stage}",
            f"Most of those who were tried last were refused: {cohort.reason}. A few are tried "
            f"{ahead(cohort.probe_at)}; if one gets past, all go on by themselves. Once it is mended, to try at once:",
            f"redrive --integration {quoted(cohort.integration)} --reason {cohort.reason}",
        )
    for batch in standing.paused:
        yield from _why(
            f"Paused: {batch.held_back:,} of batch {printable(batch.batch)}",
            f"Since {ago(batch.since)}: {batch.why}.",
            f"resume --batch {quoted(batch.batch)}",
        )
    for one in standing.unfinished:
        yield from _why(f"Half in: {how_far(one)}", what_that_means(one), *remedies(one))


def number_held_back(standing: "Standing") -> int:
    """Return how many they are."""
    return sum(one.held_back for why in (standing.quarantined, standing.paused, standing.unfinished) for one in why)


def _why(heading: str, sentence: str, *commands: str) -> Iterator[str]:
    yield ""
    yield styled(heading, bold=True, colour="red")
    yield from folded(sentence, 2)
    for one in commands:
        yield f"  → {command(one)}"
