"""What a form's run shows: whom it would reach, or how many it reached, and what comes next."""

import re
from collections.abc import Mapping, Sequence

from prefect.artifacts import acreate_markdown_artifact

from store.choosing import Preview

RELEASED = (
    "They are due now: the next scheduled resume drives them (every five minutes), or start "
    "resume-onboardings/every-five-minutes by hand."
)

_MARKS = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~&$:@])")


def plain(text: str) -> str:
    """Return what came from outside so that markdown shows it and does nothing else with it."""
    readable = "".join(letter if letter.isprintable() else " " for letter in text)
    return _MARKS.sub(r"\\\1", readable)


def count(number: int, one: str = "onboarding", several: str = "") -> str:
    """Say a number of things: "1 onboarding", "2 onboardings"."""
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"


def table(head: Sequence[str], rows: Mapping[str, int]) -> str:
    """Return a table of words and numbers in markdown."""
    lines = [f"| {head[0]} | {head[1]} |", "|---|---:|"]
    return "\n".join([*lines, *(f"| {plain(word)} | {number:,} |" for word, number in rows.items())])


async def show_preview(verb: str, what: str, found: Preview, *, asked: str) -> None:
    """Publish whom a verb would reach, by stage and by hold, and how to go on."""
    parts = [
        f"## {count(found.total)} would be {what}",
        f"Asked for: {plain(asked) or 'everybody'}",
        table(("stage", "onboardings"), {str(stage): number for stage, number in found.stages.items()}),
        table(("hold", "onboardings"), {str(hold or "none"): number for hold, number in found.holds.items()}),
    ]
    if found.leased:
        parts.append(
            f"{found.leased:,} of them are in a worker's hands, which finishes the call that is under way first."
        )
    parts.append(
        "**Nothing was changed.** To do it, start this deployment again with the same values, with *what_to_do* set "
        "to *apply* and *decided_by* filled in."
    )
    await acreate_markdown_artifact("\n\n".join(parts), key=f"preview-{verb}", description=f"Preview of {verb}")
