"""One foreground command that keeps everything going: Prefect's server and pages, the schedules, and who runs them."""

import asyncio
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from deployments.alerts import NoBlock, install
from deployments.prefect_server import SharedServer, shared_prefect_server
from deployments.registering import as_operators_left_them, cron_of, registered
from deployments.schedules import DEPLOYMENTS, MAKE_OVERVIEW, NOTE_ALERT, Deployment
from flows.desk.keys import OVERVIEW, address
from store.private_folder import make_private

if TYPE_CHECKING:
    from prefect.runner import Runner

PREFECT_PORT = 4200


def up(
    home: Path,
    port: int = PREFECT_PORT,
    *,
    say: Callable[[str], None],
    deployments: Iterable[Deployment] = DEPLOYMENTS,
) -> None:
    """Serve the deployments until Ctrl-C or SIGTERM; then end the server, unless another command uses it.

    Flow runs are processes of their own and find Prefect through their environment; asked to end, they finish what is
    in flight, and are waited for. Asked once more, everything ends at once. ``say`` is given each line for the
    operator. Raises PrefectUnavailable when no server comes up, KeyboardInterrupt on Ctrl-C and SystemExit on SIGTERM,
    both when everything is cleaned up.
    """
    with _exit_on_sigterm(), shared_prefect_server(home, port=port, on_wait=say) as server:
        if asyncio.run(_serve(deployments, lambda: _announce(server, port, say), say)) is signal.SIGINT:
            raise KeyboardInterrupt
        sys.exit(0)


async def _serve(
    deployments: Iterable[Deployment], announce: Callable[[], None], say: Callable[[str], None]
) -> signal.Signals | None:
    """Serve until a signal asks for the end, and every run has ended; return which signal that was."""
    from prefect.runner import Runner  # importing Prefect takes seconds

    class OnboardRunner(Runner):
        """A runner that leaves SIGTERM to us, who handle Ctrl-C alike."""

        def handle_sigterm(self, *_args: Any, **_kwargs: Any) -> None:
            ending.ask(signal.SIGTERM)

    # Without the second argument Prefect pauses all schedules on the way out, and the next start would keep it so.
    runner = OnboardRunner(name="onboard-up", pause_on_shutdown=False)
    ending = _Ending(runner, say)
    before = signal.signal(signal.SIGINT, lambda *_: ending.ask(signal.SIGINT))
    try:
        deployments = list(deployments)
        for deployment in await as_operators_left_them(deployments):
            await runner.aadd_deployment(deployment)
        await drop_overdue(deployments)
        if NOTE_ALERT in deployments:
            await _set_up(say)
        if MAKE_OVERVIEW in deployments:
            await _have_the_overview_made()
        announce()
        await runner.start()
    except asyncio.CancelledError:
        if ending.asked_by is None:
            raise
    finally:
        signal.signal(signal.SIGINT, before)
    return ending.asked_by


async def drop_overdue(deployments: Iterable[Deployment]) -> None:
    """Leave one of the runs that fell due while nobody was there: what is due, one run goes on with.

    Those that fall due later, while we serve, are dropped by the run that starts.
    """
    from flows.overdue import cancel_overdue_of

    for deployment in deployments:
        known = await registered(deployment) if cron_of(deployment) is not None else None
        if known is not None:
            await cancel_overdue_of(known.id, before=datetime.now(UTC), keep=1)


async def _set_up(say: Callable[[str], None]) -> None:
    """Install the alerts, and make the inbox where it is a folder of ours."""
    from flows.inbox_folder import shown
    from flows.settings import Settings

    settings = Settings()
    try:
        await install(settings)
    except NoBlock as missing:
        say(f"no alerts: {missing}")
    if settings.onboard_inbox is None:
        make_private(Path(settings.inbox))
    say(f"inbox: {shown(settings.inbox)} (a list that is dropped there is taken in by itself)")


async def _have_the_overview_made() -> None:
    """Start the run that makes the overview, if there is none yet: what is announced leads to it."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

    known = await registered(MAKE_OVERVIEW)
    async with get_client() as client:
        of_key = ArtifactFilter(key=ArtifactFilterKey(any_=[OVERVIEW]))
        if known is not None and not await client.read_artifacts(artifact_filter=of_key, limit=1):
            await client.create_flow_run_from_deployment(known.id)


class _Ending:
    """Turns the first signal into the end of polling and a request to every run, and the second into the end at once.

    A runner that is only cancelled kills its runs, and their calls to Alloy with them.
    """

    def __init__(self, runner: "Runner", say: Callable[[str], None]) -> None:
        self.asked_by: signal.Signals | None = None
        self._runner = runner
        self._say = say
        self._serving = asyncio.current_task()
        self._loop = asyncio.get_running_loop()
        self._stopping: asyncio.Task[None] | None = None

    def ask(self, number: signal.Signals) -> None:
        """Do so from within a signal handler."""
        first, self.asked_by = self.asked_by is None, number
        self._loop.call_soon_threadsafe(self._begin if first else self._end_at_once)

    def _begin(self) -> None:
        if not self._runner.started:
            self._end_at_once()
            return
        self._say("ending; runs finish what is in flight; once more ends at once")
        self._stopping = self._loop.create_task(self._runner.astop())

    def _end_at_once(self) -> None:
        if self._serving is not None:
            self._serving.cancel()


def _announce(server: SharedServer, port: int, say: Callable[[str], None]) -> None:
    if server.started_here and not server.ui_url.endswith(f":{port}"):
        say(f"port {port} is taken by another program")
    say(f"Prefect: {server.ui_url}")
    say(f"Where everybody stands: {server.ui_url}{address(OVERVIEW)}")
    say("serving; Ctrl-C ends it")


@contextmanager
def _exit_on_sigterm() -> Iterator[None]:
    # By default SIGTERM ends Python without a clean-up, and the server would be left behind.
    def leave(_signal: int, _frame: FrameType | None) -> None:
        sys.exit(0)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
