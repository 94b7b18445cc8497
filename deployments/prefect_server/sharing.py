"""One local server for all commands on an ``.onboard/`` folder, however they end.

Each command holds a shared lock on ``users.lock`` as long as it uses the server, and the kernel takes that share back
from a command that is killed. Coming and going happen one command at a time, under ``start.lock``: so two commands
that start together get one server, and whoever leaves and finds no other share knows that it is the last.
"""

import fcntl
import queue
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from deployments.prefect_server.environment import (
    client_environment,
    configured_api_url,
    configured_ui_url,
    prefect_environment,
)
from deployments.prefect_server.process import (
    PrefectUnavailable,
    ServerRecord,
    answers,
    await_answer,
    end_server,
    log_file,
    only_one,
    running_server,
    start_server,
    try_lock,
)
from store.private_folder import make_private

START_SECONDS = 120.0
FLUSH_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class SharedServer:
    """The Prefect that this command uses."""

    api_url: str
    ui_url: str
    started_here: bool


@contextmanager
def shared_prefect_server(
    home: Path,
    *,
    port: int | None = None,
    on_wait: Callable[[str], None] | None = None,
    timeout: float = START_SECONDS,
) -> Iterator[SharedServer]:
    """Let this process and its children use the configured Prefect, or else the one server of ``home``.

    ``port`` is where a server that is started here should listen; if that port is taken, a free one is used.
    ``on_wait`` is told, in a few words, what takes several seconds. Raises PrefectUnavailable, which names the log
    file, when no server comes up.
    """
    configured = configured_api_url()
    if configured is not None:
        with prefect_environment(client_environment()):
            try:
                yield SharedServer(configured, configured_ui_url() or configured, started_here=False)
            finally:
                _flush()
        return

    folder = home.resolve() / "prefect"
    make_private(folder)
    tell = on_wait or _tell_nobody
    with (folder / "users.lock").open("ab") as share:
        record, process = _enter(folder, share, port, tell, timeout)
        try:
            with prefect_environment(client_environment(folder, record.api_url)):
                try:
                    yield SharedServer(record.api_url, record.url, started_here=process is not None)
                finally:
                    _flush()
        finally:
            _leave(folder, share, process)


def _enter(
    folder: Path, share: IO[bytes], port: int | None, tell: Callable[[str], None], timeout: float
) -> tuple[ServerRecord, "subprocess.Popen[bytes] | None"]:
    def another_is_starting() -> None:
        tell("waiting for the Prefect server that another command is starting")

    with only_one(folder / "start.lock", timeout, another_is_starting):
        fcntl.flock(share, fcntl.LOCK_SH)
        record = running_server(folder)
        if record is not None:
            if not answers(folder, record):
                tell("waiting for the Prefect server")  # its starter was killed, or it is very busy
            if await_answer(folder, record, timeout):
                return record, None
            end_server(folder)
        tell("starting the Prefect server")
        return _start(folder, port, timeout)


def _start(folder: Path, port: int | None, timeout: float) -> tuple[ServerRecord, "subprocess.Popen[bytes]"]:
    # The second attempt, on a free port, is for a wanted port that was taken between our look and the server's.
    for wanted in (None,) if port is None else (port, None):
        record, process = start_server(folder, wanted)
        try:
            if await_answer(folder, record, timeout):
                return record, process
            died = process.poll() is not None
        except BaseException:
            end_server(folder)
            process.wait()
            raise
        if not died:
            end_server(folder)
            process.wait()
            break
    what = f"ended with exit code {process.returncode}" if died else f"did not answer within {timeout:.0f} seconds"
    raise PrefectUnavailable(f"The Prefect server {what}. See {log_file(folder)}")


def _leave(folder: Path, share: IO[bytes], process: "subprocess.Popen[bytes] | None") -> None:
    ended = False
    with only_one(folder / "start.lock", START_SECONDS):
        if try_lock(share):
            end_server(folder)
            ended = True
        fcntl.flock(share, fcntl.LOCK_UN)
    if process is not None:
        if ended:
            process.wait()
        elif process.poll() is None:
            process.returncode = 0  # it belongs to the others now; Popen would warn of a child that is left behind


def _flush() -> None:
    """Send what Prefect's background threads still hold, and stop them.

    They would complain about the server that is gone, and a later server of this process would get nothing: Prefect
    keeps the thread, with its connection to the old address.
    """
    for module, name in (("prefect.logging.handlers", "APILogWorker"), ("prefect.events.worker", "EventsWorker")):
        if module in sys.modules:
            service = getattr(sys.modules[module], name)
            at_work = list(service._instances.values())
            service.drain_all(timeout=FLUSH_SECONDS)
            for one in at_work:
                _give_up(one._queue)


def _give_up(unsent: "queue.Queue[object]") -> None:
    """Let a background thread end with what it is sending now.

    Where the server is gone it would try every event for seven seconds, and the process could not end for hours.
    """
    with suppress(queue.Empty):
        while True:
            unsent.get_nowait()
    unsent.put_nowait(None)  # Prefect's own word for the end


def _tell_nobody(_: str) -> None:
    return None
