"""Where everybody stands, as the one JSON object, and as a page for people with what to do next."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from deployments.cli.funnel import funnel, title
from deployments.cli.half_in import as_object
from deployments.cli.held import held
from deployments.cli.held_back import held_back
from deployments.cli.prospects import going_on, how_fast, how_long, what_comes_next
from deployments.cli.wording import command, count

if TYPE_CHECKING:
    from store.completed_lately import Pace
    from store.read_only import Database
    from store.standing import Standing


def counts_object(standing: "Standing", *, calls: int, seconds: float) -> dict[str, object]:
    """Return the object that ``run``, ``resume`` and ``status`` print with ``--json``."""
    return {
        "batch": standing.batch,
        "total": standing.total,
        "stages": {stage.value: number for stage, number in standing.stages.items()},
        "holds": {kind.value: number for kind, number in standing.holds.items()},
        "reasons": {reason.value: number for reason, number in standing.reasons.items()},
        "calls": calls,
        "seconds": round(seconds, 3),
        **_held_back_object(standing),
        **({"erased": standing.erased} if standing.erased else {}),
    }


def _held_back_object(standing: "Standing") -> dict[str, object]:
    """Return the keys that are there only if somebody is held back."""
    quarantined = [
        {
            "integration": one.integration,
            "stage": one.stage.value,
            "reason": one.reason.value,
            "since": one.since.isoformat(),
            "probe_at": one.probe_at.isoformat(),
            "held_back": one.held_back,
        }
        for one in standing.quarantined
    ]
    paused = [
        {"batch": one.batch, "since": one.since.isoformat(), "why": one.why, "held_back": one.held_back}
        for one in standing.paused
    ]
    shown: dict[str, object] = {
        "quarantined": quarantined,
        "paused": paused,
        "unfinished": [as_object(one) for one in standing.unfinished],
    }
    return {name: held_back for name, held_back in shown.items() if held_back}


def paces_object(standing: "Standing") -> dict[str, object]:
    """Return the key that ``status`` has besides, once an account was called."""
    paces = [
        {
            "calls_per_second": one.rate and round(one.rate, 2),
            "limit": "given" if one.given else "found" if one.limit_met else "searched",
            "paused_until": one.paused_until and one.paused_until.isoformat(),
        }
        for one in standing.paces
    ]
    return {"pace": paces} if paces else {}


def print_json(shown: object) -> None:
    """Print one JSON value on standard output."""
    for line in json_lines(shown, indent=2):
        typer.echo(line)


def json_lines(shown: object, indent: int | None) -> list[str]:
    """Return one JSON value as lines; without ``indent`` it is one line."""
    return json.dumps(shown, indent=indent, ensure_ascii=False).split("\n")


def pace_object(standing: "Standing", pace: "Pace") -> dict[str, object]:
    """Return the key that ``status`` has besides, if anybody was completed in the last hour."""
    if not pace.completed:
        return {}
    time = pace.time_for(going_on(standing))
    return {
        "last_hour": {
            "completed": pace.completed,
            "seconds_left": None if time is None else round(time.total_seconds()),
        }
    }


def print_standing(database: "Database", standing: "Standing", *, calls: int, seconds: float) -> None:
    """Print the funnel, who waits for what, and the commands that move them on."""
    for line in standing_lines(database, standing, calls=calls, seconds=seconds):
        typer.echo(line)


def standing_lines(
    database: "Database", standing: "Standing", *, calls: int, seconds: float, pace: "Pace | None" = None
) -> Iterator[str]:
    """Yield what :func:`print_standing` prints; with ``pace``, also how long the others will take."""
    yield title(standing)
    if standing.total == 0 and not standing.unfinished:
        yield f"  Nobody is on a list yet. Begin with: {command('run LIST')}"
        return
    yield from funnel(standing)
    yield from held(database, standing)
    yield from held_back(standing)
    yield ""
    yield from what_comes_next(standing)
    if pace is not None:
        yield from how_long(standing, pace)
    yield f"{count(calls, 'call')} to Alloy in {seconds:,.1f} seconds."
    yield from how_fast(standing)
