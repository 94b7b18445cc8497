"""Alerts on a real Prefect server: installed as data, and fired by what a run comes to."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select, update

from deployments.alerts import ALERTS, Alert, NoBlock, install, missing
from deployments.prefect_server import shared_prefect_server
from deployments.registering import to_runner_deployment
from deployments.sandbox.knobs import Knobs
from deployments.sandbox.server import Sandbox, SandboxSettings, running_sandbox
from deployments.schedules import NOTE_ALERT
from flows.settings import Settings
from states.holds import HoldKind, Reason
from store.engine import writing
from store.models import BATCH, ONBOARDING
from store.records import Scope
from store.runs import begin_run, update_run

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun
    from prefect.events.schemas.automations import Automation, AutomationCore

pytestmark = [pytest.mark.prefect, pytest.mark.timeout(180)]

NAMES = tuple(alert.name for alert in ALERTS)
HALTED = "onboarding: halted"
MARKUP = "[click](www.x.test) <b>{{ 7 * 7 }}"
"""What somebody may call a list, in the hope that it is more than a name."""
LIST = "username,integration,auth.apiKey\nann@example.test,Klaviyo,k\n"


@pytest.fixture(scope="module")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PREFECT_SERVER_EVENTS_PROACTIVE_GRANULARITY", "PT1S")
        with shared_prefect_server(tmp_path_factory.mktemp("prefect")):
            yield


@pytest.fixture
async def client(prefect: None) -> "AsyncIterator[PrefectClient]":
    """A Prefect with the deployment that alerts run, and without any automation and any run of before."""
    from prefect.client.orchestration import get_client

    await to_runner_deployment(NOTE_ALERT).aapply()
    async with get_client() as client:
        yield client
        for one in await client.read_automations():
            await client.delete_automation(one.id)
        for run in await client.read_flow_runs():
            await client.delete_flow_run(run.id)


@pytest.fixture
def alloy(prefect: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with running_sandbox(SandboxSettings(knobs=Knobs(auto="grant"))) as sandbox:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("ALLOY_API_KEY", "sandbox-dev-key")
        monkeypatch.setenv("ALLOY_BASE_URL", sandbox.url)
        monkeypatch.setenv("ALLOY_RATE", "10000")
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
    await halt_a_batch(monkeypatch)

    assert "ALLOY_API_KEY" in await said(client, HALTED)


@pytest.mark.parametrize(
    ("module", "name"),
    [("flows.onboard", "resume_onboardings"), ("flows.inbox", "take_in_inbox")],
    ids=["resume", "inbox"],
)
async def test_a_run_of_the_schedule_without_a_key_fires_the_alert_for_halts(
    client: "PrefectClient", alloy: Sandbox, monkeypatch: pytest.MonkeyPatch, module: str, name: str
) -> None:
    await install(Settings())
    monkeypatch.delenv("ALLOY_API_KEY")
    flow: Flow[[], object] = getattr(import_module(module), name)

    state = await flow(return_state=True)

    assert (state.name, state.is_failed()) == ("Halted", True)
    assert state.message == "ALLOY_API_KEY is not set: put it into the environment or into .env"
    assert state.message in await said(client, HALTED)


async def test_what_a_resume_finds_amiss_fires_an_alert_each(
    client: "PrefectClient", alloy: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.onboard import resume_onboardings

    await install(Settings())
    await leave_much_amiss()
    monkeypatch.setenv("ONBOARD_ALERT_OPERATORS", "0")

    await resume_onboardings(return_state=True)

    assert await said(client, "onboarding: nothing completed") == (
        "Nothing was completed for an hour although work is due: onboard status."
    )
    assert await said(client, "onboarding: operators needed") == (
        "1 onboardings wait for an operator, more than 0: onboard status."
    )
    paused = "onboarding: batch paused"
    assert await said(client, paused) == (
        f"Batch {MARKUP} is paused: too many were refused. To go on: onboard resume --batch."
    )
    assert_nothing_is_markup(await shown(client, paused, await said(client, paused)))


async def test_a_list_that_the_inbox_refuses_fires_the_alert(
    client: "PrefectClient", alloy: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows import inbox

    async def settle() -> None:
        pass

    monkeypatch.setattr(inbox, "settle", settle)
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / f"{MARKUP}.csv").write_text("username,integration\n,Klaviyo\n", encoding="utf-8")
    await install(Settings())

    await inbox.take_in_inbox(return_state=True)

    refused = "onboarding: list refused"
    told = await said(client, refused)
    assert told.startswith(f"{MARKUP}.csv in the inbox was refused: ")
    assert_nothing_is_markup(await shown(client, refused, told))


async def test_a_resume_that_does_not_come_is_told_once_and_rarely_again_also_where_none_ever_came(
    client: "PrefectClient",
) -> None:
    from flows.events import tell_of_resuming

    shortest = timedelta(seconds=10)  # Prefect takes nothing less
    once, again = (replace(one, missed_for=shortest) for one in ALERTS if one.missed_for is not None)
    never_came = replace(once, name="onboarding: never came", event="onboarding.never")
    await install(Settings(), [once, never_came, replace(again, event=never_came.event)])

    assert "half an hour" in await said(client, once.name)
    tell_of_resuming(Scope())
    await until(fired(client, once, times=2))
    await until(fired(client, again, times=2))

    assert len(await runs_of(client, never_came.name)) == 1


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
        await halt_a_batch(monkeypatch)

        async def was_told() -> bool:
            return any(one["subject"] == HALTED and "ALLOY_API_KEY" in one["body"] for one in told)

        await until(was_told)


def changed(automation: "Automation", **change: object) -> "AutomationCore":
    """Return it as it would be sent back: Prefect takes no id then."""
    from prefect.events.schemas.automations import AutomationCore

    return AutomationCore(**{**automation.model_dump(exclude={"id", "owner_resource"}), **change})


async def take_in(name: str) -> None:
    """Take in a list of one."""
    from flows.receive import receive_list
    from flows.resources import open_resources

    path = Path("list.csv")
    path.write_text(LIST.replace("ann", str(len(name))), encoding="utf-8")  # noqa: ASYNC240 - one line
    async with open_resources(Settings()) as resources:
        await receive_list(resources, path, name)


async def halt_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take a list in with the right key, and go on with a wrong one."""
    from flows.onboard import onboard_customers

    await take_in("spring")
    monkeypatch.setenv("ALLOY_API_KEY", "a wrong one")
    state = await onboard_customers(batch="spring", return_state=True)
    assert state.name == "Halted"


async def leave_much_amiss() -> None:
    """Leave somebody due who did not move for an hour, and a batch paused in which somebody waits for an operator."""
    from flows.resources import open_resources

    await take_in("spring")
    await take_in(MARKUP)
    async with open_resources(Settings()) as resources:
        now, engine = resources.clock.now(), resources.engine
        earlier = now - timedelta(hours=1)
        run = begin_run(engine, Scope(), earlier)
        update_run(engine, run, earlier, calls=0, seconds=0.0, ended=True)
        of_the_paused = ONBOARDING.c.batch_id.in_(select(BATCH.c.id).where(BATCH.c.name == MARKUP))
        with writing(engine) as connection:
            connection.execute(update(ONBOARDING).values(stage_since=earlier))
            connection.execute(
                update(ONBOARDING)
                .where(of_the_paused)
                .values(hold=HoldKind.operator, reason=Reason.rejected, due_at=None)
            )
            connection.execute(
                update(BATCH).where(BATCH.c.name == MARKUP).values(paused_at=now, paused_why="too many were refused")
            )


async def said(client: "PrefectClient", alert: str) -> str:
    """Wait until an alert has fired, once; return what the run that it starts is to say."""
    found: list[str] = []

    async def has_fired() -> bool:
        found[:] = [str(run.parameters["says"]) for run in await runs_of(client, alert)]
        return found != []

    await until(has_fired)
    [says] = found
    return says


async def runs_of(client: "PrefectClient", alert: str) -> "list[FlowRun]":
    """Return the runs of `note-alert` that an alert has started."""
    return [run for run in await client.read_flow_runs() if run.parameters.get("alert") == alert]


async def shown(client: "PrefectClient", alert: str, says: str) -> str:
    """Do what the run of an alert does; return the artifact in which it shows the alert."""
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
    from prefect.client.schemas.sorting import ArtifactSort

    from flows.alerts import ALERTS_KEY, note_alert

    state = await note_alert(alert, says, return_state=True)
    assert (state.name, state.message) == ("Alert", says)
    [artifact] = await client.read_artifacts(
        artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[ALERTS_KEY])),
        sort=ArtifactSort.CREATED_DESC,
        limit=1,
    )
    return str(artifact.data)


def assert_nothing_is_markup(shown: str) -> None:
    """Assert that a name made of markup is shown as it is written."""
    assert "click" in shown
    assert not set("[]<>{}") & set(shown)
    assert "www." not in shown


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


def fired(client: "PrefectClient", alert: Alert, *, times: int) -> Callable[[], Awaitable[bool]]:
    """Ask whether an alert has fired so often."""

    async def has_fired() -> bool:
        return len(await runs_of(client, alert.name)) >= times

    return has_fired


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + 60
    while not await condition():
        assert time.monotonic() < deadline, "it did not come to that in time"
        await asyncio.sleep(0.2)
