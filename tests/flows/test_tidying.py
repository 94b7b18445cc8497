"""What Prefect keeps of our flows is deleted when it is old, on a real server; nothing else is."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID

import pytest
from prefect import Flow
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import ArtifactCreate, LogCreate
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowFilter,
    FlowFilterName,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed, Pending, Running

from deployments.prefect_server import shared_prefect_server
from flows.tidying import delete_runs, tidy_prefect

pytestmark = pytest.mark.prefect

OURS: Flow[[], None] = Flow(lambda: None, name="onboard-customers")
OTHERS: Flow[[], None] = Flow(lambda: None, name="nightly-report")


@pytest.fixture(scope="module")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with shared_prefect_server(tmp_path_factory.mktemp("prefect")):
        yield


async def a_run(client: PrefectClient, flow: Flow[[], None], *states: State[None]) -> UUID:
    """Make a run with an artifact and a line in its log, and lead it through ``states``."""
    run = await client.create_flow_run(flow, state=Pending())
    for state in states:
        await client.set_flow_run_state(run.id, state, force=True)
    await client.create_artifact(ArtifactCreate(key="a-page", type="markdown", data="shown", flow_run_id=run.id))
    await client.create_logs(
        [LogCreate(name="ours", level=30, message="said", timestamp=datetime.now(UTC), flow_run_id=run.id)]
    )
    return run.id


async def kept(client: PrefectClient) -> set[UUID]:
    wanted = FlowFilter(name=FlowFilterName(any_=[OURS.name, OTHERS.name]))
    return {run.id for run in await client.read_flow_runs(flow_filter=wanted)}


async def artifacts_and_lines(client: PrefectClient, *runs: UUID) -> tuple[int, int]:
    artifacts = await client.read_artifacts(
        artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=list(runs)))
    )
    lines = await client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=list(runs))))
    return len(artifacts), len(lines)


async def test_of_our_flows_alone_ended_runs_older_than_a_time_are_deleted_with_their_artifacts_and_logs(
    prefect: None,
) -> None:
    async with get_client() as client:
        old = {await a_run(client, OURS, Running(), Completed()), await a_run(client, OURS, Cancelled())}
        at_work = await a_run(client, OURS, Running())
        of_others = await a_run(client, OTHERS, Running(), Completed())
        then = datetime.now(UTC)
        young = await a_run(client, OURS, Running(), Completed())
        left = {at_work, of_others, young}

        state = await tidy_prefect(return_state=True)
        assert (state.name, await kept(client)) == ("Nothing to delete", old | left)

        assert await delete_runs(ended_before=then) == len(old)
        assert await kept(client) == left
        assert await artifacts_and_lines(client, *left) == (3, 3)
        async with asyncio.timeout(20):
            while await artifacts_and_lines(client, *old) != (0, 0):  # noqa: ASYNC110 - logs go a little later, untold
                await asyncio.sleep(0.1)

        assert await delete_runs(ended_before=then) == 0


async def test_no_more_are_deleted_at_once_than_was_said_and_the_oldest_go_first(prefect: None) -> None:
    async with get_client() as client:
        await delete_runs(ended_before=datetime.now(UTC))
        first = await a_run(client, OURS, Running(), Completed())
        second = await a_run(client, OURS, Running(), Completed())

        assert await delete_runs(ended_before=datetime.now(UTC), most=1) == 1
        assert {first, second} & await kept(client) == {second}
