"""answer and redrive: what is refused at once, and what reaches the records."""

from collections.abc import Callable

import pytest
from sqlalchemy import select

from deployments.cli.exits import ExitCode
from states.holds import HoldKind, Reason
from states.stage import Stage
from store.engine import make_engine, reading
from store.models import Onboarding
from tests.deployments.cli.conftest import Onboard

Put = Callable[..., None]

FORM = [
    {
        "workflowId": "w",
        "blockId": "b",
        "app": "slack",
        "fields": [
            {
                "name": "channel",
                "type": "dropdown",
                "required": True,
                "options": [{"displayName": "#general", "value": "C1"}, {"displayName": "#orders", "value": "C2"}],
            },
            {"name": "limit", "type": "number", "required": True},
        ],
    }
]


@pytest.fixture
def waiting(put: Put) -> Callable[..., None]:
    def wait(username: str, missing: str, **columns: object) -> None:
        put(
            username,
            stage=Stage.installing,
            hold=HoldKind.customer,
            reason=Reason.awaiting_answer,
            sentence=f"no answer yet for {missing} (slack); fill the field in with `onboard answer`",
            form=FORM,
            **columns,
        )

    return wait


def answered(database: str) -> list[list[dict[str, object]]]:
    engine = make_engine(database)
    with reading(engine) as connection:
        rows = [list(one) for one in connection.scalars(select(Onboarding.answered).order_by(Onboarding.id))]
    engine.dispose()
    return rows


def test_an_answer_is_kept_and_the_record_is_due(onboard: Onboard, waiting, database: str):
    waiting("ada@example.test", "channel")
    ended = onboard("answer", "ada@example.test", "channel=#orders", "limit=3")
    assert ended.code == ExitCode.fine
    assert "resume" in ended.out
    [[first, second]] = answered(database)
    assert (first["name"], first["value"]) == ("channel", "#orders")
    assert (second["name"], second["value"]) == ("limit", "3")
    assert onboard("status", "--json").json["holds"]["customer"] == 0


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("chanel=#orders", "channel"),
        ("channel=#nowhere", "#general"),
        ("limit=many", "number"),
        ("limit", "FIELD=VALUE"),
    ],
)
def test_a_wrong_answer_is_refused_with_the_choices(answer: str, said: str, onboard: Onboard, waiting, database: str):
    waiting("ada@example.test", "channel")
    ended = onboard("answer", "ada@example.test", answer)
    assert ended.code == ExitCode.bad_input
    assert said in ended.err
    assert answered(database) == [[]]


def test_an_answer_before_the_form_is_known_is_kept(onboard: Onboard, put: Put, database: str):
    put("ada@example.test", stage=Stage.created)
    assert onboard("answer", "ada@example.test", "channel=#orders").code == ExitCode.fine
    assert answered(database)[0][0]["name"] == "channel"


def test_an_answer_to_a_form_that_cannot_be_read_is_refused_with_a_sentence(onboard: Onboard, put: Put, database: str):
    put("ada@example.test", stage=Stage.installing, form=[{"fields": []}])

    ended = onboard("answer", "ada@example.test", "channel=#orders")

    assert ended.code == ExitCode.bad_input
    assert "cannot be read" in ended.err
    assert answered(database) == [[]]


def test_who_is_completed_takes_no_answer(onboard: Onboard, put: Put):
    put("ada@example.test", stage=Stage.completed)
    assert onboard("answer", "ada@example.test", "channel=#orders").code == ExitCode.bad_input


def test_answering_for_everyone_reaches_those_who_lack_the_field_and_nobody_else(
    onboard: Onboard, waiting, database: str
):
    waiting("ada@example.test", "channel")
    waiting("bo@example.test", "limit", answered=[{"name": "channel", "value": "#general"}])
    waiting("cleo@example.test", "channel")
    ended = onboard("answer", "--everyone", "channel=#orders", "--yes")
    assert (ended.code, ended.out.split(". ")[0]) == (ExitCode.fine, "Answered for 2 onboardings")
    assert [[each["value"] for each in one] for one in answered(database)] == [["#orders"], ["#general"], ["#orders"]]


def test_answering_for_everyone_asks_first(onboard: Onboard, waiting, database: str, monkeypatch: pytest.MonkeyPatch):
    waiting("ada@example.test", "channel")
    monkeypatch.setattr("sys.stdin.readline", lambda: "", raising=False)
    ended = onboard("answer", "--everyone", "channel=#orders")
    assert ended.code == ExitCode.bad_input
    assert "1 onboarding" in ended.err
    assert answered(database) == [[]]


def test_answering_for_everyone_leaves_those_whose_forms_do_not_take_it_and_says_how_many(
    onboard: Onboard, waiting, put: Put, database: str
):
    waiting("ada@example.test", "channel")
    other = [{**FORM[0], "fields": [{**FORM[0]["fields"][0], "options": [{"displayName": "#sales", "value": "C3"}]}]}]
    held = {"hold": HoldKind.customer, "reason": Reason.awaiting_answer, "sentence": "no answer yet"}
    put("bo@example.test", stage=Stage.installing, form=other, **held)

    ended = onboard("answer", "--everyone", "channel=#orders", "--yes")

    assert (ended.code, [len(one) for one in answered(database)]) == (ExitCode.fine, [1, 0])
    assert "1 other's form does not take that answer" in ended.err


@pytest.mark.parametrize(
    ("answer", "said"),
    [("channel=#nowhere", "choose one of #general, #orders"), ("chanel=#orders", "what is lacked: channel, limit")],
)
def test_an_answer_for_everyone_that_fits_nobody_is_refused_with_what_would(
    answer: str, said: str, onboard: Onboard, waiting, database: str
):
    waiting("ada@example.test", "channel")

    ended = onboard("answer", "--everyone", answer, "--yes")

    assert (ended.code, answered(database)) == (ExitCode.bad_input, [[]])
    assert said in ended.err


def test_redrive_lets_those_who_stand_still_be_tried_again(onboard: Onboard, put: Put):
    put("ada@example.test", stage=Stage.authed, hold=HoldKind.operator, reason=Reason.rejected, sentence="no")
    put("bo@example.test", stage=Stage.authed, hold=HoldKind.operator, reason=Reason.gave_up, sentence="no")
    ended = onboard("redrive", "--reason", "rejected", "--yes")
    assert ended.code == ExitCode.fine
    assert "1 onboarding" in ended.err
    assert onboard("status", "--json").json["reasons"] == {"gave_up": 1}


def test_redrive_of_nobody_says_so(onboard: Onboard, put: Put):
    put("ada@example.test", stage=Stage.completed)
    assert "Nobody" in onboard("redrive", "--username", "ada@example.test").out
