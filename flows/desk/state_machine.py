"""The state machine with everybody in it: a box for each stage, and beside it one for each hold that somebody has."""

from collections.abc import Iterator

from flows.desk.drawing import CLASSES, drawing
from states.holds import HoldKind
from states.stage import Stage
from states.transitions import TRANSITIONS
from store.standing import Standing

_WAITS = {
    HoldKind.retry: "tried again",
    HoldKind.customer: "customer",
    HoldKind.operator: "operator",
    HoldKind.cancelled: "cancelled",
}


def state_machine(standing: Standing) -> str:
    """Return the flowchart of all stages, from the top down."""
    return drawing(["flowchart TD", *_lines(standing)], flowchart={"nodeSpacing": 30, "rankSpacing": 35})


def held_at(standing: Standing, stage: Stage) -> dict[HoldKind, int]:
    """Return how many stand still at ``stage``, by kind of hold; only those kinds that somebody has."""
    found: dict[HoldKind, int] = {}
    for kind in HoldKind:
        number = sum(count for (where, hold, _), count in standing.parts.items() if (where, hold) == (stage, kind))
        if number:
            found[kind] = number
    return found


def _lines(standing: Standing) -> Iterator[str]:
    for stage in Stage:
        shape = "completed" if stage is Stage.completed else "stage"
        yield f'    {stage}["{stage}: {standing.stages[stage]:,}"]:::{shape}'
    for row in TRANSITIONS:
        yield f"    {row.source} -->|{row.trigger}| {row.dest}"
    for stage in Stage:
        for kind, number in held_at(standing, stage).items():
            yield f'    {stage} -.- {stage}_{kind}(["{_WAITS[kind]}: {number:,}"]):::{kind}'
    for name, style in CLASSES.items():
        yield f"    classDef {name} {style}"
