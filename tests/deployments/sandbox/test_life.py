"""The sandbox as a thing that is started, stopped, killed, remembered and controlled from outside."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from dataclasses import replace

import aiohttp
import pytest

from deployments.sandbox.catalogue import Catalogue
from deployments.sandbox.clock import ManualClock
from deployments.sandbox.control import ControlRefused, SandboxControl
from deployments.sandbox.faults import Fault
from deployments.sandbox.fixtures import default_catalogue, fixture_id
from deployments.sandbox.knobs import Knobs
from deployments.sandbox.server import Sandbox, SandboxSettings, running_sandbox

TOKEN = "admin-token"
KLAVIYO = fixture_id("Klaviyo profiles")


def send(url, method, path, body=None, token="sandbox-dev-key"):  # noqa: S107 - the well-known key
    """Send one request with the standard library."""
    request = urllib.request.Request(  # noqa: S310 - our own loopback address
        f"{url}{path}",
        data=None if body is None else json.dumps(body).encode(),
        method=method,
        headers={"Authorization": f"Bearer {token}"},
    )
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - likewise
        return json.loads(response.read())


def install(url, username):
    user = send(url, "POST", "/users", {"username": username})["userId"]
    credential = {"type": "klaviyo", "data": {"apiKey": "canary-7731"}}
    send(url, "POST", "/headless/credentials", {"userId": user, "credential": credential})
    started = send(url, "POST", "/headless/startInstallation", {"userId": user, "integrationId": KLAVIYO})
    send(url, "POST", "/headless/completeInstallation", {"installationId": started["installationId"], "data": []})
    return started["installationId"]


# --- in a thread


def test_it_runs_in_a_thread_for_synchronous_callers():
    with running_sandbox(SandboxSettings(knobs=Knobs(auto="grant"))) as sandbox:
        installation = install(sandbox.url, "a")
        user = sandbox.ledger().users_of["a"]
        send(sandbox.url, "GET", f"/headless/oauthUrl?userId={user}&app=slack")

        ledger = sandbox.ledger()

    assert ledger.completed == {("a", KLAVIYO): [installation]}
    assert (ledger.credentials, ledger.consents_granted, ledger.unused_credentials) == (2, 1, 1)


def test_a_port_that_is_taken_fails_at_once():
    with (
        running_sandbox() as sandbox,
        pytest.raises(OSError, match="in use"),
        running_sandbox(SandboxSettings(port=int(sandbox.url.rsplit(":", 1)[1]))),
    ):
        pass


def test_it_listens_on_loopback_only():
    with pytest.raises(ValueError, match="loopback"):
        SandboxSettings(host="0.0.0.0")  # noqa: S104 - that is the point


def test_keys_are_not_in_the_settings_repr():
    assert "sandbox-dev-key" not in repr(SandboxSettings())


async def test_the_same_seed_gives_the_same_ids():
    async def ids(seed):
        async with Sandbox(SandboxSettings(seed=seed)) as sandbox, aiohttp.ClientSession(sandbox.url) as session:
            headers = {"Authorization": "Bearer sandbox-dev-key"}
            async with session.post("/users", headers=headers) as response:
                return await response.json()

    assert await ids(3) == await ids(3)
    assert await ids(3) != await ids(4)


# --- memory


def test_everything_is_there_after_a_restart(tmp_path):
    settings = SandboxSettings(
        state_file=tmp_path / "state.json",
        clock=ManualClock(),
        knobs=Knobs(auto="grant", auto_after_ms=1000),
    )
    with running_sandbox(settings) as sandbox:
        install(sandbox.url, "a")
        user = sandbox.ledger().users_of["a"]
        send(sandbox.url, "GET", f"/headless/oauthUrl?userId={user}&app=slack")
        before = sandbox.ledger()

    clock = ManualClock()
    with running_sandbox(replace(settings, clock=clock)) as sandbox:
        assert sandbox.ledger() == before
        clock.advance(1000)
        assert sandbox.ledger().consents_granted == 1
        other = send(sandbox.url, "POST", "/users", {"username": "b"})["userId"]

    everything = (tmp_path / "state.json").read_text()
    assert other in everything
    assert "canary-7731" not in everything
    assert (tmp_path / "state.json").stat().st_mode & 0o077 == 0
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def test_a_changed_state_is_written_now_and_then(tmp_path):
    file = tmp_path / "state.json"
    with running_sandbox(SandboxSettings(state_file=file, snapshot_every_ms=10)) as sandbox:
        send(sandbox.url, "POST", "/users", {"username": "a"})
        deadline = time.monotonic() + 10
        while not file.exists() and time.monotonic() < deadline:
            time.sleep(0.01)

        assert '"a"' in file.read_text()


# --- the admin interface


@pytest.fixture
def controlled():
    with running_sandbox(SandboxSettings(admin_token=TOKEN, clock=ManualClock())) as sandbox:
        yield sandbox, SandboxControl(sandbox.url, TOKEN)


def test_without_a_token_there_is_no_admin_interface():
    with running_sandbox() as sandbox, pytest.raises(ControlRefused, match="401"):
        SandboxControl(sandbox.url, "").reset()


def test_the_admin_interface_wants_its_own_token(controlled):
    sandbox, _ = controlled
    for wrong in ("", "sandbox-dev-key", "admin-token-2"):
        with pytest.raises(ControlRefused, match="401"):
            SandboxControl(sandbox.url, wrong).reset()


def test_a_ledger_arrives_as_it_left(controlled):
    sandbox, control = controlled
    install(sandbox.url, "a")

    assert control.ledger() == sandbox.ledger()
    assert control.ledger("prod").users == 0
    assert control.state()["ids_issued"] == 3


def test_knobs_are_turned_one_by_one_and_checked(controlled):
    sandbox, control = controlled
    control.turn(dup_start="existing")

    assert control.turn(unknown=400) == replace(Knobs(), dup_start="existing", unknown=400) == sandbox.knobs
    with pytest.raises(ControlRefused, match="400"):
        control.turn(nonsense=1)
    with pytest.raises(ControlRefused, match="400"):
        control.turn(profile="lax")
    assert control.knobs() == sandbox.knobs


def test_faults_are_set_and_taken_out(controlled):
    sandbox, control = controlled
    control.add_fault(Fault(kind="err_before", status=504, count=None), Fault(kind="latency", delay_ms=1))
    with pytest.raises(urllib.error.HTTPError, match="504"):
        send(sandbox.url, "GET", "/users")
    assert [struck for _, struck in sandbox.faults.struck()] == [1, 1]

    with pytest.raises(ControlRefused, match="400"):
        control._call("POST", "faults", {"kind": "err_before", "route": "create_uzer"})
    control.clear_faults()

    send(sandbox.url, "GET", "/users")
    assert [one.status for one in control.requests("list_users")] == [504, 200]


def test_consents_are_decided_and_time_is_advanced(controlled):
    sandbox, control = controlled
    user = send(sandbox.url, "POST", "/users", {"username": "a"})["userId"]
    with pytest.raises(ControlRefused, match="409"):
        control.grant("a", "shopify")
    credential = control.grant("a", "shopify", {"shopSubdomain": "x"})
    control.deny(user, "slack")
    control.turn(auto="grant", auto_after_ms=500)
    send(sandbox.url, "GET", f"/headless/oauthUrl?userId={user}&app=slack")
    control.advance(500)

    assert control.ledger().credentials_of["a"][0] == credential
    assert (control.ledger().consents_granted, control.ledger().consents_denied) == (2, 1)


def test_a_reset_empties_everything(controlled):
    sandbox, control = controlled
    install(sandbox.url, "a")
    control.turn(profile="strict")
    control.load_fixtures(Catalogue(apps=(), integrations=()))
    assert sandbox.catalogue.integrations == ()

    control.reset()

    assert control.ledger().users == 0
    assert (control.knobs(), control.fixtures(), control.requests()) == (Knobs(), default_catalogue(), [])
    install(sandbox.url, "a")


@pytest.mark.parametrize("path", ["/_sandbox/nothing", "/_sandbox"])
def test_an_unknown_admin_route_is_404(controlled, path):
    with pytest.raises(urllib.error.HTTPError, match="404"):
        send(controlled[0].url, "GET", path, token=TOKEN)


# --- in a process


@pytest.fixture
def process():
    started = []

    def start(*options):
        command = [sys.executable, "-m", "deployments.sandbox", "--port", "0", "--admin-token", TOKEN, *options]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(child)
        return child, SandboxControl(child.stdout.readline().strip(), TOKEN)

    yield start
    for child in started:
        child.kill()
        child.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_is_and_ends_cleanly(process, number):
    child, control = process(
        "--profile", "strict", "--auto", "deny", "--knob", "dup_start=existing", "--knob", "unknown=400"
    )
    assert control.knobs() == replace(Knobs(), profile="strict", auto="deny", dup_start="existing", unknown=400)

    os.kill(child.pid, number)

    assert child.wait(10) == 0
    assert child.communicate() == ("", "")


def test_a_killed_sandbox_that_saves_before_each_answer_forgets_nothing(process, tmp_path):
    options = ("--state", str(tmp_path / "state.json"), "--snapshot-every-ms", "0")
    child, control = process(*options)
    installation = install(control.url, "a")
    before = control.ledger()
    child.kill()
    child.wait(10)

    _, control = process(*options)

    assert control.ledger() == before
    assert before.completed == {("a", KLAVIYO): [installation]}


def test_faults_can_be_set_from_the_command_line(process):
    _, control = process("--fault", '{"kind": "err_before", "status": 502}')

    with pytest.raises(urllib.error.HTTPError, match="502"):
        send(control.url, "GET", "/users")


@pytest.mark.parametrize("wrong", [("--profile", "lax"), ("--knob", "x"), ("--fault", "{}"), ("--host", "::")])
def test_a_wrong_option_is_explained(process, wrong):
    child, _ = process(*wrong)

    assert child.wait(10) == 2
    assert "Invalid value" in child.stderr.read()
