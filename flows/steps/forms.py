"""``map_fields``: the form that the installation asked for, filled in from answers, the row and the templates."""

from pydantic import JsonValue, ValidationError

from flows.steps.attempt import Attempt, Evidence
from states.failures import Rejected, Waiting
from states.forms import Given, InvalidAnswer, fill, parse_form
from states.holds import Reason
from states.templates import render
from store.records import Record

_SHOWN = 5


async def map_fields(attempt: Attempt) -> Evidence:
    """Fill the form in; nothing is called. A form without questions is filled in already."""
    record = attempt.record
    try:
        form = parse_form(record.form or [])
    except ValidationError as fault:
        raise Rejected(Reason.rejected, "the form that Alloy sent cannot be read") from fault
    try:
        sources = [_given(record.answered), _given(record.given), _templates(record)]
    except InvalidAnswer as fault:
        raise Rejected(Reason.invalid_answer, f"a template of the mapping file does not fit: {fault}") from fault
    filled = fill(form, sources)
    if filled.faults:
        raise Rejected(Reason.invalid_answer, "; ".join(filled.faults[:_SHOWN]))
    if filled.missing:
        raise Waiting(Reason.awaiting_answer, f"no answer yet for {', '.join(filled.missing[:_SHOWN])}")
    return Evidence({"answers": filled.answers}, "; ".join(filled.warnings[:_SHOWN]))


def _given(raw: list[dict[str, JsonValue]]) -> list[Given]:
    return [Given.model_validate(one) for one in raw]


def _templates(record: Record) -> list[Given]:
    context = {"username": record.username, "full_name": record.full_name, "columns": record.columns}
    return render(_given(record.templates), context)
