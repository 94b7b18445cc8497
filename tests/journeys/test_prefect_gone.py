"""A database decides, Prefect shows: a Prefect server that dies in the middle of a run keeps nobody from moving."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.sandbox.control import SandboxControl
from tests.chaos.prefect_server import PrefectServer
from tests.journeys.people import people, write_list
from tests.journeys.processes import Onboard, settings_for, until_asked
from tests.journeys.proofs import assert_exactly_once, assert_not_told

pytestmark = pytest.mark.prefect


@pytest.fixture
def own_prefect(tmp_path: Path) -> Iterator[PrefectServer]:
    server = PrefectServer(tmp_path / "prefect", database=None)
    try:
        server.start()
        server.await_answer()
        yield server
    finally:
        server.kill()


@pytest.fixture
def onboard(alloy: SandboxControl, own_prefect: PrefectServer, tmp_path: Path) -> Iterator[Onboard]:
    command = Onboard(tmp_path, settings_for(alloy, own_prefect.for_clients))
    yield command
    command.close()


def test_a_run_whose_prefect_dies_brings_everybody_to_the_end_and_says_so(
    onboard: Onboard, own_database: str, alloy: SandboxControl, own_prefect: PrefectServer
):
    listed = people(40)
    write_list(onboard.folder / "list.csv", listed)
    alloy.turn(latency_ms=100)
    run = onboard.start("run", "list.csv", "--json")
    until_asked(alloy, "start_installation", 3, run)

    own_prefect.kill()
    ended = run.ended()

    assert ended.code == 0, ended.err
    assert ended.json["stages"]["completed"] == len(listed)
    assert "Prefect could not be told" in ended.err
    assert "EventsWorker" not in ended.err, "Prefect's own complaints are of no use to an operator"
    assert_not_told(ended)
    assert_exactly_once(alloy.ledger(), listed, own_database)
