"""One server for all commands of a folder, with real commands, real signals and a real server."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import anyio
import pytest

from deployments.prefect_server import PrefectUnavailable, Recorded, await_recorded, shared_prefect_server
from deployments.prefect_server.process import end_server

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.timeout(180),
    # Prefect 3.8 asks the server for its default result storage with a client that it never closes.
    pytest.mark.filterwarnings(r"ignore:unclosed <socket.*raddr=\('127\.0\.0\.1':ResourceWarning"),
]

COMMAND = """
import json, sys
from pathlib import Path
from deployments.prefect_server import shared_prefect_server

def tell(**facts):
    print(json.dumps(facts), flush=True)

try:
    with shared_prefect_server(Path(sys.argv[1])) as server:
        tell(api_url=server.api_url, ui_url=server.ui_url, started_here=server.started_here)
        sys.stdin.readline()
except KeyboardInterrupt:
    tell(interrupted=True)
else:
    tell(left=True)
"""

PREFECT_STARTS_WITHIN = 90


def bare_environment(**more: str) -> dict[str, str]:
    """What a user has who never heard of Prefect, whatever this test process has set."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return {**kept, **more}


@dataclass
class Command:
    """An ``onboard`` command, as far as sharing goes: it joins, stays until told, and leaves."""

    process: subprocess.Popen[str]

    @classmethod
    @contextmanager
    def running(cls, home: Path, **options: Any) -> Iterator["Command"]:
        options = {"env": bare_environment(), **options}
        arguments = [sys.executable, "-c", COMMAND, str(home)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with subprocess.Popen(arguments, text=True, start_new_session=True, **pipes, **options) as process:
            try:
                yield cls(process)
            finally:
                process.kill()

    def facts(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            assert self.process.stderr is not None
            pytest.fail(self.process.stderr.read())
        facts: dict[str, Any] = json.loads(line)
        return facts

    def leave(self) -> None:
        out, errors = self.process.communicate("\n", timeout=60)
        assert json.loads(out) == {"left": True}
        assert errors == ""

    def press_ctrl_c(self) -> None:
        """As a terminal does it: the signal goes to the whole process group."""
        os.killpg(self.process.pid, signal.SIGINT)
        out, _ = self.process.communicate(timeout=60)
        assert json.loads(out) == {"interrupted": True}


def is_healthy(api_url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{api_url}/health", timeout=5) as response:  # noqa: S310 - loopback
            return response.status == 200
    except OSError:
        return False


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One folder for the module: only its first server has to make a database."""
    home = tmp_path_factory.mktemp("commands") / ".onboard"
    yield home
    end_server(home / "prefect")  # where a test failed, nobody else does


def recorded_pid(home: Path) -> int:
    pid: int = json.loads((home / "prefect" / "server.json").read_text())["pid"]
    return pid


def test_two_commands_that_start_together_share_one_server_and_the_last_one_out_ends_it(home: Path) -> None:
    with Command.running(home) as one, Command.running(home) as other:
        facts = [one.facts(), other.facts()]

        assert sorted(fact["started_here"] for fact in facts) == [False, True]
        assert facts[0]["api_url"] == facts[1]["api_url"]

        first, second = (one, other) if facts[0]["started_here"] else (other, one)
        first.press_ctrl_c()

        assert is_healthy(facts[0]["api_url"])

        second.leave()

        assert not is_healthy(facts[0]["api_url"])
        assert not (home / "prefect" / "server.json").exists()


def test_the_server_of_a_command_killed_half_way_is_joined_by_the_next_command_which_then_ends_it(home: Path) -> None:
    record = home / "prefect" / "server.json"
    with Command.running(home) as killed:
        until(record.exists)  # it has begun to start the server, which does not answer yet
        killed.process.kill()
        killed.process.wait()
    orphan = recorded_pid(home)

    with Command.running(home) as following:
        facts = following.facts()

        assert facts["started_here"] is False
        assert recorded_pid(home) == orphan

        following.leave()

    assert not is_healthy(facts["api_url"])
    assert not record.exists()


def test_a_record_of_a_dead_server_leads_to_a_new_one_and_no_stranger_with_its_pid_is_ended(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_prefect_settings(monkeypatch)
    stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    record = {"pid": stranger.pid, "port": 1, "url": "http://127.0.0.1:1"}
    (home / "prefect").mkdir(parents=True, exist_ok=True)
    (home / "prefect" / "server.json").write_text(json.dumps(record))
    waits: list[str] = []

    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        with shared_prefect_server(home, port=port, on_wait=waits.append) as server:
            assert server.started_here
            assert waits == ["starting the Prefect server"]
            assert server.ui_url != f"http://127.0.0.1:{port}"
            assert os.environ["PREFECT_API_URL"] == server.api_url
            check_that_runs_are_recorded()

    assert "PREFECT_API_URL" not in os.environ
    assert stranger.poll() is None
    stranger.communicate(b"\n", timeout=10)


def check_that_runs_are_recorded() -> None:
    """Part of another test, because a server of its own would cost this one ten seconds."""
    from prefect import flow, task
    from prefect.runtime import flow_run

    @task
    async def step() -> None:
        return None

    @flow(name="three-steps")
    async def three_steps() -> UUID:
        for _ in range(3):
            await step()
        return UUID(flow_run.id)

    async def story() -> None:
        run = await three_steps()

        assert await await_recorded(run, expected=3, timeout=30) == Recorded(recorded=3, expected=3)

        begun = time.monotonic()
        more_than_there_are = await await_recorded(run, expected=4, timeout=1)

        assert more_than_there_are == Recorded(recorded=3, expected=4)
        assert not more_than_there_are.complete
        assert time.monotonic() - begun < 5

    anyio.run(story)


def test_runs_are_still_there_when_the_next_server_starts(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_prefect_settings(monkeypatch)
    with shared_prefect_server(home):
        from prefect.client.orchestration import get_client

        with get_client(sync_client=True) as client:
            assert [run.state_name for run in client.read_flow_runs()] == ["Completed"]
            assert len(client.read_task_runs()) == 3


def test_waiting_for_a_server_that_is_gone_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    from prefect.settings import temporary_settings

    begun = time.monotonic()
    with temporary_settings({"PREFECT_API_URL": "http://127.0.0.1:9/api"}):
        seen = anyio.run(lambda: await_recorded(uuid4(), expected=2, timeout=1))

    assert seen == Recorded(recorded=0, expected=2)
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("place", ["environment", "dotenv", "profile"])
def test_a_configured_api_is_used_and_nothing_is_started(place: str, tmp_path: Path) -> None:
    configured = "http://prefect.example:4200/api"
    environment = bare_environment(PREFECT_HOME=str(tmp_path))
    if place == "environment":
        environment["PREFECT_API_URL"] = configured
    elif place == "dotenv":
        (tmp_path / ".env").write_text(f"PREFECT_API_URL={configured}\n")
    else:
        profile = f'active = "ours"\n[profiles.ours]\nPREFECT_API_URL = "{configured}"\n'
        (tmp_path / "profiles.toml").write_text(profile)

    with Command.running(tmp_path / ".onboard", cwd=tmp_path, env=environment) as command:
        assert command.facts() == {
            "api_url": configured,
            "ui_url": "http://prefect.example:4200",
            "started_here": False,
        }
        command.leave()

    assert not (tmp_path / ".onboard").exists()


def test_a_server_that_dies_at_once_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_prefect_settings(monkeypatch)
    log = tmp_path / "prefect" / "server.log"
    log.parent.mkdir()
    (log.parent / "prefect.db").write_text("no database, but long enough to be taken for a damaged one " * 50)

    with pytest.raises(PrefectUnavailable, match=r"ended with exit code \d+") as unavailable:
        enter_and_leave(tmp_path)

    assert str(log) in str(unavailable.value)
    assert "file is not a database" in log.read_text()


def test_a_server_that_does_not_answer_in_time_is_ended_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_prefect_settings(monkeypatch)

    with pytest.raises(PrefectUnavailable, match="did not answer within 0 seconds") as unavailable:
        enter_and_leave(tmp_path, timeout=0)

    assert str(tmp_path / "prefect" / "server.log") in str(unavailable.value)
    assert not (tmp_path / "prefect" / "server.json").exists()


def test_what_the_command_line_imports_at_its_start_brings_neither_prefect_nor_httpx() -> None:
    modules = "deployments.prefect_server, deployments.schedules, deployments.up"
    check = f"import sys, {modules}; print(sorted({{'prefect', 'httpx'}} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True, timeout=60)

    assert shown.stdout == "[]\n"


def enter_and_leave(home: Path, **options: Any) -> None:
    with shared_prefect_server(home, **options):
        pass


def without_prefect_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PREFECT_")]:
        monkeypatch.delenv(name)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PREFECT_STARTS_WITHIN
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
