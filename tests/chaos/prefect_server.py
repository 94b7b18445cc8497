"""A Prefect server that can be killed and comes back on the same port, with what it had recorded.

It keeps that in PostgreSQL, or, where it is given none, in its SQLite file.
"""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from sqlalchemy.engine import URL

from deployments.prefect_server.environment import SERVER_DEFAULTS
from tests.journeys.processes import Prefect, untouched_environment

_LONGEST_START_SECONDS = 180.0
_POLL_SECONDS = 0.2


class PrefectServer:
    """One server process at a time; its address stays what it was."""

    def __init__(self, folder: Path, database: URL | None) -> None:
        self.folder = folder
        self._port = _free_port()
        self._database = (
            URL.create("sqlite+aiosqlite", database=str(folder / "prefect.db"))
            if database is None
            else database.set(drivername="postgresql+asyncpg")
        )
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def for_clients(self) -> Prefect:
        """What a command has to be told."""
        return Prefect(f"http://127.0.0.1:{self._port}/api", self.folder)

    def start(self) -> None:
        """Start it, and return at once."""
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(self._port)],
                env={
                    **untouched_environment(),
                    **SERVER_DEFAULTS,
                    "DO_NOT_TRACK": "1",
                    "PREFECT_HOME": str(self.folder),
                    "PREFECT_SERVER_DATABASE_CONNECTION_URL": self._database.render_as_string(hide_password=False),
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def await_answer(self) -> None:
        """Wait until it answers."""
        deadline = time.monotonic() + _LONGEST_START_SECONDS
        while not self.answers():
            if time.monotonic() > deadline or (self._process is not None and self._process.poll() is not None):
                said = (self.folder / "server.log").read_text(encoding="utf-8")[-2000:]
                raise AssertionError(f"the Prefect server does not answer: {said}")
            time.sleep(_POLL_SECONDS)

    def answers(self) -> bool:
        """Ask whether it is up."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"{self.for_clients.api_url}/health", timeout=5) as answer:
                return bool(answer.read() == b"true")
        except OSError:
            return False

    def kill(self) -> None:
        """End it, and what it started, as a power failure would."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)  # a session of its own: only what we started is in it
            self._process.wait()


def _free_port() -> int:
    with socket.socket() as candidate:
        candidate.bind(("127.0.0.1", 0))
        port: int = candidate.getsockname()[1]
        return port
