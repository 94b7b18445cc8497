"""Several commands at work on one batch: taken in before, so that all of them begin with moving customers."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from deployments.cli.taking_in import Handed, take_in
from flows.settings import Settings
from tests.benchmarks.databases import Kind
from tests.benchmarks.surroundings import Surroundings, write_list
from tests.journeys.processes import Ended, Onboard, Started

_BATCH = "crew"
_LONGEST_SECONDS = 1800.0


@dataclass(slots=True)
class Crew:
    """The commands, and the database that they share."""

    onboard: Onboard
    database_url: str
    at_work: list[Started] = field(default_factory=list)

    def begin(self, workers: int) -> None:
        """Start so many commands."""
        self.at_work = [self.onboard.start("resume", "--batch", _BATCH, "--json") for _ in range(workers)]

    def ended(self) -> list[Ended]:
        """Wait until all have ended by themselves."""
        return [one.ended(_LONGEST_SECONDS) for one in self.at_work]

    def interrupt(self) -> list[Ended]:
        """Let all of them finish what is in flight, and end."""
        for one in self.at_work:
            one.process.send_signal(signal.SIGINT)
        return self.ended()


@contextmanager
def crew(around: Surroundings, customers: int, kind: Kind, **settings: str) -> Iterator[Crew]:
    """Take in a list of so many customers; yield the crew that is to work on it. Alloy is empty, and forgets nothing.

    The checks of the list are calls too, so the local Alloy should begin anew before the crew does.
    """
    with around.databases.new(kind) as url, around.onboard(ONBOARD_DATABASE_URL=url, **settings) as onboard:
        listed = write_list(onboard.folder / "customers.csv", customers)
        told = Settings.model_validate({name.lower(): value for name, value in onboard.settings.items()})
        take_in(told.model_copy(update={"onboard_home": onboard.home}), Handed(listed, _BATCH))
        yield Crew(onboard, url)
