"""Open questions: found a class at a time, and decided for those of the class who still ask the same."""

from datetime import datetime
from typing import Any

from sqlalchemy import Engine, select, update

from states.forms import Given
from states.holds import HoldKind, Reason
from states.stage import Stage
from store.choosing import Chosen
from store.desk import answer
from store.engine import reading, writing
from store.models import BATCH, HISTORY, ONBOARDING
from store.questions import (
    HeldAlike,
    LackedAnswer,
    answer_alike,
    answer_takers,
    cancel_alike,
    held_alike,
    lacked_answers,
    redrive_alike,
    takers,
)
from tests.store.conftest import NOW, Add

EVERYBODY = Chosen()


def form(*options: str, name: str = "channel", kind: str = "dropdown") -> list[dict[str, Any]]:
    choices = [{"displayName": one, "value": f"id of {one}"} for one in options]
    asked: dict[str, Any] = {"name": name, "type": kind, "required": True, **({"options": choices} if choices else {})}
    return [{"workflowId": "w", "blockId": "b", "app": "slack", "fields": [asked]}]


def lacks(add: Add, username: str, asked: list[dict[str, Any]], **more: Any) -> int:
    waiting = {
        "stage": Stage.installing, "hold": HoldKind.customer, "reason": Reason.awaiting_answer, "sentence": "no answer",
    }  # fmt: skip
    return add(username, "slack", form=asked, **{**waiting, **more})


def held(add: Add, username: str, reason: Reason, integration: str = "slack") -> int:
    return add(
        username, integration, stage=Stage.created, hold=HoldKind.operator, reason=reason, sentence="why", due_at=None
    )


def column(engine: Engine, name: str) -> list[Any]:
    with reading(engine) as connection:
        return list(connection.scalars(select(ONBOARDING.c[name]).order_by(ONBOARDING.c.id)))


def lacked(engine: Engine, now: datetime = NOW) -> list[LackedAnswer]:
    return lacked_answers(engine, EVERYBODY, now)


def test_those_who_lack_the_same_answer_are_one_class_and_the_largest_comes_first(engine: Engine, add: Add) -> None:
    lacks(add, "ada@example.test", form(name="limit", kind="number"))
    lacks(add, "bo@example.test", form("#general"))
    lacks(add, "cy@example.test", form("#general"))
    lacks(add, "di@example.test", form("#general"), answered=[{"name": "channel", "value": "#general"}])

    assert [(one.name, len(one.asked), one.examples) for one in lacked(engine)] == [
        ("channel", 2, ["bo@example.test", "cy@example.test"]),
        ("limit", 1, ["ada@example.test"]),
    ]


def test_only_options_that_everybody_in_the_class_has_are_its_choices(engine: Engine, add: Add) -> None:
    lacks(add, "ada@example.test", form("#general", "#sales"))
    lacks(add, "bo@example.test", form("#orders", "#general"))

    assert [one.choices for one in lacked(engine)] == [["#general"]]


def test_an_answer_that_does_not_fit_is_a_question_of_its_own(engine: Engine, add: Add) -> None:
    wrong = {"hold": HoldKind.operator, "reason": Reason.invalid_answer, "due_at": None}
    lacks(add, "ada@example.test", form("#general"), given=[{"name": "channel", "value": "#nowhere"}], **wrong)

    [one] = lacked(engine)
    assert (one.reason, held_alike(engine, EVERYBODY, but=[one])) == (Reason.invalid_answer, [])


def test_what_a_template_answers_is_not_lacked(engine: Engine, add: Add) -> None:
    lacks(add, "ada@example.test", form(kind="string"))
    with writing(engine) as connection:
        connection.execute(update(BATCH).values(templates=[{"name": "channel", "value": "{{ username }}"}]))

    assert lacked(engine) == []


def test_an_answer_reaches_those_whose_forms_take_it_and_history_says_who_decided(engine: Engine, add: Add) -> None:
    lacks(add, "ada@example.test", form("#general", "#sales"))
    lacks(add, "bo@example.test", form("#orders"))

    [question] = lacked(engine)
    number = answer_alike(engine, question, "#orders", by="Grace", now=NOW)

    with reading(engine) as connection:
        told = connection.execute(select(HISTORY.c.onboarding_id, HISTORY.c.sentence)).all()
    assert (number, [tuple(row) for row in told]) == (1, [(2, "answered by Grace: channel")])
    assert column(engine, "hold") == [HoldKind.customer, None]


def test_who_was_answered_meanwhile_keeps_that_answer(engine: Engine, add: Add) -> None:
    lacks(add, "ada@example.test", form("#general", "#sales"))
    lacks(add, "bo@example.test", form("#general", "#sales"))
    [question] = lacked(engine)
    answer(engine, Chosen(username="ada@example.test"), [_given("#sales")], by="Ada", now=NOW)

    number = answer_alike(engine, question, "#general", by="Grace", now=NOW)

    assert (number, [[one["value"] for one in every] for every in column(engine, "answered")]) == (
        1,
        [["#sales"], ["#general"]],
    )


def test_who_was_answered_while_somebody_decided_for_everyone_keeps_that_answer(engine: Engine, add: Add) -> None:
    lacks(add, "ada@example.test", form("#general", "#sales"))
    lacks(add, "bo@example.test", form("#general", "#sales"))
    found = takers(engine, EVERYBODY, [_given("#general")], NOW)
    answer(engine, Chosen(username="ada@example.test"), [_given("#sales")], by="Ada", now=NOW)

    number = answer_takers(engine, found, [_given("#general")], by="Grace", now=NOW)

    assert (len(found.ids), number) == (2, 1)
    assert [[one["value"] for one in every] for every in column(engine, "answered")] == [["#sales"], ["#general"]]


def test_deciding_twice_does_it_once(engine: Engine, add: Add) -> None:
    lacks(add, "ada@example.test", form("#general"))
    [question] = lacked(engine)

    assert [answer_alike(engine, question, "#general", by="Grace", now=NOW) for _ in range(2)] == [1, 0]


def test_those_who_are_held_for_the_same_reason_are_one_class_of_their_integration(engine: Engine, add: Add) -> None:
    held(add, "ada@example.test", Reason.credential_in_doubt)
    held(add, "bo@example.test", Reason.gave_up)
    held(add, "bo@example.test", Reason.credential_in_doubt, "netsuite")
    held(add, "cy@example.test", Reason.credential_in_doubt)
    add("di@example.test", "slack", hold=HoldKind.retry, reason=Reason.unreachable, sentence="later")

    assert [(one.integration, one.reason, one.ids) for one in held_alike(engine, EVERYBODY)] == [
        ("slack", Reason.credential_in_doubt, [1, 4]),
        ("slack", Reason.gave_up, [2]),
        ("netsuite", Reason.credential_in_doubt, [3]),
    ]


def test_a_class_is_let_go_but_not_those_whose_hold_has_changed_since(engine: Engine, add: Add) -> None:
    held(add, "ada@example.test", Reason.gave_up)
    held(add, "bo@example.test", Reason.gave_up)
    [alike] = held_alike(engine, EVERYBODY)
    with writing(engine) as connection:
        connection.execute(update(ONBOARDING).where(ONBOARDING.c.id == 1).values(reason=Reason.rejected))

    assert (redrive_alike(engine, alike, by="Grace", now=NOW), column(engine, "hold")) == (
        1,
        [HoldKind.operator, None],
    )


def test_a_class_is_cancelled_but_not_who_came_to_it_since(engine: Engine, add: Add) -> None:
    held(add, "ada@example.test", Reason.same_onboarding_twice)
    [alike] = held_alike(engine, EVERYBODY)
    held(add, "bo@example.test", Reason.same_onboarding_twice)

    assert (cancel_alike(engine, alike, by="Grace", now=NOW), column(engine, "hold")) == (
        1,
        [HoldKind.cancelled, HoldKind.operator],
    )


def test_a_class_may_have_more_people_than_one_statement_takes(engine: Engine, add: Add) -> None:
    held(add, "ada@example.test", Reason.gave_up)
    many = HeldAlike("slack", Reason.gave_up, [*range(1, 40_000)])

    assert redrive_alike(engine, many, by="Grace", now=NOW) == 1


def _given(value: str) -> Given:
    return Given(name="channel", value=value)
