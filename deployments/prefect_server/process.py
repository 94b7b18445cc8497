"""The one server process of an ``.onboard/`` folder: started, found again, ended.

A pid alone proves nothing, for after a crash it may belong to a stranger. So the server holds a lock on
``server.lock`` through a descriptor that it inherits: while that lock is taken the recorded process is alive and ours,
and the moment it dies, however it dies, the lock is free.
"""

import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from deployments.prefect_server.environment import server_environment

POLL_SECONDS = 0.1
TERMINATION_SECONDS = 15.0


class PrefectUnavailable(RuntimeError):
    """The local Prefect server cannot be reached or started. The message names its log file."""


@dataclass(frozen=True, slots=True)
class ServerRecord:
    """What ``server.json`` tells the next command about the running server."""

    pid: int
    port: int
    url: str

    @property
    def api_url(self) -> str:
        """The address that Prefect's clients want."""
        return f"{self.url}/api"


def log_file(folder: Path) -> Path:
    """Say where the server of this folder writes its log."""
    return folder / "server.log"


def running_server(folder: Path) -> ServerRecord | None:
    """Read the record of the server that is alive in this folder, whether or not it answers yet.

    Raises PrefectUnavailable if a server is alive that nobody recorded: it could be neither joined nor ended.
    """
    if not _is_alive(folder):
        return None
    try:
        return ServerRecord(**json.loads(_record_file(folder).read_text()))
    except (OSError, ValueError, TypeError) as damage:
        raise PrefectUnavailable(
            f"A Prefect server holds {folder / 'server.lock'}, but {_record_file(folder)} does not say which. "
            f"End that process (`fuser {folder / 'server.lock'}` finds it) and try again. Its log: {log_file(folder)}"
        ) from damage


def start_server(folder: Path, port: int | None) -> tuple[ServerRecord, "subprocess.Popen[bytes]"]:
    """Start a server on the wanted port, or on a free one, and record it before it answers.

    It lives in a session of its own: Ctrl-C in the terminal of the command that happened to come first must not end
    it for the others.
    """
    port = _free_port(port)
    record_file = _record_file(folder)
    with (folder / "server.lock").open("ab") as lock, log_file(folder).open("wb") as log:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        record_file.unlink(missing_ok=True)
        process = subprocess.Popen(  # noqa: S603 - our own interpreter, and words of our own
            [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)],
            env=server_environment(folder, port),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=[lock.fileno()],
        )
    record = ServerRecord(pid=process.pid, port=port, url=f"http://127.0.0.1:{port}")
    try:
        draft = record_file.with_suffix(".new")
        draft.write_text(json.dumps(asdict(record)))
        draft.replace(record_file)
    except BaseException:  # Ctrl-C too: nobody could ever end a server that is not recorded
        process.kill()
        process.wait()
        raise
    return record, process


def await_answer(folder: Path, record: ServerRecord, timeout: float) -> bool:
    """Wait until the server answers. False when it died or time is up."""
    _until(lambda: answers(folder, record) or not _is_alive(folder), timeout)
    return _is_alive(folder) and answers(folder, record)


def answers(folder: Path, record: ServerRecord) -> bool:
    """Ask whether the server is healthy, and whether it is the one of this folder.

    Two folders may want the same port at the same moment; the loser must not take the winner's server for its own.
    """
    if _get(f"{record.api_url}/health") is not True:
        return False
    settings = _get(f"{record.api_url}/admin/settings")
    return not isinstance(settings, dict) or settings.get("home") in (None, str(folder))


def end_server(folder: Path) -> None:
    """End the server of this folder by its pid, politely first. Does nothing when there is none."""
    record = running_server(folder)
    if record is not None:
        for polite_or_not in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.kill(record.pid, polite_or_not)
            if _until(lambda: not _is_alive(folder), TERMINATION_SECONDS):
                break
    _record_file(folder).unlink(missing_ok=True)


@contextmanager
def only_one(lock_file: Path, timeout: float, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold a lock that one command at a time can have.

    Raises PrefectUnavailable when another command does not let go of it in time.
    """
    with lock_file.open("ab") as lock:
        if not try_lock(lock):
            if on_wait is not None:
                on_wait()
            if not _until(lambda: try_lock(lock), timeout):
                raise PrefectUnavailable(
                    f"Another command has held {lock_file} for {timeout:.0f} seconds: is it stopped? "
                    f"The Prefect server's log: {log_file(lock_file.parent)}"
                )
        yield


def try_lock(lock: IO[bytes]) -> bool:
    """Take an exclusive lock if nobody else holds one of any kind."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_alive(folder: Path) -> bool:
    with (folder / "server.lock").open("ab") as lock:
        return not try_lock(lock)


def _record_file(folder: Path) -> Path:
    return folder / "server.json"


def _free_port(wanted: int | None) -> int:
    with socket.socket() as candidate:
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind(("127.0.0.1", wanted or 0))
        except OSError as taken:
            if wanted is None or taken.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            return _free_port(None)
        port: int = candidate.getsockname()[1]
        return port


def _get(url: str) -> object:
    # A proxy from the environment knows nothing about this machine's loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=5) as response:
            return json.load(response)
    except (OSError, ValueError):
        return None


def _until(condition: Callable[[], bool], timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True
