"""The funnel: how many stand at which stage, and how many of them are held, by whom."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from deployments.cli.terminal import columns, padded, styled
from deployments.cli.wording import count, printable
from states.holds import HoldKind
from states.stage import Stage

if TYPE_CHECKING:
    from store.standing import Standing

_LONGEST_BAR = 40
_SHORTEST_BAR = 5
_COLOURS = {HoldKind.operator: "red", HoldKind.customer: "yellow"}


def title(standing: "Standing") -> str:
    """Say who is counted, how many they are, and how many of them are through."""
    where = f"Batch {printable(standing.batch)}" if standing.batch else "All batches"
    completed = standing.stages[Stage.completed]
    through = f"; {completed:,} completed ({100 * completed // standing.total} %)" if completed else ""
    erased = f", and {standing.erased:,} erased" if standing.erased else ""
    return styled(f"{where}: {count(standing.total, 'onboarding')}{erased}{through}", bold=True)


def funnel(standing: "Standing") -> Iterator[str]:
    """Yield a line for every stage, with a column for each kind of hold that anybody has, and a bar if it fits."""
    kinds = [kind for kind in HoldKind if standing.holds[kind]]
    numbers = {
        stage: [f"{number:,}", *(_held(standing, stage, kind) for kind in kinds)]
        for stage, number in standing.stages.items()
    }
    titles = ["all", *kinds]
    widths = [max(len(one[place]) for one in (titles, *numbers.values())) for place in range(len(titles))]
    names = max(map(len, Stage))
    taken = 2 + names + sum(2 + width for width in widths)
    if taken > columns():
        yield from _below_each_other(standing, kinds)
        return
    longest = min(_LONGEST_BAR, columns() - taken - 2)
    if kinds:
        yield styled(_line("stage", titles, names, widths), dim=True)
    for stage, row in numbers.items():
        bar = _bar(standing, stage, longest) if longest >= _SHORTEST_BAR else ""
        shown = [
            styled(text, colour=_COLOURS.get(kind)) if kind else text
            for kind, text in zip([None, *kinds], map(_right, row, widths), strict=True)
        ]
        yield f"{_line(stage, shown, names, widths)}  {styled(bar, colour='green')}".rstrip()


def _below_each_other(standing: "Standing", kinds: list[HoldKind]) -> Iterator[str]:
    for stage, number in standing.stages.items():
        held = [f"{_held(standing, stage, kind)} {kind}" for kind in kinds if _held(standing, stage, kind)]
        yield f"  {stage}: {number:,}" + (f", of them {', '.join(held)}" if held else "")


def _right(text: str, width: int) -> str:
    return padded(text, width, right=True)


def _line(name: str, texts: list[str], names: int, widths: list[int]) -> str:
    return f"  {padded(name, names)}" + "".join(
        f"  {_right(text, width)}" for text, width in zip(texts, widths, strict=True)
    )


def _held(standing: "Standing", stage: Stage, kind: HoldKind) -> str:
    number = sum(count for (at, hold, _), count in standing.parts.items() if (at, hold) == (stage, kind))
    return f"{number:,}" if number else ""


def _bar(standing: "Standing", stage: Stage, longest: int) -> str:
    number, most = standing.stages[stage], max(standing.stages.values())
    return "█" * (round(longest * number / most) or 1) if number else ""
