"""``up`` as an operator has it: a process in the foreground, a real server, and flow runs in processes of their own."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deployments.prefect_server.process import end_server

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

pytestmark = [pytest.mark.prefect, pytest.mark.timeout(180)]

FLOWS = """
import os
from pathlib import Path
from prefect import flow

@flow(name="write-down")
def write_down(file: str) -> None:
    Path(file).write_text(" ".join(os.environ[name] for name in ("PREFECT_API_URL", "PREFECT_LOGGING_LEVEL")))
"""

COMMAND = """
import sys
from pathlib import Path
from deployments.schedules import Deployment
from deployments.up import up

OURS = Deployment("every-hour", "written_flows.write_down", "**Ours**", cron="0 * * * *")
try:
    up(Path(sys.argv[1]), port=int(sys.argv[2]), say=lambda line: print(line, flush=True), deployments=[OURS])
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@contextmanager
def an_up(folder: Path, port: int) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the command until it serves; give the process and the address that it showed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment |= {"PYTHONPATH": str(folder), "PREFECT_RUNNER_POLL_FREQUENCY": "1"}
    with subprocess.Popen(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", COMMAND, str(folder / ".onboard"), str(port)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    ) as process:
        try:
            yield process, shown_address(process)
        finally:
            process.kill()
            end_server(folder / ".onboard" / "prefect")  # where the test failed, nobody else does


def shown_address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    assert process.stderr is not None
    address = ""
    for line in process.stdout:
        if line.startswith("Prefect: "):
            address = line.removeprefix("Prefect: ").strip()
        if line.startswith("serving"):
            return address
    pytest.fail(process.stderr.read())


def test_up_runs_what_is_started_in_prefect_and_schedules_the_rest_and_a_second_up_changes_nothing(
    tmp_path: Path, unused_port: int
) -> None:
    (tmp_path / "written_flows.py").write_text(FLOWS)
    written = tmp_path / "written"
    with an_up(tmp_path, unused_port) as (process, address):
        assert address == f"http://127.0.0.1:{unused_port}"

        with client_of(address) as client:
            deployment = client.read_deployment_by_name("write-down/every-hour")
            run = client.create_flow_run_from_deployment(deployment.id, parameters={"file": str(written)})
            until(lambda: client.read_flow_run(run.id).state_name == "Completed")

            assert written.read_text() == f"{address}/api WARNING"

            until(lambda: any(run.auto_scheduled for run in client.read_flow_runs()))

            # As an operator does it in the pages: registering again must not switch the schedule on.
            client.update_deployment_schedule(deployment.id, deployment.schedules[0].id, active=False)
            before = what_was_registered(client)

        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)

        assert (process.returncode, errors) == (0, "")
        assert not (tmp_path / ".onboard" / "prefect" / "server.json").exists()

    with an_up(tmp_path, unused_port) as (process, address):
        with client_of(address) as client:
            assert what_was_registered(client) == before

        os.killpg(process.pid, signal.SIGINT)
        shown, errors = process.communicate(timeout=60)

        assert (process.returncode, shown, errors) == (0, "interrupted\n", "")
        assert not (tmp_path / ".onboard" / "prefect" / "server.json").exists()


@contextmanager
def client_of(address: str) -> Iterator["SyncPrefectClient"]:
    from prefect.client.orchestration import get_client
    from prefect.settings import temporary_settings

    with temporary_settings({"PREFECT_API_URL": f"{address}/api"}), get_client(sync_client=True) as client:
        yield client


def what_was_registered(client: "SyncPrefectClient") -> list[dict[str, object]]:
    """Everything that Prefect keeps of the deployments, less what it notes by itself."""
    noted = {
        "updated": True,
        "last_polled": True,
        "status": True,
        "pull_steps": True,  # for workers; Prefect creates them as [] and updates them to None
        "schedules": {"__all__": {"updated"}},
    }
    return [deployment.model_dump(mode="json", exclude=noted) for deployment in client.read_deployments()]


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)
