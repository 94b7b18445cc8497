"""The figures of the operators' desk, each against one reckoned by hand, on both databases."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine, insert

from states.holds import HoldKind, Reason
from states.stage import Stage, Trigger
from states.transitions import BY_TRIGGER
from store.completed_lately import present_pace
from store.engine import writing
from store.figures.batches import latest_batches
from store.figures.completed import HOURS, completed_by_hour
from store.figures.funnel import funnel
from store.figures.held import held
from store.figures.time_in_stage import percentile, time_in_stages
from store.models import HISTORY
from store.standing import standing

Add = Callable[..., int]


def move(engine: Engine, onboarding: int, trigger: Trigger, at: datetime) -> None:
    with writing(engine) as connection:
        values = {"onboarding_id": onboarding, "at": at, "trigger": trigger, "stage": BY_TRIGGER[trigger].dest}
        connection.execute(insert(HISTORY).values(**values, sentence="", worker=""))


def waits(hold: HoldKind, reason: Reason, **columns: object) -> dict[str, object]:
    return {"hold": hold, "reason": reason, "sentence": "why", "due_at": None, **columns}


def test_the_parts_of_a_standing_add_up_to_its_stages_and_its_holds(engine: Engine, add: Add) -> None:
    add("ann", stage=Stage.created, **waits(HoldKind.customer, Reason.awaiting_consent))
    add("bob", stage=Stage.created, **waits(HoldKind.operator, Reason.rejected))
    add("eve", stage=Stage.completed, due_at=None)

    found = standing(engine)

    assert found.parts == {
        (Stage.created, HoldKind.customer, Reason.awaiting_consent): 1,
        (Stage.created, HoldKind.operator, Reason.rejected): 1,
        (Stage.completed, None, None): 1,
    }


def test_who_is_further_has_reached_every_stage_before(engine: Engine, add: Add) -> None:
    for number, stage in enumerate([Stage.new, Stage.created, Stage.created, Stage.completed]):
        add(f"customer {number}", stage=stage)

    found = {step.stage: (step.here, step.reached, step.converted) for step in funnel(standing(engine))}

    assert found[Stage.new] == (1, 4, None)
    assert found[Stage.created] == (2, 3, 0.75)
    assert found[Stage.completed] == (1, 1, 1.0)


def test_nobody_is_converted_where_nobody_is(engine: Engine) -> None:
    assert all((step.reached, step.converted) == (0, None) for step in funnel(standing(engine)))


def test_each_of_the_last_24_hours_has_a_count_also_the_empty_ones(engine: Engine, add: Add, now: datetime) -> None:
    for number, minutes in enumerate([-1, 30, 59, 61, 60 * 23, 60 * 24]):
        add(f"customer {number}", stage=Stage.completed, stage_since=now - timedelta(minutes=minutes), due_at=None)

    hours = completed_by_hour(engine, now + timedelta(minutes=10))

    assert (len(hours), hours[-1].begins) == (HOURS, now)
    assert {hour.begins: hour.completed for hour in hours if hour.completed} == {
        now: 1,
        now - timedelta(hours=1): 2,
        now - timedelta(hours=2): 1,
        now - timedelta(hours=23): 1,
    }


def test_the_pace_is_reckoned_from_the_first_of_the_last_hour(engine: Engine, add: Add, now: datetime) -> None:
    for number, minutes in enumerate([10, 20, 30, 90]):
        add(f"customer {number}", stage=Stage.completed, stage_since=now - timedelta(minutes=minutes), due_at=None)

    pace = present_pace(engine, now)

    assert (pace.completed, pace.per_hour) == (3, 6.0)
    assert pace.time_for(12) == timedelta(hours=2)


def test_nobody_can_say_when_the_others_are_completed_if_none_is(engine: Engine, add: Add, now: datetime) -> None:
    add()

    assert present_pace(engine, now).time_for(1) is None


def test_the_time_at_a_stage_is_that_between_two_moves_and_waits_count(engine: Engine, add: Add, now: datetime) -> None:
    stays = [timedelta(minutes=number) for number in range(1, 21)]
    for number, stay in enumerate(stays):
        one = add(f"customer {number}", stage=Stage.authed)
        move(engine, one, Trigger.create_user, now + timedelta(seconds=5))
        with writing(engine) as connection:  # a hold in between is no move
            connection.execute(insert(HISTORY).values(onboarding_id=one, at=now, stage=Stage.created, hold="customer"))
        move(engine, one, Trigger.authenticate, now + timedelta(seconds=5) + stay)

    found = {stay.stage: stay for stay in time_in_stages(engine)}

    assert (found[Stage.new].median, found[Stage.new].number) == (timedelta(seconds=5), 20)
    assert (found[Stage.created].median, found[Stage.created].longest_of_95) == (
        timedelta(minutes=10),
        timedelta(minutes=19),
    )
    assert set(found) == {Stage.new, Stage.created}


@pytest.mark.parametrize(("number", "expected"), [(1, 1), (2, 2), (20, 19), (100, 95)])
def test_a_percentile_is_one_that_was_measured(number: int, expected: int) -> None:
    stays = [timedelta(seconds=one) for one in range(number, 0, -1)]

    assert percentile(stays, 0.95) == timedelta(seconds=expected)


def test_of_each_hold_the_oldest_are_shown_and_all_are_counted(engine: Engine, add: Add, now: datetime) -> None:
    for number in range(5):
        columns = waits(HoldKind.operator, Reason.rejected, stage_since=now - timedelta(hours=number))
        add(f"customer {number}", **columns)
    add("ann", **waits(HoldKind.customer, Reason.awaiting_consent, due_at=now))

    [operator, customer] = held(engine, each=2)

    assert (operator.number, [one.username for one in operator.oldest]) == (5, ["customer 4", "customer 3"])
    assert (customer.number, customer.oldest[0].due_at, customer.oldest[0].batch) == (1, now, "spring")


def test_who_waits_for_an_answer_is_shown_with_the_fields_that_are_asked(engine: Engine, add: Add) -> None:
    form = [{"workflowId": "w", "blockId": "b", "fields": [{"name": "channel"}, {"name": "greeting"}]}]
    columns = waits(HoldKind.customer, Reason.awaiting_answer, sentence="no answer yet for channel (Which?)", form=form)
    add(**columns)

    assert held(engine, each=1)[0].oldest[0].fields == ("channel",)


def test_a_batch_in_the_list_of_the_latest_is_counted_by_who_has_to_act(engine: Engine, add: Add) -> None:
    add("ann", stage=Stage.completed)
    add("bob", **waits(HoldKind.operator, Reason.rejected))
    add("eve", **waits(HoldKind.customer, Reason.awaiting_consent))

    [line] = latest_batches(engine)

    assert (line.name, line.total, line.completed, line.for_customers, line.for_operators, line.paused) == (
        "spring", 3, 1, 1, 1, False,
    )  # fmt: skip
