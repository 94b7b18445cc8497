"""Alerts on a real Prefect server: installed as data, and fired by what a run comes to."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deployments.alerts import ALERTS, NoBlock, install, missing
from deployments.prefect_server import shared_prefect_server
from deployments.registering import to_runner_deployment
from deployments.sandbox.server import Sandbox, SandboxSettings, running_sandbox
from deployments.schedules import NOTE_ALERT
from flows.settings import Settings

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.events.schemas.automations import Automation, AutomationCore

pytestmark = [pytest.mark.prefect, pytest.mark.timeout(180)]

NAMES = tuple(alert.name for alert in ALERTS)
HALTED = "onboarding: halted"
LIST = "username,integration,auth.apiKey\nann@example.test,Klaviyo,k\n"


@pytest.fixture(scope="module")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with shared_prefect_server(tmp_path_factory.mktemp("prefect")):
        yield


@pytest.fixture
async def client(prefect: None) -> "AsyncIterator[PrefectClient]":
    """A Prefect with the deployment that alerts run, and without any automation."""
    from prefect.client.orchestration import get_client

    await to_runner_deployment(NOTE_ALERT).aapply()
    async with get_client() as client:
        yield client
        for one in await client.read_automations():
            await client.delete_automation(one.id)


@pytest.fixture
def alloy(prefect: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with running_sandbox(SandboxSettings()) as sandbox:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("ALLOY_BASE_URL", sandbox.url)
        monkeypatch.setenv("ONBOARD_HOME", str(tmp_path))
        yield sandbox


async def test_installing_again_changes_nothing_and_what_is_switched_off_stays_off(client: "PrefectClient") -> None:
    first, again = await install(Settings()), await install(Settings())
    assert (first.made, again.kept, again.made + again.changed) == (NAMES, NAMES, ())

    [halted] = await client.read_automations_by_name(HALTED)
    await client.pause_automation(halted.id)
    await client.update_automation(halted.id, changed(halted, enabled=False, description="older"))
    assert (await install(Settings())).changed == (HALTED,)
    assert not (await client.read_automation(halted.id)).enabled  # type: ignore[union-attr]  # it is there
    assert await missing(Settings()) == []


async def test_an_automation_of_the_same_name_that_is_not_ours_is_left_alone(client: "PrefectClient") -> None:
    await install(Settings())
    [ours] = await client.read_automations_by_name(HALTED)
    theirs = changed(ours, tags=[], description="theirs")
    await client.update_automation(ours.id, theirs)

    assert await missing(Settings()) == [HALTED]
    assert (await install(Settings())).made == (HALTED,)
    assert {one.description for one in await client.read_automations_by_name(HALTED)} > {"theirs"}


async def test_a_block_that_is_not_there_is_named(client: "PrefectClient") -> None:
    with pytest.raises(NoBlock, match="slack-webhook/ops"):
        await install(Settings(onboard_alert_block="slack-webhook/ops"))


async def test_a_batch_that_a_wrong_key_halts_fires_the_alert_which_runs_the_deployment(
    client: "PrefectClient", alloy: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    await install(Settings())
    await halt_a_batch(alloy, monkeypatch)

    async def noted() -> bool:
        runs = await client.read_flow_runs()
        return any(run.parameters.get("alert") == HALTED and "ALLOY_API_KEY" in run.parameters["says"] for run in runs)

    await until(noted)


async def test_the_alert_goes_to_the_notification_block_that_was_chosen(
    client: "PrefectClient", alloy: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.blocks.notifications import CustomWebhookNotificationBlock

    with notified() as (address, told):
        block = CustomWebhookNotificationBlock(
            name="ops", url=address, json_data={"subject": "{{subject}}", "body": "{{body}}"}
        )
        await block.save("ops", overwrite=True)
        await install(Settings(onboard_alert_block="custom-webhook/ops"))
        await halt_a_batch(alloy, monkeypatch)

        async def was_told() -> bool:
            return any(one["subject"] == HALTED and "ALLOY_API_KEY" in one["body"] for one in told)

        await until(was_told)


async def test_an_alert_is_shown_as_an_artifact_in_which_nothing_is_markup(client: "PrefectClient") -> None:
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
    from prefect.client.schemas.sorting import ArtifactSort

    from flows.alerts import ALERTS_KEY, note_alert

    state = await note_alert("onboarding: halted", "[click](http://x) <b>me</b>", return_state=True)
    assert state.name == "Alert"
    [artifact] = await client.read_artifacts(
        artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[ALERTS_KEY])),
        sort=ArtifactSort.CREATED_DESC,
        limit=1,
    )
    shown = str(artifact.data)
    assert "click" in shown
    assert not set("[]<>") & set(shown)
    assert "http://" not in shown


def changed(automation: "Automation", **change: object) -> "AutomationCore":
    """Return it as it would be sent back: Prefect takes no id then."""
    from prefect.events.schemas.automations import AutomationCore

    return AutomationCore(**{**automation.model_dump(exclude={"id", "owner_resource"}), **change})


async def halt_a_batch(alloy: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take a list in with the right key, and go on with a wrong one."""
    from flows.onboard import onboard_customers
    from flows.receive import receive_list
    from flows.resources import open_resources

    monkeypatch.setenv("ALLOY_API_KEY", "sandbox-dev-key")
    path = Path("spring.csv")
    path.write_text(LIST, encoding="utf-8")  # noqa: ASYNC240 - one line
    async with open_resources(Settings()) as resources:
        await receive_list(resources, path, "spring")
    monkeypatch.setenv("ALLOY_API_KEY", "a wrong one")
    state = await onboard_customers(batch="spring", return_state=True)
    assert state.name == "Halted"


@contextmanager
def notified() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Listen for a webhook; give its address, and what it was told."""
    told: list[dict[str, str]] = []

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Webhook) as server:
        listening = threading.Thread(target=server.serve_forever)
        listening.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", told
        finally:
            server.shutdown()
            listening.join()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + 60
    while not await condition():
        assert time.monotonic() < deadline, "it did not come to that in time"
        await asyncio.sleep(0.2)
