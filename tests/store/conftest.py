"""What the store's tests start from: a fixed time, and customers put straight into the tables."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, insert, select

from states.stage import Stage
from store.engine import writing
from store.models import BATCH, CUSTOMER, ONBOARDING
from store.read_only import Database, open_read_only

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LEASE = timedelta(seconds=60)

Add = Callable[..., int]


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture(params=["engine", "driver"])
def database(request: pytest.FixtureRequest, engine: Engine, database_url: str) -> Iterator[Database]:
    """The same database, asked through an engine and through its driver alone."""
    if request.param == "engine":
        yield engine
        return
    opened = open_read_only(database_url)
    assert opened is not None
    yield opened
    opened.close()


@pytest.fixture
def add(engine: Engine) -> Add:
    """Put an onboarding into the tables as it would be after intake, with ``columns`` of its own; return its id."""

    def put(username: str = "ann@example.test", integration: str = "netsuite", **columns: Any) -> int:
        with writing(engine) as connection:
            batch = connection.scalar(select(BATCH.c.id).where(BATCH.c.name == "spring"))
            if batch is None:
                batch = connection.scalar(
                    insert(BATCH).values(name="spring", source="", templates=[], created_at=NOW).returning(BATCH.c.id)
                )
            customer = connection.scalar(select(CUSTOMER.c.id).where(CUSTOMER.c.username == username))
            if customer is None:
                customer = connection.scalar(
                    insert(CUSTOMER)
                    .values(username=username, full_name="", adopted=False, created_at=NOW)
                    .returning(CUSTOMER.c.id)
                )
            values = {
                "batch_id": batch, "customer_id": customer, "line": 2, "columns": {}, "integration": integration,
                "integration_key": integration, "stage": Stage.new, "stage_since": NOW, "due_at": NOW, "attempts": 0,
                "nudged": False, "version": 0, "given": [], "answered": [], "auth_names": [], "auth_digest": "",
                "created_at": NOW,
            }  # fmt: skip
            onboarding: int = connection.execute(
                insert(ONBOARDING).values(**{**values, **columns}).returning(ONBOARDING.c.id)
            ).scalar_one()
        return onboarding

    return put
