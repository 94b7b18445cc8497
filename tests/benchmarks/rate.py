"""How much of a rate that nobody told us is used, and how much of what we ask is refused, once the rate was found.

    uv run python -m tests.benchmarks.rate --workers 1 --workers 4

The local Alloy allows 40 calls a second, and after a while 5, by a bucket that holds ``--burst`` tokens: so many calls
may arrive at once after a pause, and never more than the rate in the long run. What was allowed and what refused is
counted in Alloy's own log. The workers are `onboard resume` commands on one batch, as many as are asked for; a phase
begins with the first call of any of them, so the time to settle includes that the others are still starting.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, get_args

import typer
from rich.table import Table

from deployments.cli.exits import ExitCode
from deployments.sandbox.request_log import RequestRecord
from tests.benchmarks.crew import Crew, crew
from tests.benchmarks.databases import Kind
from tests.benchmarks.shown import show, table
from tests.benchmarks.surroundings import Surroundings, surrounded
from tests.journeys.processes import until

_CALLS_EACH = 6
_POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Phase:
    """A rate that Alloy allows for a while."""

    per_second: float
    seconds: float
    settling: float
    """So many of them, from the beginning, are not measured."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What Alloy allowed and refused of the calls of one phase, after settling."""

    phase: Phase
    allowed: int
    refused: int

    @property
    def used(self) -> float:
        """Which share of the allowed rate was used."""
        return self.allowed / (self.phase.per_second * (self.phase.seconds - self.phase.settling))


def main(
    workers: Annotated[list[int] | None, typer.Option(help="How many processes; repeatable.")] = None,
    database: Annotated[str, typer.Option(help="SQLite or PostgreSQL.")] = "PostgreSQL",
    fast: Annotated[float, typer.Option(help="Calls a second that are allowed first.")] = 40,
    fast_seconds: Annotated[float, typer.Option(help="For how long.")] = 60,
    fast_settling: Annotated[float, typer.Option(help="How much of that is not measured.")] = 25,
    slow: Annotated[float, typer.Option(help="Calls a second that are allowed then.")] = 5,
    slow_seconds: Annotated[float, typer.Option(help="For how long.")] = 120,
    slow_settling: Annotated[float, typer.Option(help="How much of that is not measured.")] = 40,
    burst: Annotated[int, typer.Option(help="How many calls may arrive at once after a pause.")] = 4,
    latency_ms: Annotated[int, typer.Option(help="What each call takes at Alloy.")] = 50,
) -> None:
    """Print the share of the allowed rate that is used, and of the calls that are refused."""
    phases = (Phase(fast, fast_seconds, fast_settling), Phase(slow, slow_seconds, slow_settling))
    [kind] = [one for one in get_args(Kind) if one.lower() == database.lower()]
    with surrounded() as around:
        found = {
            number: measure(around, number, kind, phases, burst=burst, latency_ms=latency_ms)
            for number in workers or [1, 4]
        }
    show(tabulate(found, burst, kind))


def measure(
    around: Surroundings, workers: int, kind: Kind, phases: Sequence[Phase], *, burst: int, latency_ms: int
) -> list[Measured]:
    """Let so many workers find out what is allowed, phase by phase."""
    # More than they can onboard, so that there is something to do until the end.
    customers = int(sum(phase.per_second * phase.seconds for phase in phases) / _CALLS_EACH * 1.5) + 20
    with crew(around, customers, kind) as at_work:
        around.alloy.begin_anew(latency_ms=latency_ms, rate_limit_burst=burst, rate_limit_per_s=phases[0].per_second)
        at_work.begin(workers)
        until(lambda: bool(around.alloy.control.requests()), at_work.at_work[0])
        began = around.alloy.control.requests()[0].at / 1000
        starts = [began]
        for phase in phases:
            around.alloy.control.turn(rate_limit_per_s=phase.per_second)
            starts.append(starts[-1] + phase.seconds)
            _let_pass(starts[-1], at_work)
        asked = around.alloy.control.requests()
        assert all(one.code == ExitCode.interrupted for one in at_work.interrupt())
    return [_count(phase, start, asked) for phase, start in zip(phases, starts[:-1], strict=True)]


def _let_pass(until_then: float, at_work: Crew) -> None:
    while (left := until_then - time.time()) > 0:
        assert all(one.process.poll() is None for one in at_work.at_work), [one.ended() for one in at_work.at_work]
        time.sleep(min(left, _POLL_SECONDS))


def _count(phase: Phase, start: float, asked: Sequence[RequestRecord]) -> Measured:
    window = [
        one
        for one in asked
        if start + phase.settling <= one.at / 1000 < start + phase.seconds and one.status is not None
    ]
    refused = sum(one.status == HTTPStatus.TOO_MANY_REQUESTS for one in window)
    return Measured(phase, len(window) - refused, refused)


def tabulate(found: dict[int, list[Measured]], burst: int, kind: Kind) -> Table:
    """Return the table, with a line for each phase and one for both."""
    rows = []
    for workers, phases in found.items():
        rows += [
            (
                str(workers),
                f"{one.phase.per_second:g}/s",
                f"{one.allowed / (one.phase.seconds - one.phase.settling):.2f}/s",
                f"{one.used:.3f}",
                _share(one.refused, one.allowed),
            )
            for one in phases
        ]
        refused, allowed = sum(one.refused for one in phases), sum(one.allowed for one in phases)
        rows.append((str(workers), "both", "", "", _share(refused, allowed)))
    return table(
        f"A rate that nobody told us; bucket of {burst}; {kind}; after settling",
        ("workers", "allowed", "used", "share used", "refused"),
        rows,
    )


def _share(refused: int, allowed: int) -> str:
    return f"{100 * refused / max(refused + allowed, 1):.2f} % ({refused})"


if __name__ == "__main__":
    typer.run(main)
