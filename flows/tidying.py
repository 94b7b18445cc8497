"""Prefect's own data kept in bounds: what our flows left there long ago is deleted.

The Prefect server that `onboard up` starts clears itself. One that others use too is not ours to set up, so a flow does
it there, and only for runs of our flows: with each its task runs, its log and its artifacts.
"""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from uuid import UUID

from prefect import flow
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterEndTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import TERMINAL_STATES, State
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound
from prefect.states import Completed

from flows.overdue import cancel_overdue
from flows.settings import Settings

MOST_AT_ONCE = 2_000
"""So many runs are deleted by one run: a server that was never tidied up is done with after some nights."""
_AT_ONCE = 100


@flow(name="tidy-prefect", flow_run_name="tidy up", retries=0, persist_result=False)
async def tidy_prefect() -> State[None]:
    """Delete the runs of our flows that ended longer ago than `ONBOARD_KEEP_DAYS`."""
    now = datetime.now(UTC)
    await cancel_overdue(before=now)
    days = Settings().onboard_keep_days
    deleted = await delete_runs(ended_before=now - timedelta(days=days))
    rest = " The rest is left for the next time." if deleted >= MOST_AT_ONCE else ""
    return Completed(
        name=f"{deleted} runs deleted" if deleted else "Nothing to delete", message=f"Older than {days} days.{rest}"
    )


OUR_FLOWS = (
    "resume-onboardings",
    "onboard-customers",
    "onboard-customer",
    "refresh-desk",
    "show-customer",
    "show-batch",
    "take-in-inbox",
    "tidy-prefect",
    "note-alert",
    "redrive-onboardings",
    "cancel-onboardings",
    "answer-everyone",
    "renew-consent-links",
    "review-open-questions",
)
"""By name, which is all that runs have in common that were started by hand and from Prefect."""


async def delete_runs(*, ended_before: datetime, most: int = MOST_AT_ONCE) -> int:
    """Delete the runs of our flows that ended before a time, the oldest first; return how many."""
    deleted = 0
    async with get_client() as client:
        while deleted < most:
            runs = await client.read_flow_runs(
                flow_filter=FlowFilter(name=FlowFilterName(any_=list(OUR_FLOWS))),
                flow_run_filter=FlowRunFilter(
                    state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(TERMINAL_STATES))),
                    end_time=FlowRunFilterEndTime(before_=ended_before),
                ),
                sort=FlowRunSort.START_TIME_ASC,
                limit=min(_AT_ONCE, most - deleted),
            )
            for run in runs:
                await _delete(client, run.id)
            deleted += len(runs)
            if len(runs) < _AT_ONCE:
                break
    return deleted


async def _delete(client: PrefectClient, flow_run_id: UUID) -> None:
    # With the run Prefect deletes its task runs and its log, but not its artifacts.
    of_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run_id]))
    while artifacts := await client.read_artifacts(artifact_filter=of_run, limit=_AT_ONCE):
        for artifact in artifacts:
            with suppress(ObjectNotFound):
                await client.delete_artifact(artifact.id)
    with suppress(ObjectNotFound):
        await client.delete_flow_run(flow_run_id)
