"""Runs that wait for a worker while others do what they are for: cancelled, instead of run for nothing.

Prefect schedules a resume every five minutes whether or not anybody has time for it. Where all workers were busy for an
hour, or away for a day, they would come back to hundreds of runs that find nothing to do, a dozen seconds each.
"""

from contextlib import suppress
from datetime import datetime
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.runtime import deployment
from prefect.states import Cancelled

NOT_NEEDED = "Not needed"
"""What the state of a run is called that others made needless."""

_AT_ONCE = 200


async def cancel_overdue(*, before: datetime, keep: int = 0) -> None:
    """Cancel the runs of this run's own deployment that should have started by ``before`` and were for everything.

    Whatever was due by then has been gone on with, or is by this run and the latest ``keep`` of them. A run for one
    batch is kept: it may let a paused batch go on.
    """
    if deployment.id is not None:
        # Prefect shows, our database decides: a run that stays is only one that finds nothing to do.
        with suppress(Exception):
            await cancel_overdue_of(deployment.id, before=before, keep=keep)


async def cancel_overdue_of(deployment_id: UUID | str, *, before: datetime, keep: int) -> int:
    """Cancel the runs of any deployment that should have started by ``before``, but for the latest ``keep`` of them.

    Return how many. A run for one batch is kept.
    """
    let_be = for_everything = cancelled = 0
    async with get_client() as client:
        while True:
            overdue = await _overdue(client, deployment_id, before, offset=let_be)
            for run in overdue:
                is_for_everything = not run.parameters.get("batch")
                if is_for_everything and for_everything >= keep:
                    await client.set_flow_run_state(run.id, Cancelled(name=NOT_NEEDED, message=_MESSAGE))
                    cancelled += 1
                else:
                    for_everything += is_for_everything
                    let_be += 1
            if len(overdue) < _AT_ONCE:
                return cancelled


async def _overdue(client: PrefectClient, deployment_id: UUID | str, before: datetime, *, offset: int) -> list[FlowRun]:
    return await client.read_flow_runs(
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[UUID(str(deployment_id))])),
        flow_run_filter=FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
            expected_start_time=FlowRunFilterExpectedStartTime(before_=before),
        ),
        sort=FlowRunSort.EXPECTED_START_TIME_DESC,
        limit=_AT_ONCE,
        offset=offset,
    )


_MESSAGE = "It waited for a worker while another run went on with all that was due."
