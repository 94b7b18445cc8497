"""`kill -9` in the middle of taking a long list in: it is known as half in, goes on, or is taken out again."""

from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from deployments.sandbox.control import SandboxControl
from store.engine import reading
from store.intake.unfinished import unfinished
from store.models import AUTH_VALUE, BATCH, CUSTOMER, HISTORY, ONBOARDING, UNFINISHED_INTAKE
from tests.journeys.people import klaviyo, write_list
from tests.journeys.processes import Onboard, Started, until
from tests.journeys.proofs import assert_not_told, records

pytestmark = pytest.mark.prefect

LISTED = 20_000
AMONG_THEM = 3_000
"""Rows that are in when it is killed, or some more."""


@pytest.fixture
def listed(onboard: Onboard) -> Path:
    return write_list(onboard.folder / "long.csv", [klaviyo(f"c{one:05d}@example.test") for one in range(LISTED)])


@pytest.fixture
def killed_half_way(onboard: Onboard, alloy: SandboxControl, database_url: str, listed: Path) -> int:
    """A `run` that was killed while it took the list in; how many rows are in."""
    onboard.settings |= {"ONBOARD_DATABASE_URL": database_url}
    run = onboard.start("run", listed.name)
    until(lambda: rows_in(database_url) >= AMONG_THEM, run)
    run.kill()
    assert AMONG_THEM <= rows_in(database_url) < LISTED
    return rows_in(database_url)


def rows_in(url: str) -> int:
    """Return how many rows are in of the list that is half in."""
    with records(url) as engine:
        try:
            return sum(one.rows for one in unfinished(engine))
        except DBAPIError:  # its tables are being made
            return 0


def counts(url: str) -> dict[str, int]:
    with records(url) as engine, reading(engine) as connection:
        return {
            table.name: connection.scalar(select(func.count()).select_from(table)) or 0
            for table in (BATCH, UNFINISHED_INTAKE, CUSTOMER, ONBOARDING, HISTORY, AUTH_VALUE)
        }


def test_a_list_that_is_half_in_goes_on(
    killed_half_way: int, onboard: Onboard, alloy: SandboxControl, database_url: str, listed: Path
):
    resumed = onboard("resume", "--json")
    assert resumed.code == 1, resumed.err
    assert resumed.json["unfinished"][0]["rows"] == killed_half_way
    assert alloy.ledger().users == 0, "nobody works on a list that is half in"

    run = onboard.start("run", listed.name)
    until(lambda: is_said(run, f"continued: {killed_half_way:,} of {LISTED:,} rows were there"), run)
    run.kill()

    assert rows_in(database_url) == 0
    assert counts(database_url) == {
        "batch": 1, "unfinishedintake": 0, "customer": LISTED, "onboarding": LISTED, "history": LISTED,
        "authvalue": LISTED,
    }  # fmt: skip


def test_a_list_that_is_half_in_is_taken_out_again(killed_half_way: int, onboard: Onboard, database_url: str):
    status = onboard("status")
    assert f"{killed_half_way:,} of {LISTED:,} rows of long.csv in batch long" in status.out

    ended = onboard("discard", "--batch", "long", "--yes")

    assert ended.code == 0, ended.err
    assert set(counts(database_url).values()) == {0}
    assert_not_told(status, ended)


def is_said(at_work: Started, words: str) -> bool:
    return words in at_work.err.read_text(encoding="utf-8")
