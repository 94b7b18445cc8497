"""One seed, from an empty account to the end, and what came of it."""

import asyncio
import random as global_random
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory, mkdtemp

from store.engine import make_engine, migrate
from tests.simulation.alloy import SimulatedAlloy
from tests.simulation.beginning import Beginning, begin, hand_in
from tests.simulation.books import Books
from tests.simulation.misfortune import Fate
from tests.simulation.people import People
from tests.simulation.plan import Plan, draw_plan
from tests.simulation.reckoning import Reckoning
from tests.simulation.store_thread import failing_databases
from tests.simulation.trace import Trace
from tests.simulation.virtual_time import Broken, Naps, VirtualLoop, no_real_time
from tests.simulation.worker import Process, Surroundings, Worker

_MOST_STEPS = 400_000
_PATIENCE_SECONDS = 8 * 86_400.0
_LINK_IN_HAND_SECONDS = 8.0
"""How soon customers open a link that was sent to them."""
_FAST_PLACE = Path("/dev/shm")  # noqa: S108 - a file in memory, where there is such a place


@dataclass
class Outcome:
    """What one seed came to."""

    seed: int
    digest: str = ""
    steps: int = 0
    events: int = 0
    checks: int = 0
    calls: int = 0
    created_together: int = 0
    """Calls that created several users."""
    faults: Counter[str] = field(default_factory=Counter)
    """Alloy's, by kind."""
    misfortunes: Counter[str] = field(default_factory=Counter)
    """Our own."""
    virtual_seconds: float = 0.0
    onboardings: int = 0
    completed: int = 0
    leftovers: int = 0
    """Inert things at Alloy that are on none of our records, each listed by us."""
    broken: str = ""
    last_events: list[str] = field(default_factory=list)


def simulate(seed: int, listener: Callable[[str], None] | None = None) -> Outcome:
    """Play ``seed`` and return what came of it; ``listener`` is told every event."""
    with TemporaryDirectory(dir=_place()) as folder:
        return _Simulation(draw_plan(seed), Path(folder), listener).play()


def _place() -> Path | None:
    return _FAST_PLACE if _FAST_PLACE.is_dir() else None


@cache
def _template() -> bytes:
    """Return a database with all tables, made once a process."""
    folder = Path(mkdtemp(dir=_place()))
    try:
        engine = make_engine(f"sqlite:///{folder / 'empty.db'}")
        migrate(engine)
        engine.dispose()
        return (folder / "empty.db").read_bytes()
    finally:
        shutil.rmtree(folder)


class _Simulation:
    def __init__(self, plan: Plan, home: Path, listener: Callable[[str], None] | None) -> None:
        self._plan = plan
        self._home = home
        self._loop = VirtualLoop(Random(f"order/{plan.seed}"), _MOST_STEPS)  # noqa: S311 - repeatable
        self._trace = Trace(self._loop.time, listener)
        self._fate = Fate(Random(f"fate/{plan.seed}"), plan.misfortunes, plan.lease_seconds)  # noqa: S311
        self._alloy: SimulatedAlloy
        self._books: Books | None = None
        self._beginning: Beginning
        self._workers: list[Worker] = []

    def play(self) -> Outcome:
        """Play it to its end, or until something is broken."""
        (self._home / "onboard.db").write_bytes(_template())
        outcome = Outcome(self._plan.seed)
        before = global_random.getstate()
        global_random.seed(self._plan.seed)  # what stamina draws its jitter from
        try:
            with no_real_time(self._loop) as naps, failing_databases():
                try:
                    outcome.leftovers = self._loop.run_until_complete(self._story(naps))
                except Broken as broken:
                    outcome.broken = str(broken) or type(broken).__name__
                    outcome.last_events = list(self._trace.last)
                self._judge(outcome)
                self._loop.forgive()
                self._loop.run_until_complete(self._bury())
        finally:
            global_random.setstate(before)
            self._loop.close()
            if self._books is not None:
                self._books.close()
        return outcome

    def _judge(self, outcome: Outcome) -> None:
        outcome.digest = self._trace.digest()
        outcome.steps, outcome.events = self._loop.steps, self._trace.events
        outcome.calls, outcome.faults = self._alloy.calls, self._alloy.faults
        outcome.created_together = self._alloy.created_together
        outcome.misfortunes = self._fate.struck
        outcome.virtual_seconds = self._loop.time()
        if self._books is not None:
            outcome.checks = self._books.checks
            outcome.onboardings = len(self._books.entries)
            outcome.completed = sum(one.stage == "completed" for one in self._books.entries.values())

    async def _story(self, naps: Naps) -> int:
        """Let everything happen; return how many leftovers there are, all of them listed."""
        plan, loop = self._plan, self._loop
        self._alloy = SimulatedAlloy(plan, loop, self._trace, self._alloy_changed)
        around = Surroundings(plan, loop, naps, self._fate, self._alloy, self._trace, self._home)
        self._beginning = begin(plan, self._alloy)
        engine = make_engine(around.settings.database_url)
        try:
            hand_in(plan, engine, around)
            books = self._books = Books(plan, around, self._alloy, self._beginning)
            people = People(plan, around, self._alloy, engine, books)
            reckoning = Reckoning(plan, books, self._alloy, self._beginning, self._fate)
            self._workers = [Worker(number, around, self._happened) for number in range(1, plan.workers + 1)]
            supervisors = [asyncio.create_task(one.supervise()) for one in self._workers]
            meddling = asyncio.create_task(people.meddle())
            await asyncio.sleep(plan.troubled_seconds)
            meddling.cancel()
            self._be_kind()
            around.tell()
            await self._come_to_an_end(people, reckoning, around)
            for one in supervisors:
                one.cancel()
            return reckoning.leftovers()
        finally:
            around.spared.close()
            engine.dispose()

    def _be_kind(self) -> None:
        """Stop all that goes wrong; what the vendor's habits are, stays."""
        self._trace.note("fate", "nothing goes wrong any more")
        self._fate.kind = True
        world = self._alloy.world
        world.faults.clear()
        world.knobs = replace(world.knobs, rate_limit_per_s=None)

    async def _come_to_an_end(self, people: People, reckoning: Reckoning, around: Surroundings) -> None:
        pause = 30.0
        while not reckoning.is_over():
            if self._loop.time() > _PATIENCE_SECONDS:
                raise Broken(f"not at an end after {_PATIENCE_SECONDS / 86_400:g} days: {reckoning.unfinished()}")
            people.do_what_is_asked()
            await asyncio.sleep(_LINK_IN_HAND_SECONDS)
            people.consent()
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 6 * 3600)
        # What is under way may still have an effect.
        await asyncio.sleep(4 * around.plan.lease_seconds)

    # --- after every step

    def _happened(self, process: Process) -> None:
        if self._books is not None:
            self._books.look(process)
        for worker in self._workers:
            if worker.faults:
                raise Broken(f"a worker may not end so: {worker.faults[0]!r}") from worker.faults[0]

    def _alloy_changed(self) -> None:
        if self._books is not None:
            self._books.check_alloy()

    async def _bury(self) -> None:
        for worker in self._workers:
            for life in worker.lives:
                await life.bury()
        rest = asyncio.all_tasks(self._loop) - {asyncio.current_task(self._loop)}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
