"""How long a command takes from being typed to its end, where it needs no Prefect, and until `run` has begun.

    uv run python -m tests.benchmarks.startup --rounds 7

Every command in turn, several rounds, medians. Beside the time by the clock stands the time that the processor gave to
the command itself: other work on the machine lengthens the first more than the second. For `run`, a Prefect server is
there already, and what counts is the first call for a customer.
"""

import argparse
import resource
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from sqlalchemy import insert

from store.engine import make_engine, migrate, writing
from store.models import Batch, Customer, Onboarding
from tests.journeys.people import klaviyo, write_list
from tests.journeys.processes import (
    ONBOARD,
    Onboard,
    running_alloy,
    running_prefect,
    settings_for,
    until_asked,
    untouched_environment,
)

SOMEBODY = "ada@example.test"
COMMANDS = (
    ("--help",),
    ("status",),
    ("show", SOMEBODY),
    ("links",),
    ("leftovers",),
    ("redrive", "--username", SOMEBODY, "--yes"),
    ("sandbox", "--help"),
)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--without-run", action="store_true", help="leave out `run`, which starts a Prefect server")
    wanted = parser.parse_args()
    print("| command | seconds (median) | the quickest | of its own CPU (median) |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / ".onboard"
        fill(home)
        taken: dict[str, list[tuple[float, float]]] = {" ".join(words): [] for words in COMMANDS}
        for _ in range(wanted.rounds):
            for words in COMMANDS:
                taken[" ".join(words)].append(timed(words, home))
    for name, times in taken.items():
        line(name, [clock for clock, _ in times], [cpu for _, cpu in times])
    if not wanted.without_run:
        until_first_call = list(until_run_has_begun(wanted.rounds))
        line("run LIST, until the first customer's first call", until_first_call, None)


def line(name: str, clock: list[float], cpu: list[float] | None) -> None:
    own = f"{median(cpu):.2f}" if cpu is not None else ""
    print(f"| `onboard {name}` | {median(clock):.2f} | {min(clock):.2f} | {own} |", flush=True)


def timed(words: tuple[str, ...], home: Path) -> tuple[float, float]:
    """Run a command; return its seconds by the clock, and those of the processor."""
    before, begun = cpu_of_children(), time.monotonic()
    subprocess.run(
        [ONBOARD, *words],
        env={**untouched_environment(), "ONBOARD_HOME": str(home)},
        cwd=home,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.monotonic() - begun, cpu_of_children() - before


def cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def fill(home: Path) -> None:
    """Make a database with somebody in it."""
    engine = make_engine(f"sqlite:///{home / 'onboard.db'}")
    migrate(engine)
    now = datetime.now(UTC)
    with writing(engine) as connection:
        batch = insert(Batch).values(name="spring", templates=[], created_at=now).returning(Batch.id)
        customer = insert(Customer).values(username=SOMEBODY, full_name="Ada", created_at=now).returning(Customer.id)
        values = {
            "batch_id": connection.scalar(batch),
            "customer_id": connection.scalar(customer),
            "integration": "slack",
            "integration_key": "slack",
            "stage": "new",
            "stage_since": now,
            "created_at": now,
        }
        connection.execute(insert(Onboarding).values(**values))
    engine.dispose()


def until_run_has_begun(rounds: int) -> Iterator[float]:
    with tempfile.TemporaryDirectory() as folder, running_alloy() as alloy, running_prefect(Path(folder)) as prefect:
        for number in range(rounds):
            alloy.reset()
            alloy.turn(auto="grant", latency_ms=10)
            place = Path(folder) / f"round-{number}"
            place.mkdir()
            write_list(place / "list.csv", [klaviyo(f"c{one}@example.test") for one in range(20)])
            with closed_afterwards(Onboard(place, settings_for(alloy, prefect))) as onboard:
                begun = time.monotonic()
                run = onboard.start("run", "list.csv")
                until_asked(alloy, "create_user", 1, run)
                yield time.monotonic() - begun
                run.ended()


@contextmanager
def closed_afterwards(onboard: Onboard) -> Iterator[Onboard]:
    try:
        yield onboard
    finally:
        onboard.close()


if __name__ == "__main__":
    main()
