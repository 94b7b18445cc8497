"""How fast a list of API-key customers is brought to the end, beside everything else that makes the same calls.

    uv run python -m tests.benchmarks.bulk
    uv run python -m tests.benchmarks.bulk --customers 300 --rounds 1 --only ours --only aiohttp

All talk to the same local Alloy, which runs in a process of its own, with the same number of calls in flight; they take
turns, every other round in the opposite order, and the medians are compared. Ours is the real command, with its Prefect
server, its database and its journal; its seconds are those of ``onboard run --json``, from before the first call to the
last recorded outcome. The others' are from before the first call to the last answer. Slow ones are given fewer
customers, since their rate does not depend on that. PostgreSQL is the one of the tests, which does not wait for the
disk; that favours DBOS.

After each run of ours the Prefect server is asked for its task runs: all must have completed, and their names must
account for every customer at every step.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import Annotated

import typer
from rich.table import Table

from states.stage import Trigger
from tests.benchmarks.databases import Kind
from tests.benchmarks.recorded import await_ended, latest_flow_run, shown
from tests.benchmarks.shown import show, table
from tests.benchmarks.six_calls import CONNECTIONS, Connections
from tests.benchmarks.surroundings import UNPACED, Surroundings, surrounded, write_list

_LONGEST_SECONDS = 3600.0
_CALLS_EACH = 6
_BARE_LOOPS: dict[Connections, str] = {
    "aiohttp": "bare httpx, aiohttp below",
    "slots": "bare httpx, connection a slot",
    "shared": "bare httpx, shared client",
}


@dataclass(frozen=True, slots=True)
class Race:
    """How much there is to do, and who takes part."""

    customers: int = 2000
    slow_customers: int = 500
    latency_ms: int = 50
    concurrency: int = 100
    rounds: int = 3
    only: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Lap:
    """What one run took, and what Prefect's server recorded of it."""

    seconds: float
    task_runs: str = ""


@dataclass(slots=True)
class Contender:
    """Who takes part, and what they have done so far."""

    name: str
    customers: int
    run: Callable[[int], Lap]
    """Given the number of the round."""
    speeds: list[float] = field(default_factory=list)
    calls: list[float] = field(default_factory=list)
    task_runs: str = ""


def main(
    customers: Annotated[int, typer.Option(help="How many customers a run onboards.")] = 2000,
    slow_customers: Annotated[int, typer.Option(help="And how many of slow contenders.")] = 500,
    latency_ms: Annotated[int, typer.Option(help="What each call takes at Alloy.")] = 50,
    concurrency: Annotated[int, typer.Option(help="Calls in flight.")] = 100,
    rounds: Annotated[int, typer.Option(help="How often each contender runs.")] = 3,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Who takes part: ours, aiohttp, slots, shared, prefect, dbos-sqlite, dbos-postgresql."),
    ] = None,
) -> None:
    """Print onboardings per second of all, and their ratios."""
    race = Race(customers, slow_customers, latency_ms, concurrency, rounds, tuple(only or ()))
    with surrounded() as around:
        show(measure(around, race))


def measure(around: Surroundings, race: Race) -> Table:
    """Let everybody run in turn; return the table."""
    contenders = _contenders(around, race)
    for number in range(race.rounds):
        for one in contenders if number % 2 == 0 else reversed(contenders):
            around.alloy.begin_anew(latency_ms=race.latency_ms)
            lap = one.run(number)
            assert around.alloy.control.ledger().installations_completed == one.customers, one.name
            one.calls.append(len(around.alloy.control.requests()) / one.customers)
            one.speeds.append(one.customers / lap.seconds)
            one.task_runs = lap.task_runs
    return _table(contenders, race)


def _contenders(around: Surroundings, race: Race) -> list[Contender]:
    every: dict[str, Contender] = {
        "ours": Contender("onboard run", race.customers, lambda number: _ours(around, race, number)),
        **{str(name): _bare(around, race, name) for name in CONNECTIONS},
        "prefect": Contender("a Prefect task per call", race.slow_customers, lambda _: _prefect(around, race)),
        "dbos-sqlite": _dbos(around, race, "SQLite"),
        "dbos-postgresql": _dbos(around, race, "PostgreSQL"),
    }
    return [one for name, one in every.items() if not race.only or name in race.only]


def _ours(around: Surroundings, race: Race, number: int) -> Lap:
    batch = f"bulk-{number}"
    with around.onboard(ALLOY_RATE=UNPACED, ALLOY_CONCURRENCY=str(race.concurrency)) as onboard:
        listed = write_list(onboard.folder / "customers.csv", race.customers)
        ended = onboard.start("run", str(listed), "--batch", batch, "--json").ended(_LONGEST_SECONDS)
    assert ended.code == 0, ended
    assert ended.json["stages"]["completed"] == race.customers
    recorded = shown(around.prefect, latest_flow_run(around.prefect, f"onboard {batch}"))
    assert not recorded.unless_completed(), recorded
    assert recorded.customers == dict.fromkeys(Trigger, race.customers), recorded
    return Lap(ended.json["seconds"], f"all {recorded.recorded:,}")


def _bare(around: Surroundings, race: Race, connections: Connections) -> Contender:
    def run(_: int) -> Lap:
        return Lap(float(_apart("bare", around, race.customers, race, connections)))

    return Contender(_BARE_LOOPS[connections], race.customers, run)


def _prefect(around: Surroundings, race: Race) -> Lap:
    told = json.loads(_apart("prefect_tasks", around, race.slow_customers, race))
    expected = race.slow_customers * _CALLS_EACH
    # Whoever runs next must not find the server busy with these.
    ended = await_ended(around.prefect, told["flow_run"], expected)
    return Lap(told["seconds"], f"{ended:,} of {expected:,}")


def _dbos(around: Surroundings, race: Race, kind: Kind) -> Contender:
    def run(_: int) -> Lap:
        with around.databases.new(kind) as url:
            return Lap(float(_apart("dbos_steps", around, race.slow_customers, race, url)))

    return Contender(f"DBOS, {kind}", race.slow_customers, run)


def _apart(module: str, around: Surroundings, customers: int, race: Race, *words: str) -> str:
    """Run a contender in a process of its own; return what it printed."""
    command = [sys.executable, "-m", f"tests.benchmarks.{module}", around.alloy.url]
    done = subprocess.run(
        [*command, str(customers), str(race.concurrency), *words],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env=around.for_prefect_clients(),
    )
    return done.stdout


def _table(contenders: list[Contender], race: Race) -> Table:
    speeds = {one.name: median(one.speeds) for one in contenders}
    best_bare = max((speeds[name] for name in _BARE_LOOPS.values() if name in speeds), default=None)
    return table(
        f"{race.latency_ms} ms a call, {race.concurrency} in flight, medians of {race.rounds} rounds",
        ("contender", "customers", "onboardings/s", "of best bare", "calls each", "task runs recorded", "rounds"),
        (
            (
                one.name,
                f"{one.customers:,}",
                f"{speeds[one.name]:.1f}",
                f"{speeds[one.name] / best_bare:.2f}" if best_bare else "",
                f"{median(one.calls):.2f}",
                one.task_runs,
                " ".join(f"{speed:.0f}" for speed in one.speeds),
            )
            for one in contenders
        ),
    )


if __name__ == "__main__":
    typer.run(main)
