"""What has changed is told once, whoever looks; what lasts is told once a day, and anew when it comes back."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine, insert, update

from states.holds import HoldKind, Reason
from states.stage import Stage
from store.engine import writing
from store.models import BATCH, ONBOARDING, QUARANTINE
from store.news import (
    NewsKind,
    changes_of_batches,
    changes_of_quarantines,
    conditions,
    halt,
    is_over,
    tell,
)
from store.records import Scope
from store.runs import begin_run, update_run
from tests.store.conftest import Add

DAY = timedelta(days=1)


def set_batch(engine: Engine, **columns: object) -> None:
    with writing(engine) as connection:
        connection.execute(update(BATCH).values(**columns))


def set_all(engine: Engine, **columns: object) -> None:
    with writing(engine) as connection:
        connection.execute(update(ONBOARDING).values(**columns))


def told(engine: Engine, now: datetime) -> list[NewsKind]:
    return [one.kind for one in tell(engine, changes_of_batches(engine), now)]


def test_a_batch_is_begun_when_its_list_is_in_and_finished_when_all_are_completed_or_cancelled(
    engine: Engine, add: Add, now: datetime
) -> None:
    ann, bob = add("ann"), add("bob")
    assert told(engine, now) == []
    set_batch(engine, taken_in_at=now)
    assert told(engine, now) == [NewsKind.batch_started]
    with writing(engine) as connection:
        connection.execute(update(ONBOARDING).where(ONBOARDING.c.id == ann).values(stage=Stage.completed))
        connection.execute(
            update(ONBOARDING).where(ONBOARDING.c.id == bob).values(hold=HoldKind.operator, reason=Reason.rejected)
        )
    assert told(engine, now) == []
    set_all(engine, hold=HoldKind.cancelled, reason=Reason.cancelled)
    assert told(engine, now) == [NewsKind.batch_finished]
    assert told(engine, now) == []


def test_a_batch_begins_and_ends_once_more_with_another_list(engine: Engine, add: Add, now: datetime) -> None:
    add(stage=Stage.completed)
    set_batch(engine, taken_in_at=now)
    assert told(engine, now) == [NewsKind.batch_started, NewsKind.batch_finished]
    set_batch(engine, taken_in_at=now + DAY)
    assert told(engine, now + DAY) == [NewsKind.batch_started, NewsKind.batch_finished]


def test_each_pause_of_a_batch_is_news_once(engine: Engine, add: Add, now: datetime) -> None:
    add()
    set_batch(engine, taken_in_at=now, paused_at=now, paused_why="too many were refused")
    assert told(engine, now) == [NewsKind.batch_started, NewsKind.batch_paused]
    assert told(engine, now) == []
    set_batch(engine, paused_at=now + DAY)
    assert told(engine, now) == [NewsKind.batch_paused]


def test_a_cohort_that_is_held_back_and_let_go_between_two_looks_is_told_as_both(engine: Engine, now: datetime) -> None:
    held_back = {
        "integration": "netsuite", "names": ["netsuite"], "stage": Stage.authed, "reason": Reason.rejected,
        "opened_at": now, "probe_at": now, "held_until": now, "closed_at": now,
    }  # fmt: skip
    with writing(engine) as connection:
        connection.execute(insert(QUARANTINE).values(probes=[], rounds=0, probes_left=0, **held_back))
    kinds = [one.kind for one in tell(engine, changes_of_quarantines(engine), now)]
    assert kinds == [NewsKind.quarantine_opened, NewsKind.quarantine_closed]
    assert tell(engine, changes_of_quarantines(engine), now) == []


def test_a_halt_is_told_once_a_day_while_it_lasts_and_anew_when_it_comes_back(engine: Engine, now: datetime) -> None:
    def is_told(at: datetime) -> bool:
        return tell(engine, [halt(at, "unauthorized", "the key is wrong")], at) != []

    assert [is_told(now), is_told(now), is_told(now + DAY), is_told(now + DAY)] == [True, False, True, False]
    is_over(engine, ["halted"])
    assert is_told(now + DAY)


def test_too_many_for_operators_is_amiss_until_they_are_fewer(engine: Engine, add: Add, now: datetime) -> None:
    add("ann", hold=HoldKind.operator, reason=Reason.rejected, due_at=None)
    add("bob", hold=HoldKind.operator, reason=Reason.rejected, due_at=None)
    amiss, _ = conditions(engine, now, most_for_operators=1)
    assert [(one.kind, one.facts["count"]) for one in amiss] == [(NewsKind.operator_needed, 2)]
    amiss, fine = conditions(engine, now, most_for_operators=2)
    assert (amiss, "operator holds" in fine) == ([], True)


@pytest.mark.parametrize(
    ("changed", "stalled"),
    [
        ({}, True),
        ({"stage": Stage.completed}, False),
        ({"hold": HoldKind.customer, "reason": Reason.awaiting_consent}, False),
        ({"due_at": None}, False),
    ],
    ids=["due for an hour", "one was completed", "waits for the customer", "nothing is due"],
)
def test_nothing_completed_for_an_hour_is_amiss_where_work_is_due(
    engine: Engine, add: Add, now: datetime, changed: dict[str, object], stalled: bool
) -> None:
    add("ann")
    run = begin_run(engine, Scope(), now)
    update_run(engine, run, now, calls=0, seconds=0.0, ended=True)
    later = now + timedelta(hours=1)
    if changed:
        set_all(engine, **changed, stage_since=later if "stage" in changed else now)
    amiss, _ = conditions(engine, later, most_for_operators=50)
    assert ([one.kind for one in amiss] == [NewsKind.stalled]) is stalled


def test_what_was_due_while_nobody_was_at_work_is_no_standstill(engine: Engine, add: Add, now: datetime) -> None:
    add("ann")
    assert conditions(engine, now + timedelta(hours=8), most_for_operators=50)[0] == []
