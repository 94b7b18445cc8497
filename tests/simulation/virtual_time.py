"""An event loop without sockets, threads or waiting: when nobody has anything to do, the clock jumps to the next timer.

Every callback belongs to a party (a worker process, Alloy, the people) that its context names. A party can be frozen,
as SIGSTOP does to a process: what would run meanwhile is kept, in order, until it is let go on. One that is killed is
frozen for good. Which party's callback runs next, of several that could, is drawn by lot.
"""

import asyncio
import contextvars
import heapq
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from random import Random
from typing import Any, TypeVar, TypeVarTuple, Unpack

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

Context = dict[str, Any]


class Party:
    """Somebody who acts: what they would do while they are stopped waits here."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.stopped = False
        self.ready: deque[asyncio.Handle] = deque()


_PARTY: contextvars.ContextVar[Party] = contextvars.ContextVar("party")


def context_of(party: Party) -> contextvars.Context:
    """Return a context in which everything that is begun belongs to ``party``; without any, it is nobody's."""
    context = contextvars.Context()
    context.run(_PARTY.set, party)
    return context


class Broken(AssertionError):
    """Something that must never be so is so. Ends the loop, wherever it is raised."""


class Stuck(Broken):
    """Nobody will ever do anything again, or it never ends."""


class VirtualLoop(asyncio.AbstractEventLoop):
    """Runs callbacks at virtual times, one at a time, in an order that ``random`` decides."""

    def __init__(self, random: Random, most_steps: int) -> None:
        self._random = random
        self._most_steps = most_steps
        self._now = 0.0
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._counter = itertools.count()
        self._nobody = Party("nobody")
        self._busy: dict[Party, None] = {}
        """Those who have something to do, stopped or not."""
        self._running = False
        self._closed = False
        self._broken: BaseException | None = None
        self.steps = 0
        self.complaints: list[Context] = []
        """What went wrong with nobody there to hear of it."""

    # --- time and turns

    def time(self) -> float:
        return self._now

    def run_until_complete(self, future: Coroutine[Any, Any, T]) -> T:  # type: ignore[override]  # more is not needed
        task = self.create_task(future)
        asyncio._set_running_loop(self)
        self._running = True
        try:
            while not task.done():
                self._step()
            return task.result()
        finally:
            self._running = False
            asyncio._set_running_loop(None)

    def _step(self) -> None:
        self._wake()
        could = [party for party in self._busy if not party.stopped]
        if not could:
            if not self._timers:
                raise Stuck("nobody will ever do anything again")
            self._now = max(self._now, self._timers[0][0])
            return
        party = could[0] if len(could) == 1 else self._random.choice(could)
        handle = party.ready.popleft()
        if not party.ready:
            del self._busy[party]
        if not handle.cancelled():
            self.steps += 1
            if self.steps > self._most_steps:
                raise Stuck(f"not at its end after {self._most_steps} steps")
            handle._run()
            if self._broken is not None:
                raise self._broken

    def _wake(self) -> None:
        while self._timers and (self._timers[0][0] <= self._now or self._timers[0][2].cancelled()):
            _, _, timer = heapq.heappop(self._timers)
            if not timer.cancelled():
                self._append(timer)

    def _append(self, handle: asyncio.Handle) -> None:
        party = handle._context.get(_PARTY, self._nobody)  # type: ignore[attr-defined]  # get_context(): from 3.12
        party.ready.append(handle)
        self._busy[party] = None

    # --- what asyncio asks of a loop

    def call_soon(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._append(handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._counter), timer))
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Cancelled timers are passed over when their time comes."""

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: "Generator[Any, None, T] | Coroutine[Any, Any, T]",
        *,
        name: str | None = None,
        context: contextvars.Context | None = None,
    ) -> asyncio.Task[T]:
        return asyncio.Task(coro, loop=self, name=name, context=context)

    def run_in_executor(  # type: ignore[override]  # typeshed has it as a coroutine, asyncio as a future
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        if executor is None:
            raise RuntimeError("there are no threads here but those that an executor pretends")
        return asyncio.wrap_future(executor.submit(func, *args), loop=self)

    def call_exception_handler(self, context: Context) -> None:
        self.complaints.append(context)
        if isinstance(context.get("exception"), Broken):
            self._broken = context["exception"]

    def forgive(self) -> None:
        """Go on after something was broken, to clear up."""
        self._broken = None
        self._most_steps += self.steps

    def default_exception_handler(self, context: Context) -> None:
        self.complaints.append(context)

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return self._running

    def is_closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        self._closed = True
        self._timers.clear()
        for party in self._busy:
            party.ready.clear()


class Naps:
    """How long a simulated thread has slept: what it answers is held up for as long, and nobody else is."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def take(self) -> float:
        """Return what was slept since this was last asked."""
        seconds, self.seconds = self.seconds, 0.0
        return seconds


@contextmanager
def no_real_time(loop: VirtualLoop) -> Iterator[Naps]:
    """Make the standard library's clock and sleep the loop's, for this thread."""
    naps, own = Naps(), threading.get_ident()
    monotonic, sleep = time.monotonic, time.sleep

    def virtual_monotonic() -> float:
        return loop.time() + naps.seconds if threading.get_ident() == own else monotonic()

    def virtual_sleep(seconds: float) -> None:
        if threading.get_ident() == own:
            naps.seconds += seconds
        else:
            sleep(seconds)

    time.monotonic, time.sleep = virtual_monotonic, virtual_sleep
    try:
        yield naps
    finally:
        time.monotonic, time.sleep = monotonic, sleep
