"""Batches take turns, those that have something due."""

from datetime import datetime, timedelta

from sqlalchemy import Engine, insert, update

from store.engine import writing
from store.models import BATCH, ONBOARDING
from store.rounds import next_batch
from tests.store.conftest import Add


def batches_with_one_each(engine: Engine, add: Add, now: datetime, number: int) -> list[int]:
    """Make so many batches of one customer."""
    ids = []
    for place in range(number):
        onboarding = add(f"c{place}@example.test")
        with writing(engine) as connection:
            batch = connection.execute(
                insert(BATCH)
                .values(name=f"batch {place}", source="", templates=[], created_at=now)
                .returning(BATCH.c.id)
            ).scalar_one()
            connection.execute(update(ONBOARDING).where(ONBOARDING.c.id == onboarding).values(batch_id=batch))
        ids.append(batch)
    return ids


def test_batches_take_turns(engine: Engine, add: Add, now: datetime) -> None:
    ids = batches_with_one_each(engine, add, now, 3)
    turns = [0]
    for _ in range(6):
        turns.append(next_batch(engine, turns[-1], now) or 0)

    assert turns[1:] == ids + ids


def test_a_batch_with_nothing_due_is_passed_by(engine: Engine, add: Add, now: datetime) -> None:
    first, second, third = batches_with_one_each(engine, add, now, 3)
    with writing(engine) as connection:
        later = now + timedelta(hours=1)
        connection.execute(update(ONBOARDING).where(ONBOARDING.c.batch_id == second).values(due_at=later))

    assert (next_batch(engine, first, now), next_batch(engine, third, now)) == (third, first)


def test_where_nothing_is_due_it_is_nobodys_turn(engine: Engine, now: datetime) -> None:
    assert next_batch(engine, 0, now) is None
