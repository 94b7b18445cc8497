"""One whole proof: servers, crew, blows, until everybody is onboarded; then what the books say."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random

from sqlalchemy import Engine

from deployments.sandbox.control import SandboxControl
from deployments.sandbox.faults import Fault
from states.holds import HoldKind
from states.stage import Stage
from store.engine import make_engine, migrate
from store.standing import standing
from tests.chaos.books import Books, compare
from tests.chaos.crew import Crew
from tests.chaos.machines_postgresql import machines_postgresql
from tests.chaos.plan import Blow, blows
from tests.chaos.prefect_server import PrefectServer
from tests.chaos.recovery import Recovery, recovery
from tests.chaos.witness import install, testimony
from tests.journeys.people import Person, people, write_list
from tests.journeys.processes import Onboard, running_alloy, settings_for, until

FAULTS = (
    Fault(kind="err_after", probability=0.005, count=None),
    Fault(kind="drop_after", probability=0.005, count=None, reset=True),
    Fault(kind="err_before", probability=0.002, count=None),
    Fault(kind="drop_before", probability=0.002, count=None),
    Fault(kind="truncate", probability=0.002, count=None),
    Fault(kind="429", probability=0.0005, count=None),
)
"""What else goes wrong on the way: drawn by the local Alloy, a few calls in a hundred."""

_LOOK_SECONDS = 0.05
_COUNT_SECONDS = 1.0
_SAY_SECONDS = 15.0


@dataclass(frozen=True, kw_only=True)
class Chaos:
    """What a proof is made of."""

    customers: int = 5000
    workers: int = 4
    seed: int = 1
    lease: float = 3.0
    every: float = 3.0
    """Seconds between blows, on average."""
    latency_ms: float = 60
    """What each call takes at Alloy before it takes effect, and again before its answer."""
    concurrency: int = 20
    can_be_listed: bool = False
    """Whether Alloy lists installations that were only started; the dialect of the document does not."""
    longest: float = 1800.0
    """Seconds after which what is not completed counts as lost."""


@dataclass
class Outcome:
    """What was done, and what came of it."""

    chaos: Chaos
    crew: Crew
    books: Books
    recovery: Recovery
    seconds: float
    prefect: str
    prefect_restarts: int

    @property
    def beyond_their_lease(self) -> int:
        """How many stops were longer than the lease."""
        return sum((one.until - one.at).total_seconds() > self.chaos.lease for one in self.crew.stops if one.until)

    @property
    def is_as_promised(self) -> bool:
        """Whether nothing is lost, doubled, unexplained, taken up too late, or ended badly."""
        late = self.recovery.forgotten or self.recovery.beyond(self.bound_here)
        return not (self.books.wrong or late or self.crew.ended_badly)

    @property
    def bound(self) -> timedelta:
        """The longest that a dead worker's record may wait for its next step."""
        return timedelta(seconds=self.chaos.lease + 5)

    @property
    def bound_here(self) -> timedelta:
        """The same on a machine that is busy with other things, too."""
        return self.bound + timedelta(seconds=self.recovery.usual)


def wage(chaos: Chaos, postgresql: str, folder: Path, *, say: Callable[[str], None]) -> Outcome:
    """Bring everybody on a list to the end, while workers are killed and stopped; return what the books say."""
    engine = make_engine(postgresql)
    try:
        migrate(engine)
        install(engine)
        with running_alloy() as alloy, _prefect(folder / "prefect") as (prefect, kept_in):
            battle = _Battle(chaos, engine, alloy, prefect, Onboard(folder, {}), say)
            battle.onboard.settings |= settings_for(alloy, prefect.for_clients) | {
                "ONBOARD_DATABASE_URL": postgresql,
                "ONBOARD_LEASE_SECONDS": str(chaos.lease),
                "ALLOY_CONCURRENCY": str(chaos.concurrency),
            }
            try:
                battle.take_in()
                seconds = battle.fight()
            finally:
                battle.onboard.close()
            seen = testimony(engine)
            crew = battle.crew
            books = compare(engine, alloy, battle.listed, seen, crew.deaths + crew.stops)
            return Outcome(
                chaos, crew, books, recovery(crew.deaths, crew.stops, seen), seconds, kept_in, battle.prefect_restarts
            )
    finally:
        engine.dispose()


@contextmanager
def _prefect(folder: Path) -> Iterator[tuple[PrefectServer, str]]:
    with machines_postgresql() as database:
        server = PrefectServer(folder, database)
        try:
            server.start()
            server.await_answer()
            yield server, "SQLite" if database is None else "PostgreSQL"
        finally:
            server.kill()


class _Battle:
    """The blows as they fall."""

    def __init__(
        self,
        chaos: Chaos,
        engine: Engine,
        alloy: SandboxControl,
        prefect: PrefectServer,
        onboard: Onboard,
        say: Callable[[str], None],
    ) -> None:
        self.chaos = chaos
        self.engine = engine
        self.alloy = alloy
        self.prefect = prefect
        self.onboard = onboard
        self.listed: list[Person] = people(chaos.customers)
        self.prefect_restarts = 0
        self.crew = Crew(
            onboard,
            engine,
            chaos.workers,
            (("run", "list.csv"), ("resume",)),
            Random(f"crew {chaos.seed}"),  # noqa: S311 - repeatable
        )
        self._say = say
        self._random = Random(f"battle {chaos.seed}")  # noqa: S311 - repeatable
        self._blows = blows(chaos.seed, every=chaos.every, lease=chaos.lease)
        self._blow: Blow = next(self._blows)
        self._began = self._struck_at = time.monotonic()
        self._prefect_back_at: float | None = None

    def take_in(self) -> None:
        """Let one worker take the list in, undisturbed: a crash during intake is another proof."""
        write_list(self.onboard.folder / "list.csv", self.listed)
        half = self.chaos.latency_ms
        self.alloy.turn(
            auto="grant", latency_ms=half, latency_after_ms=half, installations_resource=self.chaos.can_be_listed
        )
        first = self.onboard.start("run", "list.csv", "--json")
        until(lambda: "taken in" in first.err.read_text(encoding="utf-8"), first)
        self.alloy.add_fault(*FAULTS)
        first.kill()

    def fight(self) -> float:
        """Strike until everybody has come to an end; return how many seconds that took."""
        self._began = self._struck_at = time.monotonic()
        counted_at = said_at = 0.0
        where = standing(self.engine)
        while where.stages[Stage.completed] + where.holds[HoldKind.operator] < len(self.listed):
            now = time.monotonic()
            assert now < self._began + self.chaos.longest, f"it did not come to an end: {where}"
            self.crew.keep_at_work()
            for worker in self.crew.wake():
                self._tell(f"SIGCONT worker {worker.place}")
            self._strike()
            if now >= counted_at + _COUNT_SECONDS:
                counted_at, where = now, standing(self.engine)
                self._disturb_prefect(where.stages[Stage.completed] / len(self.listed))
            if now >= said_at + _SAY_SECONDS:
                said_at = now
                self._tell(f"{where.stages[Stage.completed]} of {len(self.listed)} completed")
            time.sleep(_LOOK_SECONDS)
        seconds = time.monotonic() - self._began
        self._bring_prefect_back()
        self.crew.end()
        return seconds

    def _strike(self) -> None:
        if time.monotonic() < self._struck_at + self._blow.pause:
            return
        at_work = self.crew.at_work()
        if len(at_work) < 2:  # somebody must be there to take over, or the wait would not be that of a takeover
            self._struck_at = time.monotonic() - self._blow.pause / 2  # nor is a newcomer struck at once
            return
        blow, worker = self._blow, at_work[int(self._blow.whom * len(at_work))]
        struck = self.crew.kill(worker) if blow.kind == "kill" else self.crew.stop(worker, blow.seconds)
        self._tell(f"{blow} worker {worker.place} (pid {struck.pid}), which held {len(struck.held)}")
        self._blow, self._struck_at = next(self._blows), time.monotonic()

    def _disturb_prefect(self, done: float) -> None:
        """Kill Prefect's server once, when a third is done, and let it come back some seconds later."""
        if self.prefect_restarts == 0 and self._prefect_back_at is None and done >= 1 / 3:
            self.prefect.kill()
            self._prefect_back_at = time.monotonic() + 5 + 5 * self._random.random()
            self._tell("SIGKILL Prefect's server")
        elif self._prefect_back_at is not None and time.monotonic() >= self._prefect_back_at:
            self._bring_prefect_back()

    def _bring_prefect_back(self) -> None:
        if self._prefect_back_at is not None:
            self.prefect.start()
            self._prefect_back_at = None
            self.prefect_restarts += 1
            self._tell("Prefect's server starts again")

    def _tell(self, words: str) -> None:
        self._say(f"{time.monotonic() - self._began:7.1f} s  {words}")
