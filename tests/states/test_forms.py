"""Fields are answered from what was given, matched as narrowly as it was given, and checked before anything is sent."""

import pytest
from pydantic import JsonValue

from states.forms import FormBlock, FormField, Given, InvalidAnswer, convert, fill, parse_form, unused


def block(
    *fields: dict[str, JsonValue], block_id: str = "b1", workflow_id: str = "w1", app: str = "slack"
) -> FormBlock:
    return parse_form([{"workflowId": workflow_id, "blockId": block_id, "app": app, "fields": list(fields)}])[0]


def asked(**kind: JsonValue) -> FormField:
    return FormField.model_validate({"name": "field", **kind})


CHANNELS: JsonValue = [{"displayName": "General", "value": "C1"}, {"displayName": "Random", "value": "C2"}]


def test_an_answer_is_sent_with_its_workflow_block_and_name() -> None:
    filled = fill([block({"name": "email", "required": True})], [[Given(name="email", value="a@example.test")]])

    assert filled.answers == [
        {"workflowId": "w1", "blockId": "b1", "fields": [{"name": "email", "value": "a@example.test"}]}
    ]


def test_a_required_field_without_an_answer_is_missing() -> None:
    assert fill([block({"name": "email", "required": True})], []).missing == ["email (slack)"]


def test_an_empty_answer_to_a_required_field_is_missing() -> None:
    assert fill([block({"name": "email", "required": True})], [[Given(name="email", value="")]]).missing


def test_an_optional_field_without_an_answer_is_left_out() -> None:
    filled = fill([block({"name": "email", "required": False})], [])

    assert (filled.answers, filled.missing) == ([], [])


def test_a_form_without_questions_is_filled_in_by_itself() -> None:
    assert fill([], []).answers == []


def test_the_first_source_that_has_an_answer_wins() -> None:
    filled = fill([block({"name": "x"})], [[], [Given(name="x", value="row")], [Given(name="x", value="template")]])

    assert filled.answers[0]["fields"] == [{"name": "x", "value": "row"}]


def test_one_answer_serves_every_block_that_asks_for_that_name() -> None:
    form = [block({"name": "x"}, block_id="b1"), block({"name": "x"}, block_id="b2")]

    assert len(fill(form, [[Given(name="x", value="v")]]).answers) == 2


def test_the_narrower_answer_wins_in_its_block() -> None:
    form = [block({"name": "x"}, block_id="b1"), block({"name": "x"}, block_id="b2")]
    given = [Given(name="x", value="all"), Given(name="x", value="only b2", block="b2")]

    values = [one["fields"] for one in fill(form, [given]).answers]

    assert values == [[{"name": "x", "value": "all"}], [{"name": "x", "value": "only b2"}]]


def test_a_name_that_looks_like_a_path_is_opaque() -> None:
    filled = fill([block({"name": "variables[0].value"})], [[Given(name="variables[0].value", value="v")]])

    assert filled.answers[0]["fields"] == [{"name": "variables[0].value", "value": "v"}]


@pytest.mark.parametrize(
    ("kind", "value", "sent"),
    [
        ({"options": CHANNELS}, "Random", "C2"),
        ({"options": CHANNELS}, "C1", "C1"),
        ({"options": [{"displayName": "Five", "value": 5}]}, "5", 5),
        ({"options": [{"displayName": "Five", "value": 5}]}, 5, 5),
        ({"type": "number"}, "12", 12),
        ({"type": "number"}, "-1.5", -1.5),
        ({"type": "number"}, 7, 7),
        ({"type": "boolean"}, "yes", True),
        ({"type": "boolean"}, "False", False),
        ({"type": "boolean"}, True, True),
        ({"type": "string"}, "0012", "0012"),
        ({"type": "string"}, 12, 12),
    ],
)
def test_a_value_is_sent_as_the_field_needs_it(kind: dict[str, JsonValue], value: JsonValue, sent: object) -> None:
    converted = convert(asked(**kind), value)

    assert (converted, type(converted)) == (sent, type(sent))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ({"options": CHANNELS}, "Nowhere"),
        ({"type": "number"}, "twelve"),
        ({"type": "number"}, "nan"),
        ({"type": "boolean"}, "perhaps"),
        ({"type": "string"}, ["a", "list"]),
    ],
)
def test_a_value_that_cannot_be_an_answer_is_a_fault(kind: dict[str, JsonValue], value: JsonValue) -> None:
    with pytest.raises(InvalidAnswer):
        convert(asked(**kind), value)


def test_a_fault_names_its_field_and_lists_some_options_but_not_the_value() -> None:
    filled = fill([block({"name": "channel", "options": CHANNELS})], [[Given(name="channel", value="secret-ish")]])

    assert filled.faults == ["channel (slack): not one of the options (General, Random)"]


def test_an_unknown_type_is_passed_on_with_a_warning() -> None:
    filled = fill([block({"name": "x", "type": "geo-fence"})], [[Given(name="x", value="1,2")]])

    assert filled.answers[0]["fields"] == [{"name": "x", "value": "1,2"}]
    assert "geo-fence" in filled.warnings[0]


def test_unknown_keys_of_a_form_are_kept() -> None:
    parsed = parse_form([{"workflowId": "w", "blockId": "b", "fields": [], "hint": "new"}])

    assert parsed[0].model_dump()["hint"] == "new"


def test_an_answer_that_no_field_asks_for_is_told() -> None:
    assert unused([block({"name": "x"})], [Given(name="y", value=1)]) == ["y"]
