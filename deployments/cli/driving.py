"""Running one of the flows in this process: Prefect beside it, progress on the terminal, Ctrl-C as a request.

The first Ctrl-C (or SIGTERM) asks the run to stop: nothing more is claimed, what is in flight is finished and recorded.
The second one stops at once, and only the leases are given back. The third is Python's own.

Our database decides, Prefect shows. A Prefect server that is gone for a while, or for good, keeps nobody from moving:
what is lost is what its pages would have shown.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any
from uuid import UUID

import typer

from deployments.cli.exits import ExitCode, Refused
from deployments.cli.progress import shown_progress

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State
    from sqlalchemy import Engine

    from deployments.prefect_server import SharedServer
    from flows.onboard import Watcher
    from flows.settings import Settings

StartFlow = Callable[[], Awaitable["State[Any]"]]

_TOLD_SECONDS = 30.0
"""How long a run that has ended waits for Prefect to take notice: its server may be starting again."""
_RECORDED_SECONDS = 20.0
_RECORDED_SECONDS_INTERRUPTED = 3.0
_ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(slots=True)
class Driven:
    """What a flow run did: calls sent, seconds of work, whether somebody ended it, and its page in Prefect."""

    calls: int = 0
    seconds: float = 0.0
    interrupted: bool = False
    page: str = ""
    overview: str = ""
    """The page in Prefect of where everybody stands."""
    page_stays: bool = False
    """Whether the page can be opened now: a server that was started for this run ends with it."""


def drive(settings: "Settings", engine: "Engine", flow_name: str, batch: str | None) -> Driven:
    """Run the flow ``flow_name`` of :mod:`flows.onboard` over ``batch``, or over everything, to its end.

    Raises KeyboardInterrupt if somebody ended it before the flow could be asked to, :class:`Refused` if the run was
    halted, and whatever the flow itself failed with.
    """
    from deployments.prefect_server import shared_prefect_server

    with shared_prefect_server(settings.onboard_home, on_wait=_say) as server:
        try:
            return asyncio.run(_drive(engine, flow_name, batch, server))
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None


async def _drive(engine: "Engine", flow_name: str, batch: str | None, server: "SharedServer") -> Driven:
    import flows.onboard as onboard  # Prefect, which takes seconds, and must see the server's settings first
    from deployments.prefect_server import await_reachable

    _keep_prefect_off_the_terminal()
    interruption = _Interruption()
    watcher = onboard.Watcher(on_stop=interruption.watch)
    onboard.WATCHER.set(watcher)
    flow: Any = getattr(onboard, flow_name)
    driven = Driven(page_stays=not server.started_here)
    try:
        if not server.started_here:
            await await_reachable(server.api_url, on_wait=_say)
        async with shown_progress(engine, batch):
            state, told = await _to_its_end(flow, batch, watcher)
        flow_run_id = state.state_details.flow_run_id
        if told and flow_run_id is not None:
            from deployments.up import PREFECT_PORT
            from flows.desk.keys import OVERVIEW, address

            pages = f"http://127.0.0.1:{PREFECT_PORT}" if server.started_here else server.ui_url
            driven.page = f"{pages}/runs/flow-run/{flow_run_id}"
            driven.overview = f"{pages}{address(OVERVIEW)}"
            await _recorded(flow_run_id, watcher, interrupted=interruption.asked > 0)
        await _judge(state)
    except asyncio.CancelledError:
        if not interruption.asked:
            raise
    finally:
        interruption.end()
    driven.calls = watcher.calls
    driven.seconds = watcher.driven.seconds if watcher.driven is not None else 0.0
    driven.interrupted = interruption.asked > 0
    return driven


async def _to_its_end(flow: Any, batch: str | None, watcher: "Watcher") -> "tuple[State[Any], bool]":
    """Run the flow; return how it ended, and whether Prefect could be told so.

    Raises PrefectUnavailable if it could not even begin.
    """
    from deployments.prefect_server import PrefectUnavailable

    ended = asyncio.Event()
    watcher.on_end = ended.set
    running = asyncio.ensure_future(flow(batch=batch or "", return_state=True))
    try:
        await _either(running, ended)
        await asyncio.wait({running}, timeout=_TOLD_SECONDS)
    finally:  # also when we are interrupted once more: it gives its leases back, and Prefect may not hold us up
        if not running.done():
            running.cancel()
            await _either(running, ended)
            await asyncio.wait({running}, timeout=_RECORDED_SECONDS_INTERRUPTED)
    error = running.exception() if running.done() and not running.cancelled() else None
    if running.done() and not running.cancelled() and error is None:
        return running.result(), True
    match watcher.ended:
        case None if error is not None:
            raise PrefectUnavailable(f"Prefect could not begin the run ({type(error).__name__})") from error
        case None:
            raise asyncio.CancelledError
        case Exception() as failure:
            raise failure
        case state:
            _say("Prefect could not be told how this run ended; our own records are complete")
            return state, False


async def _either(running: "asyncio.Future[Any]", ended: asyncio.Event) -> None:
    """Wait until the flow has come to its end, whether or not Prefect has taken notice."""
    waiting = asyncio.ensure_future(ended.wait())
    try:
        await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()


async def _judge(state: "State[Any]") -> None:
    if state.name == "Halted":
        raise Refused(ExitCode.cannot_start, "halted", state.message or "the run was halted")
    if (state.is_failed() or state.is_crashed()) and not state.is_cancelled():
        failure = await state.aresult(raise_on_failure=False)
        raise failure if isinstance(failure, Exception) else RuntimeError("the flow run failed")


async def _recorded(flow_run_id: UUID, watcher: "Watcher", *, interrupted: bool) -> None:
    """Wait until Prefect has written down every task run: the server may end with this command."""
    from deployments.prefect_server import await_logged, await_recorded

    timeout = _RECORDED_SECONDS_INTERRUPTED if interrupted else _RECORDED_SECONDS
    await await_logged(timeout)
    recorded = await await_recorded(flow_run_id, watcher.task_runs, timeout)
    if not recorded.complete and not interrupted:
        _say(f"Prefect shows {recorded.recorded} of {recorded.expected} task runs; our own records are complete")


class _Interruption:
    """Turns Ctrl-C and SIGTERM into a request to stop, for as long as the flow is at work."""

    def __init__(self) -> None:
        self.asked = 0
        self._before: dict[int, Any] = {}
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._stop: asyncio.Event | None = None

    def watch(self, stop: asyncio.Event) -> None:
        """Take the signals over. Called inside the flow: Prefect has put its own handler in place before."""
        self._stop = stop
        for number in _ENDING_SIGNALS:
            self._before[number] = signal.signal(number, self._interrupted)

    def end(self) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _interrupted(self, _number: int, _frame: FrameType | None) -> None:
        self.asked += 1
        if self.asked == 1 and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._loop.call_soon_threadsafe(_say, "finishing what is in flight; once more stops at once")
            return
        if self._task is not None:
            self._loop.call_soon_threadsafe(self._task.cancel)
        for number in _ENDING_SIGNALS:
            signal.signal(number, signal.default_int_handler)


def _keep_prefect_off_the_terminal() -> None:
    """Leave the terminal to us. What Prefect logs still reaches its own pages; a failure of the flow is told by us."""
    import logging

    for logger in [logging.getLogger(), *map(logging.getLogger, list(logging.root.manager.loggerDict))]:
        for handler in logger.handlers:
            if isinstance(handler, logging.StreamHandler) and type(handler).__module__.startswith("prefect."):
                handler.setLevel(logging.CRITICAL + 1)
    logging.raiseExceptions = False  # nor that it could not send its log to a server that is gone


def _say(words: str) -> None:
    typer.echo(words, err=True)
