"""Run the proof and print what it found; exit 1 if anything is lost, doubled, unexplained, or taken up too late."""

import signal
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tests.chaos.battle import Chaos, wage
from tests.chaos.report import print_report
from tests.postgresql import administering, running_postgresql, with_database


def main(
    customers: Annotated[int, typer.Option(help="How many are on the list.")] = 5000,
    workers: Annotated[int, typer.Option(help="How many processes work at a time.")] = 4,
    seed: Annotated[int, typer.Option(help="Of the blows: kinds, lengths, whom.")] = 1,
    every: Annotated[float, typer.Option(help="Seconds between blows, on average.")] = 3.0,
    lease: Annotated[float, typer.Option(help="Seconds that a worker may be silent.")] = 3.0,
    latency_ms: Annotated[float, typer.Option(help="What a call takes at Alloy, before and after its effect.")] = 60,
    can_be_listed: Annotated[bool, typer.Option(help="Alloy lists what was only started.")] = False,
) -> None:
    """Onboard everybody while workers are killed and stopped, and compare the three books."""
    chaos = Chaos(
        customers=customers,
        workers=workers,
        seed=seed,
        every=every,
        lease=lease,
        latency_ms=latency_ms,
        can_be_listed=can_be_listed,
    )
    # By default SIGTERM ends Python without a clean-up, and workers and servers would be left behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console(width=110, highlight=False)
    with running_postgresql() as server, tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        with administering(server) as run:
            run("CREATE DATABASE chaos")
        outcome = wage(chaos, with_database(server, "chaos"), Path(folder), say=console.print)
        print_report(outcome, console)
    raise typer.Exit(0 if outcome.is_as_promised else 1)


typer.run(main)
