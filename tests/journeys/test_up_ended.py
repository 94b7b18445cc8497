"""``onboard up`` ended in the middle of a run that Prefect started: the run finishes what is in flight, and says so."""

import signal

import pytest
from sqlalchemy import select

from deployments.sandbox.control import SandboxControl
from store.engine import reading
from store.models import INTENT
from tests.journeys.people import klaviyo, write_list
from tests.journeys.processes import Onboard, Prefect, until
from tests.journeys.proofs import assert_nobody_is_blamed, leased, records

pytestmark = pytest.mark.prefect

WITHIN = 40
"""What is in flight is given ten seconds, and Prefect looks every three whether the run has ended."""


def test_up_that_is_ended_lets_its_run_finish_what_is_in_flight(
    onboard: Onboard, own_database: str, alloy: SandboxControl, prefect: Prefect
):
    write_list(onboard.folder / "list.csv", [klaviyo(f"c{one}@example.test") for one in range(40)])
    up = onboard.start("up", PREFECT_RUNNER_POLL_FREQUENCY="1", ALLOY_CONCURRENCY="5")
    until(lambda: "serving" in up.out.read_text(encoding="utf-8"), up)
    flow_run_id = start_run(prefect, "onboard-customers/from-a-list", list_path=str(onboard.folder / "list.csv"))
    until(lambda: len(alloy.requests("create_user")) >= 5, up)
    alloy.turn(latency_ms=1000, latency_after_ms=1000)
    until(lambda: under_way(alloy) >= 3, up)

    up.process.send_signal(signal.SIGTERM)
    ended = up.ended(within=WITHIN)

    assert ended.code == 0, ended.err
    assert leased(own_database) == 0
    assert unknown(own_database) == []
    assert_nobody_is_blamed(own_database)
    assert 0 < alloy.ledger().users < 40
    assert state_of(prefect, flow_run_id) == "CANCELLED"


def start_run(prefect: Prefect, deployment: str, **parameters: str) -> str:
    """Start a run as an operator does it from Prefect's pages."""
    name = deployment.partition("/")[2]
    [found] = prefect.ask("deployments/filter", deployments={"name": {"any_": [name]}})
    run = prefect.ask(f"deployments/{found['id']}/create_flow_run", parameters=parameters)
    return str(run["id"])


def state_of(prefect: Prefect, flow_run_id: str) -> str:
    [run] = prefect.ask("flow_runs/filter", flow_runs={"id": {"any_": [flow_run_id]}})
    return str(run["state_type"])


def under_way(alloy: SandboxControl) -> int:
    return sum(one.status is None for one in alloy.requests())


def unknown(url: str) -> list[int]:
    """Return the calls whose outcome nobody knows."""
    with records(url) as engine, reading(engine) as connection:
        return list(connection.scalars(select(INTENT.c.id).where(INTENT.c.closed_at.is_(None))))
