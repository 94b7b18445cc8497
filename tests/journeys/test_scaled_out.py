"""Several machines, as far as one machine can show it: PostgreSQL, a Prefect server, its workers, one list for all.

A server of its own: what is deployed to a work pool stays there, and the other journeys serve the same deployments.
"""

import signal
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.fernet import Fernet

from deployments.sandbox.control import SandboxControl
from deployments.schedules import DEPLOYMENTS
from tests.journeys.people import people, write_list
from tests.journeys.processes import Onboard, Prefect, Started, running_prefect, until
from tests.journeys.proofs import assert_exactly_once, assert_not_told, workers

pytestmark = pytest.mark.prefect

RESUMING = "every-five-minutes"
POLL_OFTEN = {"PREFECT_WORKER_QUERY_SECONDS": "1"}


@pytest.fixture(scope="module")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prefect]:
    with running_prefect(tmp_path_factory.mktemp("own-prefect")) as server:
        yield server


def test_deploying_again_changes_nothing_and_only_the_number_of_runs_when_told_so(onboard: Onboard, prefect: Prefect):
    first = onboard("deploy", "--runs", "4")
    assert first.code == 0, first.err
    assert "work pool onboard: made" in first.out
    assert "onboard work" in first.out
    before = deployed(prefect)
    assert {one["name"] for one in before} == {one.name for one in DEPLOYMENTS}
    assert {one["work_pool_name"] for one in before} == {"onboard"}
    assert runs_at_once(before) == (4, 4)

    again = onboard("deploy")

    assert again.code == 0, again.err
    assert "work pool onboard: was there" in again.out
    assert deployed(prefect) == before

    # As an operator does it in Prefect's pages.
    [resuming] = [one for one in before if one["name"] == RESUMING]
    schedule = next(one for one in resuming["schedules"] if one["slug"] == RESUMING)
    prefect.patch(f"deployments/{resuming['id']}/schedules/{schedule['id']}", active=False)
    onboard("deploy", "--runs", "2")

    [resuming] = [one for one in deployed(prefect) if one["name"] == RESUMING]
    assert runs_at_once([resuming]) == (2, 2)
    assert {one["slug"]: one["active"] for one in resuming["schedules"]} == {RESUMING: False, f"{RESUMING}-2": True}


def test_deploying_takes_away_the_limit_of_prefect_that_earlier_versions_set(onboard: Onboard, prefect: Prefect):
    onboard("deploy")
    [resuming] = [one for one in deployed(prefect) if one["name"] == RESUMING]
    prefect.patch(f"deployments/{resuming['id']}", concurrency_limit=1)
    [limited] = [one for one in deployed(prefect) if one["name"] == RESUMING]
    assert limited["global_concurrency_limit"] is not None

    onboard("deploy")

    [resuming] = [one for one in deployed(prefect) if one["name"] == RESUMING]
    assert resuming["global_concurrency_limit"] is None


def test_what_a_work_pool_runs_is_not_taken_out_of_it_by_up(onboard: Onboard, prefect: Prefect):
    onboard("deploy")

    refused = onboard("up")

    assert refused.code == 3
    assert "onboard work" in refused.err
    assert {one["work_pool_name"] for one in deployed(prefect)} == {"onboard"}


def test_a_worker_for_a_pool_that_there_is_not_is_told_how_to_make_it(onboard: Onboard):
    ended = onboard("work", "--pool", "elsewhere")

    assert ended.code == 3
    assert "onboard deploy --pool elsewhere" in ended.err


def test_two_workers_share_a_list_with_whoever_took_it_in_and_one_that_is_ended_leaves_the_rest_to_the_others(
    onboard: Onboard, prefect: Prefect, alloy: SandboxControl, postgresql_databases: Any
):
    listed = people(60)
    write_list(onboard.folder / "list.csv", listed)
    with postgresql_databases.lend() as database_url:
        onboard.settings |= {
            "ONBOARD_DATABASE_URL": database_url,
            "ONBOARD_SECRET_KEY": Fernet.generate_key().decode(),
            "ALLOY_CONCURRENCY": "4",
        }
        assert onboard("deploy", "--runs", "2").code == 0
        switch_off_schedules(prefect)
        alloy.turn(latency_ms=1500)
        one, two = machine(onboard, "one"), machine(onboard, "two")
        run = onboard.start("run", "list.csv", "--json")
        # Whoever resumes before there is a list finds nothing to do.
        until(lambda: len(workers(database_url)) == 1, run)
        start_by_hand(prefect, 2)
        assert onboard("deploy", "--start").code == 0
        until(lambda: len(workers(database_url)) == 3, run)

        one.process.send_signal(signal.SIGTERM)
        ended_early = one.ended(within=60)
        alloy.turn(latency_ms=10)
        ended = run.ended()
        until(lambda: not still_to_come(prefect), two)
        two.process.send_signal(signal.SIGTERM)
        ended_late = two.ended(within=60)

        assert (ended_early.code, ended.code, ended_late.code) == (0, 0, 0), ended.err
        came_to = states(prefect)
        assert came_to.total() >= 4
        assert came_to["Interrupted"] == 1
        # Who found no worker until nothing was left to do is not needed.
        assert set(came_to) <= {"Interrupted", "COMPLETED", "Not needed"}
        assert came_to["COMPLETED"] >= 1, came_to
        assert ended.json["stages"]["completed"] == len(listed)
        assert_exactly_once(alloy.ledger(), listed, database_url)
        assert_not_told(ended_early, ended, ended_late)


def machine(onboard: Onboard, name: str) -> Started:
    """Start a worker in a folder of its own: all that it has in common with the others is in its environment."""
    folder = onboard.folder / name
    folder.mkdir()
    elsewhere = Onboard(folder, onboard.settings)
    worker = elsewhere.start("work", "--name", name, **POLL_OFTEN)
    onboard.started.append(worker)
    return worker


def switch_off_schedules(prefect: Prefect) -> None:
    """Let nothing start by itself, as an operator does it in Prefect's pages."""
    for one in deployed(prefect):
        for schedule in one["schedules"]:
            prefect.patch(f"deployments/{one['id']}/schedules/{schedule['id']}", active=False)


def start_by_hand(prefect: Prefect, number: int) -> None:
    [resuming] = [one for one in deployed(prefect) if one["name"] == RESUMING]
    for _ in range(number):
        prefect.ask(f"deployments/{resuming['id']}/create_flow_run")


def still_to_come(prefect: Prefect) -> bool:
    return bool({"SCHEDULED", "PENDING", "RUNNING"} & set(states(prefect)))


def deployed(prefect: Prefect) -> list[dict[str, Any]]:
    """Everything that Prefect keeps of the deployments, less what it notes by itself."""
    found = prefect.ask("deployments/filter")
    for one in found:
        for noted in ("updated", "last_polled", "status", "pull_steps"):
            del one[noted]
        for schedule in one["schedules"]:
            del schedule["updated"]
        one["schedules"].sort(key=lambda schedule: str(schedule["slug"]))
    return sorted(found, key=lambda one: str(one["name"]))


def runs_at_once(found: list[dict[str, Any]]) -> tuple[int, int]:
    """How many runs are scheduled for the same time, and how many of them may be at work."""
    [resuming] = [one for one in found if one["name"] == RESUMING]
    return len(resuming["schedules"]), resuming["parameters"]["at_once"]


def states(prefect: Prefect) -> Counter[str]:
    """How the runs stand, less those that a schedule has only planned.

    Its scheduler may have been at it when schedules were switched off: such a run takes its turn as any other.
    """
    return Counter(
        run["state_name"] if run["state_type"] == "CANCELLED" else run["state_type"]
        for run in prefect.ask("flow_runs/filter", flow_runs={"deployment_id": {"is_null_": False}})
        if not (run["auto_scheduled"] and run["state_type"] == "SCHEDULED")
    )
