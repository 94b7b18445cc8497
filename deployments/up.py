"""One foreground command that keeps everything going: Prefect's server and pages, the schedules, and who runs them."""

import asyncio
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from deployments.prefect_server import SharedServer, shared_prefect_server
from deployments.schedules import DEPLOYMENTS, Deployment, as_operators_left_them

PREFECT_PORT = 4200


def up(
    home: Path,
    port: int = PREFECT_PORT,
    *,
    say: Callable[[str], None],
    deployments: Iterable[Deployment] = DEPLOYMENTS,
) -> None:
    """Serve the deployments until Ctrl-C or SIGTERM; then end the server, unless another command uses it.

    Flow runs are processes of their own and find Prefect through their environment. ``say`` is given each line for
    the operator. Raises PrefectUnavailable when no server comes up, KeyboardInterrupt on Ctrl-C and SystemExit on
    SIGTERM, both when everything is cleaned up.
    """
    with _exit_on_sigterm(), shared_prefect_server(home, port=port, on_wait=say) as server:
        try:
            asyncio.run(_serve(deployments, lambda: _announce(server, port, say)))
        except asyncio.CancelledError:
            sys.exit(0)


async def _serve(deployments: Iterable[Deployment], announce: Callable[[], None]) -> None:
    from prefect.runner import Runner  # importing Prefect takes seconds

    serving = asyncio.current_task()
    loop = asyncio.get_running_loop()

    class OnboardRunner(Runner):
        """A runner that SIGTERM ends as Ctrl-C does; Prefect's own handler drops a coroutine, with a warning."""

        def handle_sigterm(self, *_args: Any, **_kwargs: Any) -> None:
            if serving is not None:
                loop.call_soon_threadsafe(serving.cancel)

    # Without the second argument Prefect pauses all schedules on the way out, and the next start would keep it so.
    runner = OnboardRunner(name="onboard-up", pause_on_shutdown=False)
    for deployment in await as_operators_left_them(deployments):
        await runner.aadd_deployment(deployment)
    announce()
    await runner.start()


def _announce(server: SharedServer, port: int, say: Callable[[str], None]) -> None:
    if server.started_here and not server.ui_url.endswith(f":{port}"):
        say(f"port {port} is taken by another program")
    say(f"Prefect: {server.ui_url}")
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
