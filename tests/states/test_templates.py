import pytest

from states.forms import Given, InvalidAnswer
from states.templates import check_template, render

CONTEXT = {"username": "a@example.test", "full_name": "Ada", "columns": {"region": "EU", "count": 5, "none": None}}


def filled(value: object) -> object:
    [given] = render([Given(name="field", value=value)], CONTEXT)
    return given.value


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ username }}", "a@example.test"),
        ("Shop of {{ full_name }}", "Shop of Ada"),
        ("{{ columns.region | lower }}-{{ columns['count'] }}", "eu-5"),
        ("{% if columns.region == 'EU' %}yes{% else %}no{% endif %}", "yes"),
    ],
)
def test_a_template_is_filled_in_for_the_customer(template, text):
    assert filled(template) == text


@pytest.mark.parametrize("value", [5, 1.5, True, None, "plain", "50 % {"])
def test_a_value_that_is_no_template_stays_what_it_is(value):
    assert filled(value) is value


def test_a_column_that_is_null_is_blank():
    assert filled("{{ columns.none }}") == ""


def test_what_the_answer_is_for_is_kept():
    given = Given(name="field", value="{{ full_name }}", block="shopify", workflow_id="w")

    assert render([given], CONTEXT) == [given.model_copy(update={"value": "Ada"})]


@pytest.mark.parametrize(
    "template",
    [
        "{{ columns.nothing }}",
        "{{ nothing }}",
        "{{ username",
        "{{ username + 1 }}",
        "{{ 1 / 0 }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ columns.update({'region': 'US'}) }}",
        "{% include 'file' %}",
        "{{ columns.region | nofilter }}",
    ],
)
def test_a_template_that_cannot_be_filled_in_is_an_invalid_answer(template):
    with pytest.raises(InvalidAnswer):
        filled(template)


def test_the_fault_names_the_field():
    with pytest.raises(InvalidAnswer, match="field"):
        filled("{{ columns.nothing }}")


def test_the_fault_does_not_quote_the_customers_data():
    with pytest.raises(InvalidAnswer) as fault:
        filled("{{ [1].index(full_name) }}")

    assert "Ada" not in str(fault.value)


@pytest.mark.parametrize("template", ["{{ username }}", "{{ columns.anything }}", "plain"])
def test_a_template_that_may_be_filled_in_passes_the_check(template):
    check_template(template)


@pytest.mark.parametrize("template", ["{{ usernme }}", "{{ username", "{% for %}"])
def test_a_template_that_can_be_filled_in_for_nobody_is_refused(template):
    with pytest.raises(InvalidAnswer):
        check_template(template)
