"""run, resume and the demo for real: processes, a Prefect server, a local Alloy."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import update

from deployments.cli.exits import ExitCode
from deployments.prefect_server import shared_prefect_server
from deployments.sandbox.knobs import Knobs
from deployments.sandbox.server import Sandbox, SandboxSettings, running_sandbox
from store.engine import make_engine, writing
from store.models import Batch
from tests.deployments.cli.conftest import Onboard

pytestmark = [
    pytest.mark.prefect,
    # Prefect 3.8 asks the server for its default result storage with a client that it never closes.
    pytest.mark.filterwarnings(r"ignore:unclosed <socket.*raddr=\('127\.0\.0\.1':ResourceWarning"),
]

HEADER = "username,full_name,integration,auth.apiKey,map.channel,map.message\n"


@pytest.fixture(scope="module")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One Prefect for all: each command would start its own, which takes ten seconds."""
    configured = os.environ.pop("PREFECT_API_URL", None)
    with shared_prefect_server(tmp_path_factory.mktemp("prefect")) as server:
        yield server.api_url
    if configured is not None:
        os.environ["PREFECT_API_URL"] = configured


@pytest.fixture
def fresh_alloy(home: Path, prefect: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with running_sandbox(SandboxSettings(knobs=Knobs(auto="grant", verify_secret=True))) as alloy:
        monkeypatch.setenv("PREFECT_API_URL", prefect)
        monkeypatch.setenv("ALLOY_API_KEY", "sandbox-dev-key")
        monkeypatch.setenv("ALLOY_BASE_URL", alloy.url)
        monkeypatch.setenv("ALLOY_RATE", "200")
        yield alloy


def test_a_list_is_brought_to_its_end_and_running_it_again_does_nothing(
    command: Onboard, home: Path, fresh_alloy: Sandbox
):
    (home / "list.csv").write_text(
        HEADER + "ada@example.test,Ada,klaviyo,made-up,,\nbo@example.test,Bo,slack,,#orders,Hello\n"
    )
    ended = command("run", "list.csv", "--json")
    assert ended.code == ExitCode.fine, ended.err
    assert ended.json["batch"] == "list"
    assert ended.json["stages"]["completed"] == ended.json["total"] == 2
    assert ended.json["calls"] == fresh_alloy.requests.total
    assert ended.json["seconds"] > 0
    again = command("run", "list.csv", "--json")
    assert again.code == ExitCode.fine
    assert again.json["stages"] == ended.json["stages"]


@pytest.mark.usefixtures("fresh_alloy")
def test_who_is_refused_makes_exit_1_and_who_waits_for_an_answer_goes_on_with_it(command: Onboard, home: Path):
    (home / "list.csv").write_text(
        HEADER + "viktor@example.test,Viktor,klaviyo,refused-canary,,\nomar@example.test,Omar,slack,,#orders,\n"
    )
    ended = command("run", "list.csv", "--batch", "spring")
    assert ended.code == ExitCode.operator_needed, ended.err
    assert "Batch spring: 2 onboardings" in ended.out
    assert "onboard answer omar@example.test message=VALUE" in ended.out
    assert "/runs/flow-run/" in ended.out
    assert "refused-canary" not in ended.out + ended.err
    assert command("answer", "omar@example.test", "message=Hello").code == ExitCode.fine
    (home / "list.csv").write_text(HEADER + "viktor@example.test,Viktor,klaviyo,made-up,,\n")
    ended = command("run", "list.csv", "--batch", "spring", "--json")
    assert ended.code == ExitCode.fine, ended.err
    assert ended.json["stages"]["completed"] == 2


def test_a_key_that_is_revoked_meanwhile_halts_the_run_and_blames_nobody(
    command: Onboard, home: Path, fresh_alloy: Sandbox
):
    (home / "list.csv").write_text(HEADER + "ada@example.test,Ada,slack,,#orders,\n")
    assert command("run", "list.csv").code == ExitCode.fine
    fresh_alloy.knobs = Knobs(revoked_keys=("dev",))
    assert command("answer", "ada@example.test", "message=Hello").code == ExitCode.fine
    ended = command("resume", "--json")
    assert ended.code == ExitCode.cannot_start
    assert ended.json["error"] == "halted"
    assert "ALLOY_API_KEY" in ended.err
    assert command("status", "--json").json["holds"]["operator"] == 0


@pytest.mark.usefixtures("fresh_alloy")
def test_a_first_call_that_cannot_connect_halts_the_run_and_blames_nobody(
    command: Onboard, put: Callable[..., None], monkeypatch: pytest.MonkeyPatch
):
    put("ada@example.test", due_at=datetime.now(UTC))
    monkeypatch.setenv("ALLOY_BASE_URL", "http://127.0.0.1:1")
    ended = command("resume", "--json")
    assert ended.code == ExitCode.cannot_start, ended.err
    assert ended.json["error"] == "halted"
    assert "127.0.0.1 cannot be reached" in ended.err
    assert command("status", "--json").json["holds"] == {"retry": 0, "customer": 0, "operator": 0, "cancelled": 0}


@pytest.mark.usefixtures("fresh_alloy")
def test_a_paused_batch_goes_on_when_it_is_resumed_by_name_and_not_before(
    command: Onboard, put: Callable[..., None], database: str
):
    put("ada@example.test", due_at=datetime.now(UTC))
    engine = make_engine(database)
    with writing(engine) as connection:
        connection.execute(update(Batch).values(paused_at=datetime.now(UTC), paused_why="too many were refused"))
    engine.dispose()
    ended = command("resume", "--json")
    assert (ended.json["stages"]["new"], ended.json["paused"][0]["held_back"]) == (1, 1)
    ended = command("resume", "--batch", "spring", "--json")
    assert ended.json["stages"]["new"] == 0, ended.err
    assert "paused" not in ended.json


def test_ctrl_c_finishes_what_is_in_flight_and_ends_with_130_and_a_summary(home: Path, fresh_alloy: Sandbox):
    rows = "".join(f"c{number}@example.test,C,klaviyo,made-up,,\n" for number in range(300))
    (home / "list.csv").write_text(HEADER + rows)
    fresh_alloy.knobs = Knobs(latency_ms=300)
    process = subprocess.Popen(
        [sys.executable, "-c", "from deployments.cli import main; main()", "run", "list.csv", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while fresh_alloy.requests.total < 60 and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == ExitCode.interrupted, err
    counts = json.loads(out)
    assert counts["total"] == 300
    assert 0 < counts["stages"]["new"] < 300
    assert "onboard resume" in err
    assert "Traceback" not in err


@pytest.mark.timeout(300)
def test_the_demo_ends_with_0_and_the_commands_that_it_prints_move_everybody_on(command: Onboard, home: Path):
    ended = command("demo")
    assert ended.code == ExitCode.fine, ended.err
    assert "Batch demo: 24 onboardings" in ended.out
    assert "refused-made-up" not in ended.out + ended.err
    counts = command("--demo", "status", "--json").json
    assert counts["stages"]["completed"] == 21
    assert counts["reasons"] == {"awaiting_consent": 1, "awaiting_answer": 1, "rejected": 1}
    for words in re.findall(r"^  (?:→ )?\S*onboard --demo (status|show .+|links.*)$", ended.out, re.MULTILINE):
        assert command("--demo", *words.split()).code == ExitCode.fine, words

    assert command("--demo", "answer", "omar@example.test", "message=Hello").code == ExitCode.fine
    customers = home / ".onboard" / "demo" / "demo.csv"
    customers.write_text(customers.read_text().replace("refused-made-up", "made-up"))
    sandbox = subprocess.Popen(
        [sys.executable, "-c", "from deployments.cli import main; main()", "--demo", "sandbox"], stdout=subprocess.PIPE
    )
    assert sandbox.stdout is not None
    url = sandbox.stdout.readline().decode().strip()
    try:
        [link] = command("--demo", "links", "--json").json
        assert link["link"].startswith(url)
        consent(link["link"], url)
        assert command("demo").code == ExitCode.cannot_start, "the demo is in use"
        assert command("--demo", "redrive", "--username", link["username"], "--yes").code == ExitCode.fine
        ended = command("--demo", "run", str(customers), "--batch", "demo", "--json")
    finally:
        sandbox.send_signal(signal.SIGINT)
        sandbox.wait(timeout=20)
        sandbox.stdout.close()
    assert ended.code == ExitCode.fine, ended.err
    assert ended.json["stages"]["completed"] == 24
    assert not (home / ".onboard" / "onboard.db").exists(), "nothing real was touched"


def consent(link: str, url: str) -> None:
    """Open the page and press Grant, as a browser would."""
    with urllib.request.urlopen(link) as page:  # noqa: S310 - our own local Alloy
        nonce = re.search(r'value="([^"]+)"><button type="submit">Grant', page.read().decode())
    assert nonce is not None
    body = urllib.parse.urlencode({"nonce": nonce[1]}).encode()
    form = urllib.parse.urljoin(url, urllib.parse.urlsplit(link).path)
    with urllib.request.urlopen(form, body) as answer:  # noqa: S310 - our own local Alloy
        assert b"is connected" in answer.read()
