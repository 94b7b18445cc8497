"""The real processes of a journey: the `onboard` command, the local Alloy, and the Prefect server beside them."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import stamina

from deployments.sandbox.control import SandboxControl
from tests.journeys.people import API_KEY

ONBOARD = Path(sys.executable).with_name("onboard")
ADMIN_TOKEN = "journeys"
LONGEST_SECONDS = 120.0

_SET_BY_US = ("ALLOY_", "ONBOARD_", "PREFECT_", "UV_")
_POLL_SECONDS = 0.02

_KEEP_PREFECT_UP = """
import sys
from pathlib import Path
from deployments.prefect_server import shared_prefect_server

with shared_prefect_server(Path(sys.argv[1])) as server:
    print(server.api_url, flush=True)
    sys.stdin.read()
"""


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one object on standard output."""
        return json.loads(self.out)

    @property
    def said(self) -> str:
        """Everything that a person saw."""
        return self.out + self.err


@dataclass(frozen=True)
class Started:
    """A command that is at work. What it says goes to files, so that it can be read meanwhile."""

    process: "subprocess.Popen[bytes]"
    out: Path
    err: Path

    def kill(self) -> Ended:
        """End it as a power failure would."""
        self.process.kill()
        return self.ended()

    def ended(self, within: float = LONGEST_SECONDS) -> Ended:
        """Wait for its end."""
        code = self.process.wait(timeout=within)
        return Ended(code, self.out.read_text(encoding="utf-8"), self.err.read_text(encoding="utf-8"))


@dataclass
class Onboard:
    """The command, with the settings that its environment holds; every process that it starts ends with the test."""

    folder: Path
    settings: dict[str, str]
    started: list[Started] = field(default_factory=list)

    @property
    def home(self) -> Path:
        """Where it keeps its files."""
        return self.folder / ".onboard"

    def start(self, *words: str, program: Sequence[str | Path] = (ONBOARD,), **more: str) -> Started:
        """Start the command, or another ``program`` that ends in it, and leave it at work."""
        out, err = (self.folder / f"said-{len(self.started)}.{stream}" for stream in ("out", "err"))
        with out.open("wb") as to_out, err.open("wb") as to_err:
            process = subprocess.Popen(
                [*program, *words],
                cwd=self.folder,
                env={**untouched_environment(), **self.settings, **more},
                stdin=subprocess.DEVNULL,
                stdout=to_out,
                stderr=to_err,
            )
        self.started.append(Started(process, out, err))
        return self.started[-1]

    def __call__(self, *words: str, **more: str) -> Ended:
        """Run the command to its end."""
        return self.start(*words, **more).ended()

    def close(self) -> None:
        """End what is still at work."""
        for one in self.started:
            if one.process.poll() is None:
                one.kill()


def _is_busy(failure: Exception) -> bool:
    """Tell whether Prefect's server was kept from its SQLite by itself; its own client asks again as well."""
    return isinstance(failure, urllib.error.HTTPError) and failure.code == HTTPStatus.SERVICE_UNAVAILABLE


@dataclass(frozen=True)
class Prefect:
    """A Prefect server: its address for clients, and the folder in which it keeps everything."""

    api_url: str
    folder: Path

    def ask(self, path: str, **question: object) -> Any:
        """Return what its REST API answers."""
        return self._call("POST", path, question)

    def patch(self, path: str, **change: object) -> None:
        """Change something as Prefect's pages do."""
        self._call("PATCH", path, change)

    @stamina.retry(on=_is_busy, attempts=10)
    def _call(self, method: str, path: str, body: Mapping[str, object]) -> Any:
        request = urllib.request.Request(  # noqa: S310 - our own server
            f"{self.api_url}/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}, method=method
        )
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            return json.loads(answer.read() or b"null")

    def flow_runs(self, name: str) -> list[dict[str, Any]]:
        """Return the flow runs of this name."""
        found: list[dict[str, Any]] = self.ask("flow_runs/filter", flow_runs={"name": {"any_": [name]}})
        return found

    def task_runs(self, flow_run_id: str) -> list[dict[str, Any]]:
        """Return every task run of a flow run."""
        found: list[dict[str, Any]] = []
        while page := self.ask(
            "task_runs/filter", flow_runs={"id": {"any_": [flow_run_id]}}, limit=200, offset=len(found)
        ):
            found += page
        return found


@contextmanager
def running_prefect(folder: Path) -> Iterator[Prefect]:
    """Run one server in a process that holds it: its settings stay out of this one."""
    with subprocess.Popen(
        [sys.executable, "-c", _KEEP_PREFECT_UP, str(folder)],
        env=untouched_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield Prefect(process.stdout.readline().strip(), folder)
        process.communicate(timeout=LONGEST_SECONDS)


@contextmanager
def running_alloy() -> Iterator[SandboxControl]:
    """Run the local Alloy, whose key is a canary too."""
    with subprocess.Popen(
        [sys.executable, "-m", "deployments.sandbox", "--port", "0", "--dev-key", API_KEY],
        env={**untouched_environment(), "SANDBOX_ADMIN_TOKEN": ADMIN_TOKEN},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield SandboxControl(process.stdout.readline().strip(), ADMIN_TOKEN, timeout_s=60)
        finally:
            process.terminate()


def settings_for(alloy: SandboxControl, prefect: Prefect) -> dict[str, str]:
    """Return what a command has to be told to work with these two, as fast as it can."""
    return {
        "ALLOY_API_KEY": API_KEY,
        "ALLOY_BASE_URL": alloy.url,
        "ALLOY_RATE": "10000",
        "ALLOY_CONCURRENCY": "20",
        "PREFECT_API_URL": prefect.api_url,
    }


def until(condition: Callable[[], bool], at_work: Started | None = None) -> None:
    """Wait for the condition, for a bounded time, and no longer than the command that should bring it about."""
    deadline = time.monotonic() + LONGEST_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that in time"
        if at_work is not None and at_work.process.poll() is not None:
            raise AssertionError(f"the command ended too early: {at_work.ended()}")
        time.sleep(_POLL_SECONDS)


def until_asked(alloy: SandboxControl, route: str, times: int, at_work: Started) -> None:
    """Wait until the local Alloy was asked for one of its endpoints so often."""
    until(lambda: len(alloy.requests(route)) >= times, at_work)


def until_calls_are_under_way(alloy: SandboxControl, at_work: Started) -> None:
    """Make the local Alloy slow, before and after what it does, until it owes some answers."""
    alloy.turn(latency_ms=500, latency_after_ms=500)
    until(lambda: sum(one.status is None for one in alloy.requests()) >= 3, at_work)


def untouched_environment() -> dict[str, str]:
    """Return the environment without any setting of this machine."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_SET_BY_US)}
