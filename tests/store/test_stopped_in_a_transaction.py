"""A worker that is stopped in the middle of a transaction keeps its locks; nobody else may be held up for long."""

from datetime import datetime

import pytest
from sqlalchemy import Engine, event, select, text

from store.engine import make_engine, reading, writing
from store.leases import claim
from store.models import ONBOARDING
from store.records import Scope
from tests.store.conftest import LEASE, Add

pytestmark = pytest.mark.parametrize("database_kind", ["postgresql"])


def do_not_wait_for_locks(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def set_up(connection, _record) -> None:
        connection.execute("SET lock_timeout = '1s'")
        connection.commit()


def test_what_a_stopped_worker_has_locked_is_passed_over_by_a_claim(
    engine: Engine, database_url: str, add: Add, now: datetime
):
    locked = add("locked@example.test", due_at=now - 2 * LEASE)
    free = add("free@example.test")
    claim(engine, Scope(), worker="stopped", limit=1, lease=LEASE, now=now - 2 * LEASE)
    others = make_engine(database_url)
    do_not_wait_for_locks(others)
    with writing(engine) as stopped:
        stopped.execute(select(ONBOARDING).where(ONBOARDING.c.id == locked).with_for_update())

        page = claim(others, Scope(), worker="other", limit=10, lease=LEASE, now=now)

    others.dispose()
    assert page is not None
    assert [record.id for record in page.records] == [free]


def test_the_database_itself_ends_a_transaction_that_nobody_goes_on_with(engine: Engine):
    with reading(engine) as connection:
        longest = connection.execute(text("SHOW idle_in_transaction_session_timeout")).scalar_one()

    assert longest == "10s"
