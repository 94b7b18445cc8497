"""The three flows on a real Prefect server, started as a deployment starts them: with parameters, and nothing else."""

import asyncio
import logging
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import fsspec
import pytest
from prefect import tags
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterKey,
    FlowRunFilter,
    FlowRunFilterId,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.client.schemas.objects import FlowRun, State, StateType, TaskRun
from prefect.client.schemas.sorting import ArtifactSort
from prefect.flow_engine import run_flow_async
from prefect.runtime import flow_run
from prefect.states import Scheduled

from deployments.prefect_server import await_logged, await_recorded, shared_prefect_server
from deployments.registering import to_runner_deployment
from deployments.sandbox.faults import Fault
from deployments.sandbox.knobs import Knobs
from deployments.sandbox.server import Sandbox, SandboxSettings, running_sandbox
from deployments.schedules import DEPLOYMENTS
from flows.tally import Tally
from states.stage import Trigger
from store.engine import make_engine
from store.records import Scope
from store.runs import begin_run, update_run

pytestmark = pytest.mark.prefect

RESUME = next(one for one in DEPLOYMENTS if one.entrypoint == "flows.onboard.resume_onboardings")


@pytest.fixture(scope="module")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with shared_prefect_server(tmp_path_factory.mktemp("prefect")):
        yield


@pytest.fixture
def alloy(prefect: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with running_sandbox(SandboxSettings(knobs=Knobs(auto="grant"))) as sandbox:
        monkeypatch.chdir(tmp_path)
        for name, value in {
            "ALLOY_API_KEY": "sandbox-dev-key",
            "ALLOY_BASE_URL": sandbox.url,
            "ALLOY_RATE": "10000",
            "ONBOARD_HOME": str(tmp_path),
        }.items():
            monkeypatch.setenv(name, value)
        yield sandbox


def write_list(tmp_path: Path, *rows: str) -> str:
    path = tmp_path / "spring.csv"
    path.write_text("\n".join(["username,integration,auth.apiKey", *rows]) + "\n", encoding="utf-8")
    return str(path)


async def run_name(state: State[None]) -> str:
    run_id = state.state_details.flow_run_id
    assert run_id is not None
    async with get_client() as client:
        return (await client.read_flow_run(run_id)).name


async def test_a_list_is_taken_in_and_brought_to_the_end(alloy: Sandbox, tmp_path: Path) -> None:
    from flows.onboard import onboard_customers

    path = write_list(tmp_path, "ann@example.test,Klaviyo,key-1", "bob@example.test,Klaviyo,key-2")
    state = await onboard_customers(list_path=path, return_state=True)

    assert (state.name, alloy.ledger().installations_completed) == ("10 moved", 2)
    assert await run_name(state) == "onboard spring"


async def test_a_faulty_list_is_refused_with_its_faults_in_the_run(alloy: Sandbox, tmp_path: Path) -> None:
    from flows.onboard import onboard_customers

    state = await onboard_customers(list_path=write_list(tmp_path, ",Klaviyo,key-1"), return_state=True)

    assert (state.name, alloy.ledger().users) == ("List refused", 0)
    assert "line 2, username" in (state.message or "")


async def test_a_list_and_its_mapping_come_by_url_and_prefect_keeps_nothing_of_what_they_hold(alloy: Sandbox) -> None:
    from flows.onboard import onboard_customers

    rows = "username,integration,auth.apiKey\nann@example.test,Klaviyo,canary-key\n,Klaviyo,canary-key\n"
    for name, text in (("lists/summer.csv", rows), ("lists/answers.json", '{"list": "canary-answer"}')):
        with fsspec.open(f"memory://{name}", "w") as file:
            file.write(text)
    refused = await onboard_customers(list_path="memory://lists/summer.csv", return_state=True)
    state = await onboard_customers(
        list_path="memory://lists/summer.csv",
        mapping="memory://lists/answers.json",
        accept_valid=True,
        return_state=True,
    )

    assert (refused.name, state.name, alloy.ledger().installations_completed) == ("List refused", "5 moved", 1)
    assert "line 3, username" in (state.message or "")
    assert await run_name(state) == "onboard summer"
    run_id = state.state_details.flow_run_id
    assert run_id is not None
    async with get_client() as client:
        run = await client.read_flow_run(run_id)
        logs = await client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run_id])))
    assert "canary" not in run.model_dump_json() + "".join(log.model_dump_json() for log in logs)


async def test_a_list_that_is_not_at_its_url_is_refused_without_repeating_a_signature(alloy: Sandbox) -> None:
    from flows.onboard import onboard_customers

    state = await onboard_customers(list_path="memory://lists/autumn.csv?signature=canary", return_state=True)

    assert (state.name, state.message) == (
        "List refused",
        "memory://lists/…/autumn.csv: there is no such file; nothing was taken in",
    )


async def test_a_list_by_url_may_not_take_values_out_of_this_machines_environment(alloy: Sandbox) -> None:
    from flows.onboard import onboard_customers

    with fsspec.open("memory://lists/winter.csv", "w") as file:
        file.write("username,integration,auth.apiKey\nann@example.test,Klaviyo,env:ALLOY_API_KEY\n")
    state = await onboard_customers(list_path="memory://lists/winter.csv", return_state=True)

    assert (state.name, alloy.ledger().users) == ("List refused", 0)
    assert "line 2, auth.apiKey: refers to this machine's environment" in (state.message or "")


async def test_a_quick_run_without_a_list_says_what_to_give(alloy: Sandbox) -> None:
    from flows.onboard import onboard_customers

    state = await onboard_customers(return_state=True)

    assert (state.name, "list_path" in (state.message or "")) == ("No list given", True)


async def test_a_batch_that_is_not_there_is_said_so(alloy: Sandbox) -> None:
    from flows.onboard import resume_onboardings

    state = await resume_onboardings(batch="autumn", return_state=True)

    assert (state.name, "autumn" in (state.message or "")) == ("Not found", True)


async def test_one_customer_is_onboarded_without_a_list(alloy: Sandbox) -> None:
    from flows.onboard import onboard_customer

    state = await onboard_customer(username="ann@example.test", integration="Slack", return_state=True)

    assert alloy.ledger().installations_started == 1
    assert await run_name(state) == "onboard ann@example.test"


async def test_without_a_key_the_run_says_what_to_set(alloy: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    from flows.onboard import resume_onboardings

    monkeypatch.delenv("ALLOY_API_KEY")
    state = await resume_onboardings(return_state=True)

    assert (state.name, "ALLOY_API_KEY" in (state.message or "")) == ("Halted", True)


async def test_a_run_over_everything_that_would_be_one_too_many_is_not_needed(alloy: Sandbox, tmp_path: Path) -> None:
    from flows.onboard import resume_onboardings

    assert (await resume_onboardings(at_once=1, return_state=True)).is_completed()
    engine = make_engine(f"sqlite:///{tmp_path / 'onboard.db'}")
    other = begin_run(engine, Scope(), datetime.now(UTC), worker="another")

    crowded = await resume_onboardings(at_once=1, return_state=True)
    shared = await resume_onboardings(at_once=2, return_state=True)
    update_run(engine, other, datetime.now(UTC), calls=0, seconds=0.0, ended=True)
    alone = await resume_onboardings(at_once=1, return_state=True)
    engine.dispose()

    assert (crowded.name, crowded.is_cancelled()) == ("Not needed", True)
    assert (shared.is_completed(), alone.is_completed()) == (True, True)


async def test_a_run_that_begins_leaves_as_many_of_those_that_fell_due_as_may_be_at_work_beside_it(
    alloy: Sandbox,
) -> None:
    from flows.onboard import WATCHER, Watcher, resume_onboardings

    deployment_id = await to_runner_deployment(RESUME).aapply()
    async with get_client() as client:

        async def put_in(minutes_ago: int) -> FlowRun:
            due: State[None] = Scheduled(scheduled_time=datetime.now(UTC) - timedelta(minutes=minutes_ago))
            return await client.create_flow_run_from_deployment(deployment_id, parameters={"at_once": 2}, state=due)

        late = [await put_in(15), await put_in(10), await put_in(5)]
        begun = await put_in(0)
        # Once it has gone on with everything none of them is needed; so it is told to stop as soon as it has begun.
        token = WATCHER.set(Watcher(on_stop=lambda stop: stop.set()))
        await run_flow_async(resume_onboardings, begun, parameters=begun.parameters, return_type="state")
        WATCHER.reset(token)

        names = [(await client.read_flow_run(one.id)).state_name for one in [*late, begun]]
    assert names == ["Not needed", "Not needed", "Scheduled", "Interrupted"]


async def test_a_run_over_everything_shows_the_pages_of_the_batches_on_which_something_has_moved(
    alloy: Sandbox, tmp_path: Path
) -> None:
    from flows.desk.keys import OVERVIEW, WAITING, batch_key
    from flows.onboard import WATCHER, Watcher, onboard_customers, resume_onboardings

    path = write_list(tmp_path, "ann@example.test,Klaviyo,key-1")
    token = WATCHER.set(Watcher(on_stop=lambda stop: stop.set()))
    begun = await onboard_customers(list_path=path, return_state=True)
    WATCHER.reset(token)

    moving = await resume_onboardings(return_state=True)
    idle = await resume_onboardings(return_state=True)

    assert (begun.name, moving.name, idle.name) == ("Interrupted", "5 moved", "nothing due")
    assert await pages_of(moving) == {OVERVIEW, WAITING, batch_key("spring")}
    assert batch_key("spring") not in await pages_of(idle)


async def pages_of(state: State[None]) -> set[str | None]:
    run_id = state.state_details.flow_run_id
    assert run_id is not None
    async with get_client() as client:
        of_run = FlowRunFilter(id=FlowRunFilterId(any_=[run_id]))
        return {one.key for one in await client.read_artifacts(flow_run_filter=of_run)}


async def test_after_a_run_its_pages_are_there_and_the_progress_of_its_batch_is_complete(
    alloy: Sandbox, tmp_path: Path
) -> None:
    from flows.desk.keys import OVERVIEW, WAITING, batch_key, progress_key
    from flows.desk.refreshing import refresh_desk, show_customer
    from flows.onboard import onboard_customers

    state = await onboard_customers(list_path=write_list(tmp_path, "ann@example.test,Klaviyo,key-1"), return_state=True)
    run_id = state.state_details.flow_run_id
    assert run_id is not None
    async with get_client() as client:
        of_run = FlowRunFilter(id=FlowRunFilterId(any_=[run_id]))
        shown = {one.key: one.data for one in await client.read_artifacts(flow_run_filter=of_run)}
        before = len(await client.read_artifacts())
        await refresh_desk(return_state=True)
        unchanged = len(await client.read_artifacts())
        await show_customer(username="ann@example.test", return_state=True)
        told = len(await client.read_artifacts())

    assert set(shown) == {OVERVIEW, WAITING, batch_key("spring"), progress_key("spring")}
    assert shown[progress_key("spring")] == 100.0
    assert "| 1 | 1 | 0 | 0 | 0 | 0 | 0 |" in str(shown[OVERVIEW])
    assert (unchanged, told) == (before, before + 1)


async def test_a_page_leads_to_the_forms_that_are_registered_and_to_no_others(alloy: Sandbox, tmp_path: Path) -> None:
    from flows.desk.forms import Forms
    from flows.desk.keys import OVERVIEW
    from flows.desk.refreshing import refresh_desk
    from flows.onboard import onboard_customers

    [redrive] = [one for one in DEPLOYMENTS if one.name == "redrive"]
    identity = await to_runner_deployment(redrive).aapply()
    await onboard_customers(list_path=write_list(tmp_path, "ann@example.test,Klaviyo,key-1"), return_state=True)
    assert (await refresh_desk(return_state=True)).is_completed()
    async with get_client() as client:
        of_key = ArtifactFilter(key=ArtifactFilterKey(any_=[OVERVIEW]))
        [shown] = await client.read_artifacts(artifact_filter=of_key, sort=ArtifactSort.UPDATED_DESC, limit=1)

    assert Forms({"redrive": identity}).link("redrive") in str(shown.data)
    assert "[cancel](" not in str(shown.data)


@dataclass(frozen=True, slots=True)
class Read:
    """What Prefect shows of a run, asked of its server once all of it is there."""

    tags: list[str]
    task_runs: list[TaskRun]
    lines: list[str]
    errors: list[str]


async def read(run_id: UUID | None, pages: int) -> Read:
    assert run_id is not None
    recorded = await await_recorded(run_id, pages, timeout=30)
    assert (recorded.recorded, recorded.expected) == (pages, pages)
    await await_logged(timeout=10)
    async with get_client() as client:
        of_run = FlowRunFilter(id=FlowRunFilterId(any_=[run_id]))
        logs = await client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run_id])))
        return Read(
            (await client.read_flow_run(run_id)).tags,
            await client.read_task_runs(flow_run_filter=of_run),
            [log.message for log in logs if log.name == "prefect.task_runs.onboarding"],
            [log.message for log in logs if log.level > logging.INFO],
        )


async def test_a_run_and_its_task_runs_are_found_by_batch_integration_and_trigger(
    alloy: Sandbox, tmp_path: Path
) -> None:
    from flows.onboard import onboard_customers

    path = write_list(tmp_path, "ann@example.test,Klaviyo,key-1")
    with tags("of the deployment"):
        state = await onboard_customers(list_path=path, batch="spring" * 20, return_state=True)
    shown = await read(state.state_details.flow_run_id, pages=5)
    batch, integration = f"batch:{('spring' * 20)[:60]}…", "integration:Klaviyo"

    assert shown.tags == [batch, integration, "of the deployment"]
    found = {one.name.split(" · ")[0]: set(one.tags) for one in shown.task_runs}
    found["create_user"].add(integration)  # what integrations there are is read only by whoever authenticates first
    assert found == {
        trigger.value: {batch, integration, f"trigger:{trigger}", "of the deployment"} for trigger in Trigger
    }


async def test_each_page_has_one_line_in_the_log_of_its_run_and_none_on_the_terminal(
    alloy: Sandbox, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from flows.onboard import onboard_customers

    state = await onboard_customers(
        list_path=write_list(tmp_path, "ann@example.test,Klaviyo,canary"), return_state=True
    )
    shown = await read(state.state_details.flow_run_id, pages=5)
    said = [re.fullmatch(r"(\w+) · ann@example\.test: 1 moved \(\d+\.\d s, \d+ calls?\)", one) for one in shown.lines]

    assert [one and one[1] for one in said] == [trigger.value for trigger in Trigger]
    assert shown.errors == []
    assert "moved" not in "".join(capfd.readouterr())


async def test_of_the_pages_that_meet_a_revoked_key_one_is_red_and_none_has_a_traceback(
    alloy: Sandbox, tmp_path: Path
) -> None:
    from flows.onboard import WATCHER, Watcher, onboard_customers

    watcher = Watcher()
    WATCHER.set(watcher)
    alloy.faults.add(Fault(kind="auth_flip", route="start_installation", count=None))
    alloy.knobs = replace(alloy.knobs, latency_ms=50)
    path = write_list(tmp_path, *(f"c{number}@example.test,Klaviyo,key-{number}" for number in range(5)))
    state = await onboard_customers(list_path=path, return_state=True)
    WATCHER.set(None)
    shown = await read(state.state_details.flow_run_id, watcher.task_runs)
    states = Counter((one.state_type, one.state_name) for one in shown.task_runs)

    assert state.name == "Halted"
    assert states.pop((StateType.FAILED, "Halted")) == 1
    assert set(states) == {(StateType.COMPLETED, "Moved"), (StateType.COMPLETED, "Given back")}
    assert "Traceback" not in "".join(shown.errors)


async def test_a_page_that_is_cut_off_is_given_back_and_is_not_red(alloy: Sandbox, tmp_path: Path) -> None:
    from flows.onboard import WATCHER, Watcher, onboard_customers

    run_ids: list[str] = []

    def cut_off(_tally: Tally) -> None:
        run_ids.append(flow_run.id)
        if len(run_ids) == len(Trigger):
            running.cancel()

    WATCHER.set(Watcher(on_page=cut_off))
    alloy.faults.add(Fault(kind="latency", route="create_user", user="bob@example.test", delay_ms=60_000))
    path = write_list(tmp_path, "ann@example.test,Klaviyo,key-1", "bob@example.test,Klaviyo,key-2")
    running = asyncio.ensure_future(onboard_customers(list_path=path, return_state=True))
    with pytest.raises(asyncio.CancelledError):
        await running
    WATCHER.set(None)
    shown = await read(UUID(run_ids[0]), pages=6)
    [bob] = [one for one in shown.task_runs if "bob" in one.name]

    assert (bob.state_type, bob.state_name) == (StateType.CANCELLED, "Given back")
    assert len([one for one in shown.lines if "bob" in one and "cut off" in one]) == 1
