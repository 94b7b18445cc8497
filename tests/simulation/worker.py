"""Workers: processes that run the loop, are killed, frozen and restarted, and know nothing of each other."""

import asyncio
import contextvars
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from pydantic import SecretStr
from sqlalchemy.exc import DBAPIError

from flows.clock import FollowingClock
from flows.loop import Loop
from flows.moving import move_page
from flows.pacing import Pacing
from flows.pages import PageBudget
from flows.resources import USERS_WORTH_A_BATCH, Resources, open_resources
from flows.settings import Settings
from flows.tally import Tally
from states.failures import Halted
from store.records import Page, Scope
from tests.flows.whole_pages import WholePages
from tests.simulation.alloy import BASE_URL, KEY, SimulatedAlloy, Wire
from tests.simulation.misfortune import Blow, Fate
from tests.simulation.plan import Plan
from tests.simulation.spared import Spared
from tests.simulation.store_thread import ProcessGone, StoreThread
from tests.simulation.trace import Trace
from tests.simulation.virtual_time import Naps, Party, VirtualLoop, context_of

BEGINNING = datetime(2026, 1, 5, 10, tzinfo=UTC)
"""Virtual time zero by the database's clock."""
VAULT_KEY = SecretStr("c2ltdWxhdGlvbi1zaW11bGF0aW9uLXNpbXVsYXRpb24=")
_MOST_PAGES = 200
"""A process that has moved so many is asked to end, and started anew: its budget of task runs is in real time."""
_SHORTEST_SLEEP = 0.7
_LONGEST_SLEEP = timedelta(hours=6)


class Surroundings:
    """What all workers have in common."""

    def __init__(
        self, plan: Plan, loop: VirtualLoop, naps: Naps, fate: Fate, alloy: SimulatedAlloy, trace: Trace, home: Path
    ) -> None:
        self.plan = plan
        self.loop = loop
        self.naps = naps
        self.fate = fate
        self.alloy = alloy
        self.trace = trace
        self.home = home
        self.spared = Spared(home / "onboard.db")
        self.news = 0
        """How often somebody has done something that the workers ought to look at."""
        self._wake = asyncio.Event()
        self.settings = Settings(
            _env_file=None,  # type: ignore[call-arg]  # pydantic-settings takes it, its plugin does not know it
            alloy_api_key=SecretStr(KEY),
            alloy_base_url=BASE_URL,
            alloy_api_version=plan.dialect,
            alloy_concurrency=plan.concurrency,
            onboard_home=home,
            onboard_database_url=f"sqlite:///{home / 'onboard.db'}",
            onboard_secret_key=VAULT_KEY,
            onboard_lease_seconds=plan.lease_seconds,
            onboard_failure_count=plan.failure_count,
        )

    def now(self) -> datetime:
        """Return the time by the database's clock."""
        return BEGINNING + timedelta(seconds=self.loop.time() + self.naps.seconds)

    def tell(self) -> None:
        """Wake the workers that rest."""
        self.news += 1
        self._wake.set()
        self._wake.clear()

    async def rest(self, until: datetime, news: int) -> None:
        """Return at that time, or as soon as there is more than so much news."""
        if self.news > news:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout((until - self.now()).total_seconds()):
                await self._wake.wait()


class Process:
    """One life of a worker, from its start to its end or its death."""

    def __init__(self, name: str, around: Surroundings, random: Random, happened: Callable[["Process"], None]) -> None:
        self.name = name
        self.around = around
        self.dead = False
        self.died = asyncio.Event()
        self.known_as: str | None = None
        """The name under which it claims."""
        self._random = random
        self._pages = 0
        self._resources: Resources | None = None
        self._thread = StoreThread(
            around.loop, around.naps, around.fate, around.spared, strike=self._strike, happened=lambda: happened(self)
        )
        self._wire = Wire(name, around.alloy, around.fate, self._strike)
        self._party = Party(name)
        self.task = around.loop.create_task(self._live(), name=name, context=context_of(self._party))

    async def _live(self) -> datetime | None:
        """Do one run; return when something falls due next."""
        around, plan, loop = self.around, self.around.plan, self.around.loop
        clock = self._clock()
        clock.follow()
        pages = WholePages if plan.whole_pages else PageBudget
        following = asyncio.create_task(self._follow(clock))
        try:
            async with open_resources(
                around.settings,
                clock=clock,
                pacing=Pacing(plan.rate, clock=loop.time),
                random=self._random,
                transport=self._wire,
                executor=self._thread,
                users_worth_a_batch=2 if plan.whole_pages else USERS_WORTH_A_BATCH,
            ) as resources:
                self._resources, self.known_as = resources, resources.worker
                return (await Loop(resources, Scope(), self._move, pages).run()).next_due_at
        finally:
            following.cancel()

    async def _move(self, page: Page) -> Tally:
        assert self._resources is not None
        self._pages += 1
        if self._pages >= _MOST_PAGES:
            self._resources.stop.set()
        return await move_page(page, self._resources)

    def _clock(self) -> FollowingClock:
        """Return a clock of a machine that was booted some time ago; each look at the database's takes its time."""
        around, booted, under_way = self.around, self._random.uniform(0, 1e6), 0.0
        longest = around.plan.misfortunes.skewed_seconds

        def running_time() -> float:
            return booted + around.loop.time() + around.naps.seconds + under_way

        def look() -> datetime:
            nonlocal under_way
            under_way += self._random.uniform(0, longest)
            seen = around.now() + timedelta(seconds=under_way)
            under_way += self._random.uniform(0, longest)
            return seen

        class Clock(FollowingClock):
            def follow(self) -> None:
                nonlocal under_way
                super().follow()
                under_way = 0.0

            async def sleep(self, seconds: float) -> None:
                # A machine that has much to do wakes late; and who looks less often is simulated faster.
                await asyncio.sleep(max(seconds, _SHORTEST_SLEEP))

        return Clock(look, running_time)

    async def _follow(self, clock: FollowingClock) -> None:
        while True:
            await asyncio.sleep(self.around.plan.lease_seconds / 3)
            clock.follow()

    # --- misfortunes

    def _strike(self, blow: Blow | None) -> None:
        if blow is None or self.dead:
            return
        self.around.trace.note(self.name, str(blow))
        match blow:
            case Blow.kill:
                self.kill()
            case Blow.freeze | Blow.oversleep:
                self._party.stopped = True
                self.around.loop.call_later(
                    self.around.fate.frozen_seconds(blow), self._thaw, context=contextvars.Context()
                )
            case Blow.stop:
                if self._resources is not None:
                    self._resources.stop.set()

    def kill(self) -> None:
        """End the process: nothing of it ever runs again."""
        self.dead = self._party.stopped = True
        self.died.set()

    def _thaw(self) -> None:
        if not self.dead:
            self._party.stopped = False
            self.around.trace.note(self.name, "goes on")

    async def bury(self) -> None:
        """Unwind what is left of it, after everything was judged: it can reach neither the store nor Alloy."""
        self._thread.gone = True
        self.dead = True
        self._party.stopped = False
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


class Worker:
    """A supervisor that starts its process again whenever it has ended, and when something falls due."""

    def __init__(self, number: int, around: Surroundings, happened: Callable[[Process], None]) -> None:
        self._number = number
        self._around = around
        self._happened = happened
        self.lives: list[Process] = []
        self.faults: list[BaseException] = []
        """What a process died of that it may not die of."""

    async def supervise(self) -> None:
        """Keep a process running, for ever."""
        around = self._around
        while True:
            name = f"worker{self._number}.{len(self.lives) + 1}"
            random = Random(f"{around.plan.seed}/{name}")  # noqa: S311 - repeatable
            process = Process(name, around, random, self._happened)
            self.lives.append(process)
            around.trace.note(name, "starts")
            news = around.news
            died = asyncio.create_task(process.died.wait())
            await asyncio.wait({died, process.task}, return_when=asyncio.FIRST_COMPLETED)
            died.cancel()
            due_at = self._end_of(process)
            # Whoever ended without anything to do looks again when something falls due, or a schedule tells it to.
            await asyncio.sleep(around.fate.moment(1.0))
            await around.rest(min(due_at or around.now() + _LONGEST_SLEEP, around.now() + _LONGEST_SLEEP), news)

    def _end_of(self, process: Process) -> datetime | None:
        """Return when the worker is to run again by itself."""
        soon = self._around.now() + timedelta(seconds=self._around.fate.moment(3.0))
        if process.dead or not process.task.done():
            return soon
        process.dead = True
        fault = process.task.exception()
        if fault is None:
            self._around.trace.note(process.name, "is done")
            return process.task.result()
        self._around.trace.note(process.name, f"ends: {type(fault).__name__}")
        if not isinstance(fault, Halted | DBAPIError) or isinstance(fault, ProcessGone):
            self.faults.append(fault)
        return soon
