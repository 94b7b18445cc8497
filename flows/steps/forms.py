"""``map_fields``: the form that the installation asked for, filled in from answers, the row and the templates."""

from pydantic import JsonValue

from flows.steps.attempt import Attempt, Evidence
from states.failures import Rejected, Waiting
from states.forms import FormBlock, Given, InvalidAnswer, fill, readable_form, unused
from states.holds import Reason
from states.templates import render
from store.records import Record

_SHOWN = 5


async def map_fields(attempt: Attempt) -> Evidence:
    """Fill the form in; nothing is called if the start gave one. One without questions is filled in already."""
    record = attempt.record
    form = readable_form(record.form)
    if form is None:
        form = await _read_once_more(attempt)
    answered, given = _given(record.answered), _given(record.given)
    try:
        sources = [answered, given, _templates(record)]
    except InvalidAnswer as fault:
        raise Rejected(Reason.invalid_answer, f"a template of the mapping file does not fit: {fault}") from fault
    filled = fill(form, sources)
    notes = [*filled.warnings[:_SHOWN], *_not_asked_for(form, answered, given)]
    if filled.faults:
        raise Rejected(Reason.invalid_answer, "; ".join(filled.faults[:_SHOWN]))
    if filled.missing:
        missing = f"no answer yet for {', '.join(filled.missing[:_SHOWN])}"
        raise Waiting(Reason.awaiting_answer, "; ".join((missing, *notes)))
    return Evidence({"answers": filled.answers}, "; ".join(notes))


async def _read_once_more(attempt: Attempt) -> list[FormBlock]:
    """Read the form from the installation itself, since nothing can be filled in without it, nor left out."""
    record, alloy = attempt.record, attempt.resources.alloy
    if record.installation_id is None:
        raise RuntimeError("an installation was started, and its id is not known")
    found = await alloy.get_installation(record.installation_id)
    form = readable_form(found.form_data) if found is not None else None
    if found is not None and form is not None:
        await attempt.learn("the form was read once more, from the installation", form=found.form_data)
        return form
    lacks = "holds no form" if record.form is None else "holds a form that cannot be read"
    if found is not None:
        where = "and the installation shows none that can be read"
    elif alloy.capabilities.installations is False:
        where = "and this host shows no installations to read one from"
    else:
        where = "and Alloy does not show the installation"
    raise Rejected(Reason.unreadable_form, f"Alloy's answer to the start {lacks}, {where}")


def _not_asked_for(form: list[FormBlock], answered: list[Given], given: list[Given]) -> list[str]:
    """Tell which answers nothing asks for: most often a name was misspelt. Templates are for everyone, and may be."""
    names = [f"map.{name}" for name in unused(form, given)] + unused(form, answered)
    return [f"not asked for: {', '.join(names[:_SHOWN])}"] if names else []


def _given(raw: list[dict[str, JsonValue]]) -> list[Given]:
    return [Given.model_validate(one) for one in raw]


def _templates(record: Record) -> list[Given]:
    context = {"username": record.username, "full_name": record.full_name, "columns": record.columns}
    return render(_given(record.templates), context)
