"""Two processes on one database share a batch, without knowing of each other."""

import re
from datetime import UTC, datetime

import pytest

from deployments.sandbox.control import SandboxControl
from store.engine import make_engine, migrate
from store.intake.take_in import take_in
from store.lists.check import read_rows
from store.vault import Vault
from tests.journeys.people import people, write_list
from tests.journeys.processes import Onboard, Prefect
from tests.journeys.proofs import assert_exactly_once, assert_not_told, secrets_in, workers

pytestmark = pytest.mark.prefect

MOVES = 5
"""From new to completed."""


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_two_runs_of_the_same_list_at_the_same_time_share_it(
    database_url: str, onboard: Onboard, alloy: SandboxControl, prefect: Prefect
):
    listed = people(200)
    write_list(onboard.folder / "shared.csv", listed)
    onboard.settings |= {"ONBOARD_DATABASE_URL": database_url, "ALLOY_RATE": "100"}
    both = [onboard.start("run", "shared.csv", "--json") for _ in range(2)]
    ended = [one.ended() for one in both]

    assert [one.code for one in ended] == [0, 0], [one.err for one in ended]
    assert_exactly_once(alloy.ledger(), listed, database_url)
    assert len(workers(database_url)) == 2, workers(database_url)
    assert sum(one.json["calls"] for one in ended) == len(alloy.requests())
    assert [one.json["stages"]["completed"] for one in ended] == [200, 200]
    assert_not_told(*ended)
    assert secrets_in(onboard.home, prefect.folder) == []
    runs = prefect.flow_runs("onboard shared")
    assert len(runs) == 2
    pages = [page for run in runs for page in prefect.task_runs(run["id"])]
    assert {page["state"]["type"] for page in pages} == {"COMPLETED"}
    assert sum(moved(page["state"]["message"]) for page in pages) == len(listed) * MOVES
    assert sum(moved(run["state"]["name"]) for run in runs) == len(listed) * MOVES


def test_two_processes_that_resume_share_what_is_due_on_sqlite(
    onboard: Onboard, own_database: str, alloy: SandboxControl
):
    listed = people(200)
    take_in_beforehand(onboard, own_database, listed)
    onboard.settings["ALLOY_RATE"] = "100"
    both = [onboard.start("resume", "--json") for _ in range(2)]
    ended = [one.ended() for one in both]

    assert [one.code for one in ended] == [0, 0], [one.err for one in ended]
    assert_exactly_once(alloy.ledger(), listed, own_database)
    assert len(workers(own_database)) == 2, workers(own_database)
    assert sum(one.json["calls"] for one in ended) == len(alloy.requests())
    assert_not_told(*ended)


def take_in_beforehand(onboard: Onboard, url: str, listed) -> None:
    """Take a list in, as a run does before it moves anybody."""
    path = write_list(onboard.folder / "list.csv", listed)
    engine = make_engine(url)
    migrate(engine)
    intake = take_in(
        engine,
        "list",
        read_rows(path),
        source=path.name,
        templates=None,
        catalogue=None,
        vault=Vault.open(None, onboard.home),
        now=datetime.now(UTC),
    )
    engine.dispose()
    assert intake.added == len(listed)


def moved(words: str) -> int:
    """Read "48 moved, 2 waiting"."""
    found = re.search(r"(\d+) moved", words)
    return int(found[1]) if found else 0
