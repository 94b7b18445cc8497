"""How much faster four processes are than one, on one PostgreSQL, where Alloy takes its time; and what holds them up.

    uv run python -m tests.benchmarks.workers --workers 1 --workers 4

The workers are `onboard resume` commands on one batch. Measured is from the moment when the last of them has moved its
first customer until the last customer is completed: a process takes seconds to start. The second table is the profile:
the CPU seconds of each kind of process in that time, so that it shows what stands in the way where four are not three
times as fast as one.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import cpu_count
from statistics import median
from typing import Annotated

import typer
from rich.table import Table
from sqlalchemy import Engine, text

from deployments.prefect_server.process import running_server
from states.stage import Stage
from store.engine import make_engine, reading
from tests.benchmarks.crew import Crew, crew
from tests.benchmarks.process_figures import busy_seconds, cpu_seconds, parent_of
from tests.benchmarks.shown import show, table
from tests.benchmarks.surroundings import UNPACED, Surroundings, surrounded
from tests.postgresql import administering

_LOOK_EVERY_SECONDS = 0.2
_LONGEST_SECONDS = 3600.0
_STEPS = {stage: number for number, stage in enumerate(Stage)}
_LAST = max(_STEPS.values())

Profile = dict[str, float]


@dataclass(frozen=True, slots=True)
class Look:
    """How far a batch is at a moment, and what each kind of process has used of the CPU until then."""

    at: float
    moves: int
    used: Profile


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of one measurement."""

    speed: float
    """Onboardings a second: five moves are one."""
    seconds: float
    used: Profile


def main(
    workers: Annotated[list[int] | None, typer.Option(help="How many processes; repeatable.")] = None,
    customers: Annotated[int, typer.Option(help="How many customers for each of them.")] = 500,
    latency_ms: Annotated[int, typer.Option(help="What each call takes at Alloy.")] = 200,
    rounds: Annotated[int, typer.Option(help="How often each number is measured.")] = 3,
) -> None:
    """Print onboardings per second, and the profile."""
    with surrounded() as around:
        show(*measure(around, workers or [1, 4], customers, latency_ms, rounds))


def measure(
    around: Surroundings, numbers: Sequence[int], customers: int, latency_ms: int, rounds: int
) -> tuple[Table, Table]:
    """Measure every number of workers in turn; return both tables."""
    found: dict[int, list[Measured]] = {number: [] for number in numbers}
    for _ in range(rounds):
        for number in numbers:
            found[number].append(_measure(around, number, customers * number, latency_ms))
    speeds = {number: median(one.speed for one in measured) for number, measured in found.items()}
    speed = table(
        f"PostgreSQL, {latency_ms} ms a call, 20 in flight a process, medians of {rounds} rounds",
        ("workers", "onboardings/s", "of the first", "rounds"),
        (
            (
                str(number),
                f"{speeds[number]:.1f}",
                f"{speeds[number] / speeds[numbers[0]]:.2f}",
                " ".join(f"{one.speed:.1f}" for one in found[number]),
            )
            for number in numbers
        ),
    )
    return speed, _profile(found)


def _profile(found: dict[int, list[Measured]]) -> Table:
    kinds = list(next(iter(found.values()))[0].used)
    rows = []
    for number, measured in found.items():
        shares = [median(one.used[kind] / one.seconds for one in measured) for kind in kinds]
        each = [median(1000 * one.used[kind] / (one.speed * one.seconds) for one in measured) for kind in kinds]
        rows.append((f"{number}: cores in use", *(f"{share:.2f}" for share in shares)))
        rows.append((f"{number}: CPU ms an onboarding", *(f"{one:.1f}" for one in each)))
    return table(f"The profile, on {cpu_count()} cores", ("workers", *kinds), rows)


def _measure(around: Surroundings, number: int, customers: int, latency_ms: int) -> Measured:
    with crew(around, customers, "PostgreSQL", ALLOY_RATE=UNPACED) as at_work:
        around.alloy.begin_anew(latency_ms=latency_ms)
        engine = make_engine(at_work.database_url)
        try:
            at_work.begin(number)
            _await(lambda: _workers_seen(engine) >= number, at_work)
            began = _look(around, engine, at_work)
            assert began.moves < customers * _LAST, "all was done before the last one began: more customers are needed"
            _await(lambda: _moves(engine) >= customers * _LAST, at_work)
            ended = _look(around, engine, at_work)
        finally:
            engine.dispose()
        assert all(one.code == 0 for one in at_work.ended())
    seconds = ended.at - began.at
    used = {kind: ended.used[kind] - began.used[kind] for kind in began.used}
    return Measured((ended.moves - began.moves) / _LAST / seconds, seconds, used)


def _await(condition: Callable[[], bool], at_work: Crew) -> None:
    deadline = time.monotonic() + _LONGEST_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that in time"
        failed = [one.ended() for one in at_work.at_work if one.process.poll() not in (None, 0)]
        assert not failed, failed
        time.sleep(_LOOK_EVERY_SECONDS)


def _look(around: Surroundings, engine: Engine, at_work: Crew) -> Look:
    server = running_server(around.prefect.folder / "prefect")
    with administering(around.databases.server) as run:
        postmaster = parent_of(run("SELECT pg_backend_pid()").scalar_one())
    used = {
        "ours": sum(cpu_seconds(one.process.pid) for one in at_work.at_work),
        "Alloy": cpu_seconds(around.alloy.pid),
        "PostgreSQL": cpu_seconds(postmaster),
        "Prefect's server": cpu_seconds(server.pid) if server is not None else 0.0,
        "the whole machine": busy_seconds(),
    }
    return Look(time.monotonic(), _moves(engine), used)


def _workers_seen(engine: Engine) -> int:
    with reading(engine) as connection:
        seen = connection.execute(text("SELECT count(DISTINCT worker) FROM history WHERE trigger IS NOT NULL"))
        return int(seen.scalar_one())


def _moves(engine: Engine) -> int:
    with reading(engine) as connection:
        found = connection.execute(text("SELECT stage, count(*) FROM onboarding GROUP BY stage"))
        return sum(_STEPS[Stage(stage)] * number for stage, number in found)


if __name__ == "__main__":
    typer.run(main)
