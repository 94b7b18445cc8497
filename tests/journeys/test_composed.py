"""What the compose file starts: PostgreSQL, Redis, several servers of one Prefect, its services apart, and workers."""

import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.sandbox.control import SandboxControl
from tests.benchmarks.recorded import shown
from tests.journeys.composed import Composed, command, composed
from tests.journeys.people import API_KEY, klaviyo, people, write_list
from tests.journeys.processes import Onboard, Prefect, running_alloy, until
from tests.journeys.proofs import assert_exactly_once, workers

pytestmark = pytest.mark.prefect

TASKS = ("create_user", "authenticate", "start_installation", "map_fields", "complete_installation")


@pytest.fixture(scope="module")
def around(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composed]:
    with composed(tmp_path_factory.mktemp("composed")) as started:
        yield started


@pytest.fixture(scope="module")
def alloy() -> Iterator[SandboxControl]:
    """A local Alloy for all that are kept in the one database: emptied, it would give their ids once more."""
    with running_alloy() as account:
        account.turn(auto="grant", latency_ms=10)
        yield account


@pytest.fixture
def machines(around: Composed, alloy: SandboxControl, tmp_path: Path) -> Iterator[tuple[Onboard, Onboard]]:
    """Two machines with the settings of the file's workers, each of which asks another server of the one Prefect."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    told = {**around.settings, "ALLOY_API_KEY": API_KEY, "ALLOY_BASE_URL": alloy.url, "ALLOY_RATE": "10000"}
    one, two = (
        Onboard(tmp_path / name, {**told, "PREFECT_API_URL": server.api_url})
        for name, server in (("one", around.one), ("two", around.two))
    )
    yield one, two
    one.close()
    two.close()


def test_workers_of_several_servers_share_a_list_and_every_server_shows_all_of_it(
    around: Composed, machines: tuple[Onboard, Onboard], alloy: SandboxControl
):
    one, two = machines
    listed = people(60)
    write_list(one.folder / "list.csv", listed)
    database_url = one.settings["ONBOARD_DATABASE_URL"]
    deployed = one(*command("deploy")[1:])
    assert deployed.code == 0, deployed.said
    alloy.turn(latency_ms=1500)
    at_work = [machine.start(*command("worker")[1:], PREFECT_WORKER_QUERY_SECONDS="1") for machine in machines]

    run = one.start("run", "list.csv", "--batch", "spring", "--json")
    until(lambda: bool(alloy.requests()), run)  # whose tables there were not before
    until(lambda: len(workers(database_url)) == 1, run)
    assert two("deploy", "--start").code == 0
    until(lambda: len(workers(database_url)) >= 2, run)
    alloy.turn(latency_ms=10)
    ended = run.ended()
    for worker in at_work:
        worker.process.send_signal(signal.SIGTERM)
    assert [worker.ended(within=60).code for worker in at_work] == [0, 0]

    assert ended.code == 0, ended.said
    assert ended.json["stages"]["completed"] == len(listed)
    assert_exactly_once(alloy.ledger(), listed, database_url)
    until(lambda: all(moved(around.one)[task] >= len(listed) for task in TASKS))
    assert moved(around.one) == moved(around.two)


def test_a_server_that_is_killed_is_not_missed_by_whoever_asks_another(
    around: Composed, machines: tuple[Onboard, Onboard], alloy: SandboxControl
):
    _, two = machines
    listed = [klaviyo(f"later{one}@example.test") for one in range(5)]
    write_list(two.folder / "list.csv", listed)
    around.first_server.kill()
    around.first_server.wait()

    ended = two("run", "list.csv", "--batch", "summer", "--json")

    assert ended.code == 0, ended.said
    assert ended.json["stages"]["completed"] == len(listed)


def moved(server: Prefect) -> Counter[str]:
    """How many customers the pages of each task had, by all flow runs that a server shows as ended."""
    counted: Counter[str] = Counter()
    for run in server.ask("flow_runs/filter", flow_runs={"state": {"type": {"any_": ["COMPLETED"]}}}):
        counted += shown(server, run["id"]).customers
    return counted
