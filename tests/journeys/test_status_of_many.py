"""`onboard status` over ten thousand records: right, and without what would make it slow to start."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import update

from states.holds import HoldKind, Reason
from states.stage import Stage
from store.engine import make_engine, migrate, writing
from store.intake.take_in import take_in
from store.lists.rows import CustomerRow
from store.models import ONBOARDING
from store.vault import Vault
from tests.journeys.processes import Onboard

MANY = 10_000
WAITING = {"hold": HoldKind.customer, "reason": Reason.awaiting_consent, "sentence": "no consent yet"}
REFUSED = {"hold": HoldKind.operator, "reason": Reason.rejected, "sentence": "refused"}
STANDING = {
    0: {"stage": Stage.completed, "due_at": None, "stage_since": datetime(2026, 1, 5, tzinfo=UTC)},
    1: {"stage": Stage.created, **WAITING},
    2: {"stage": Stage.authed, "due_at": None, **REFUSED},
}
"""Of ten, where three stand; the others are still to be begun."""


@pytest.fixture
def onboard(tmp_path: Path) -> Iterator[Onboard]:
    """The command in a folder with ten thousand records, and nothing to call."""
    command = Onboard(tmp_path, {})
    now = datetime.now(UTC)
    engine = make_engine(f"sqlite:///{command.home / 'onboard.db'}")
    migrate(engine)
    rows = [
        CustomerRow(
            line=one + 2,
            username=f"c{one}@example.test",
            integration="klaviyo",
            auth={"apiKey": SecretStr("canary")},
        )
        for one in range(MANY)
    ]
    take_in(
        engine, "many", rows, source="many.csv", templates=None, catalogue=None,
        vault=Vault.open(None, command.home), now=now,
    )  # fmt: skip
    with writing(engine) as connection:
        for rest, values in STANDING.items():
            connection.execute(update(ONBOARDING).where(ONBOARDING.c.id % 10 == rest).values(**values))
    engine.dispose()
    yield command
    command.close()


def test_status_of_ten_thousand_is_right_and_imports_no_prefect(onboard: Onboard):
    # The interpreter itself then names every module that it imports.
    ended = onboard("status", "--json", PYTHONPROFILEIMPORTTIME="1")

    assert ended.code == 0, ended.err
    assert ended.json == {
        "batch": None,
        "total": MANY,
        "stages": {"new": 7000, "created": 1000, "authed": 1000, "installing": 0, "mapped": 0, "completed": 1000},
        "holds": {"retry": 0, "customer": 1000, "operator": 1000, "cancelled": 0},
        "reasons": {"awaiting_consent": 1000, "rejected": 1000},
        "calls": 0,
        "seconds": 0.0,
    }
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in ended.err.splitlines()}
    assert "sqlite3" in imported, "this does not see the imports"
    assert not imported & {"prefect", "httpx", "aiohttp", "fastapi", "sqlalchemy", "sqlmodel"}


def test_status_for_people_names_who_can_be_helped(onboard: Onboard):
    ended = onboard("status", "--batch", "many")
    assert ended.code == 0, ended.err
    assert "10,000 onboardings" in ended.out
    assert "1,000 awaiting_consent" in ended.out
    assert "1,000 rejected" in ended.out
    assert len(ended.out.splitlines()) < 40
