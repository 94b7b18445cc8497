"""A work pool's worker that ends as our other commands do: its runs finish what is in flight, and are waited for.

Prefect's own kills its runs when it is ended, and their calls to Alloy with them: outcomes that nobody knows, records
that nobody gives back, and runs that its pages show as at work for good.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

_POLL_SECONDS = 0.2


def work_for(pool: str, *, name: str | None, limit: int, say: Callable[[str], None]) -> None:
    """Run what the pool has, ``limit`` runs at once, until Ctrl-C or SIGTERM.

    ``say`` is given each line for the operator. Raises KeyboardInterrupt on Ctrl-C and SystemExit on SIGTERM, both when
    every run has ended. Asked once more, everything ends at once.
    """
    if asyncio.run(_work(pool, name, limit, say)) is signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(0)


async def _work(pool: str, name: str | None, limit: int, say: Callable[[str], None]) -> signal.Signals | None:
    from prefect.client.schemas.objects import FlowRun
    from prefect.workers.process import ProcessWorker  # importing Prefect takes seconds

    at_work: set[int] = set()

    class OnboardWorker(ProcessWorker):
        """Prefect's process worker; knows its runs' processes, and can begin no more of them."""

        @classmethod
        def __dispatch_key__(cls) -> str:
            """Leave Prefect's own worker of this type its place in Prefect's register of workers."""
            return "onboard"

        async def get_and_submit_flow_runs(self) -> list[FlowRun]:
            return [] if ending.asked_by is not None else await super().get_and_submit_flow_runs()

        async def run(self, flow_run: FlowRun, configuration: Any, task_status: Any = None) -> Any:
            noting = _Noting(task_status, at_work)
            try:
                return await super().run(flow_run, configuration, noting)
            finally:
                at_work.discard(noting.pid)

    worker = OnboardWorker(pool, name=name, limit=limit, create_pool_if_not_found=False)
    working = asyncio.ensure_future(
        worker.start(printer=lambda *_: say(f"worker {worker.name} is at work; Ctrl-C ends it"))
    )
    ending = _Ending(working, at_work, say)
    with ending.on_signals(), suppress(asyncio.CancelledError):
        await working
    return ending.asked_by


class _Noting:
    """Stands in for what Prefect is told a run's process id through, and keeps the id."""

    def __init__(self, told: Any, at_work: set[int]) -> None:
        self.pid = 0
        self._told = told
        self._at_work = at_work

    def started(self, value: Any = None) -> None:
        """Hear that the run has a process."""
        self.pid = value
        self._at_work.add(value)
        if self._told is not None:
            self._told.started(value)


class _Ending:
    """Turns the first signal into a request to every run and no new ones, and the second into the end at once."""

    def __init__(self, working: "asyncio.Future[None]", at_work: set[int], say: Callable[[str], None]) -> None:
        self.asked_by: signal.Signals | None = None
        self._working = working
        self._at_work = at_work
        self._say = say
        self._waiting: asyncio.Task[None] | None = None

    @contextmanager
    def on_signals(self, numbers: Sequence[signal.Signals] = (signal.SIGINT, signal.SIGTERM)) -> Iterator[None]:
        """Have the signals ask for the end while the block is at work."""
        loop = asyncio.get_running_loop()
        for number in numbers:
            loop.add_signal_handler(number, self._ask, number)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)

    def _ask(self, number: signal.Signals) -> None:
        if self.asked_by is not None:
            self._working.cancel()
            return
        self.asked_by = number
        if self._at_work:
            self._say("ending; runs finish what is in flight; once more ends at once")
        self._waiting = asyncio.ensure_future(self._let_them_end())

    async def _let_them_end(self) -> None:
        for pid in self._at_work:
            _ask_to_end(pid)
        while self._at_work:  # noqa: ASYNC110 - what ends is another process
            await asyncio.sleep(_POLL_SECONDS)
        self._working.cancel()


def _ask_to_end(pid: int) -> None:
    """Ask a run to end: the process that Prefect started may be one that only looks after the run's own."""
    with suppress(ProcessLookupError):
        try:
            os.killpg(pid, signal.SIGTERM)
        except ProcessLookupError:
            os.kill(pid, signal.SIGTERM)
