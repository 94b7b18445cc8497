"""Runs that fell due while nobody was there to run them, on a real server: `onboard up` leaves one of them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.states import Scheduled

from deployments.prefect_server import shared_prefect_server
from deployments.registering import to_runner_deployment
from deployments.schedules import DEPLOYMENTS
from deployments.up import drop_overdue
from flows import overdue

pytestmark = pytest.mark.prefect

RESUME = next(one for one in DEPLOYMENTS if one.entrypoint == "flows.onboard.resume_onboardings")


@pytest.fixture(scope="module")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with shared_prefect_server(tmp_path_factory.mktemp("prefect")):
        yield


async def test_of_twelve_late_resumes_the_latest_is_left_and_one_for_a_batch_and_those_to_come_are_let_be(
    prefect: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overdue, "_AT_ONCE", 5)  # fewer than there are, as after a long week-end
    now = datetime.now(UTC)
    deployment_id = await to_runner_deployment(RESUME).aapply()
    async with get_client() as client:

        async def put_in(minutes: int, **parameters: str) -> UUID:
            state: State[None] = Scheduled(scheduled_time=now + timedelta(minutes=minutes))
            run = await client.create_flow_run_from_deployment(deployment_id, parameters=parameters, state=state)
            return run.id

        late = [await put_in(-5 * number) for number in range(12, 0, -1)]
        of_a_batch = await put_in(-30, batch="spring")
        to_come = await put_in(5)

        await drop_overdue([RESUME])

        states = {one: (await client.read_flow_run(one)).state_name for one in [*late, of_a_batch, to_come]}
        assert [states[one] for one in late] == ["Not needed"] * 11 + ["Scheduled"]
        assert (states[of_a_batch], states[to_come]) == ("Scheduled", "Scheduled")
