"""What a benchmark of the command runs in: the local Alloy, a Prefect server, databases; each a process of its own."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from deployments.prefect_server.environment import CLIENT_DEFAULTS
from tests.benchmarks.databases import Databases, databases
from tests.benchmarks.local_alloy import API_KEY, LocalAlloy, local_alloy
from tests.benchmarks.six_calls import INTEGRATION
from tests.journeys.processes import Onboard, Prefect, running_prefect, untouched_environment

UNPACED = "100000"
"""Calls a second: as good as no limit, for those who measure something else than the pace."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """All of them, for any number of measurements one after the other."""

    folder: Path
    alloy: LocalAlloy
    prefect: Prefect
    databases: Databases

    @contextmanager
    def onboard(self, **settings: str) -> Iterator[Onboard]:
        """Give the command in a new folder, with these settings besides what it must be told."""
        told = {
            "ALLOY_API_KEY": API_KEY,
            "ALLOY_BASE_URL": self.alloy.url,
            "PREFECT_API_URL": self.prefect.api_url,
            **settings,
        }
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            command = Onboard(Path(folder), told)
            try:
                yield command
            finally:
                command.close()

    def for_prefect_clients(self) -> dict[str, str]:
        """Return the environment of a process that talks to the Prefect server, with the settings that ours has."""
        return {**untouched_environment(), **CLIENT_DEFAULTS, "PREFECT_API_URL": self.prefect.api_url}


@contextmanager
def surrounded() -> Iterator[Surroundings]:
    """Start all of them, and end them with the block."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        yield Surroundings(
            folder,
            stack.enter_context(local_alloy()),
            stack.enter_context(running_prefect(folder / "prefect-home")),
            stack.enter_context(databases(folder)),
        )


def write_list(path: Path, customers: int) -> Path:
    """Write a list of so many customers with an API key."""
    with path.open("w", encoding="utf-8") as file:
        file.write("username,integration,auth.apiKey\n")
        file.writelines(f"c{one:07}@example.test,{INTEGRATION},key-{one:032x}\n" for one in range(customers))
    return path
