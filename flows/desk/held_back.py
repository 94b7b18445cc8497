"""Who stands still through no fault of their own: quarantined cohorts, paused batches, lists that are half in."""

from shlex import quote

from flows.desk.forms import NO_FORMS, Forms
from flows.desk.markdown import code, page, table, text
from flows.desk.words import moment
from store.standing import Standing


def held_back(standing: Standing, forms: Forms = NO_FORMS) -> str:
    """Return a table for each that there is; nothing where nobody is held back."""
    return page(_quarantined(standing, forms), _paused(standing, forms), _unfinished(standing, forms)).strip()


def _with_form(command: str, form: str) -> str:
    return f"{command} or the form {form}" if form else command


def _quarantined(standing: Standing, forms: Forms) -> str:
    if not standing.quarantined:
        return ""
    rows = [
        (
            text(one.label),
            one.stage,
            one.reason,
            moment(one.since),
            f"{one.held_back:,}",
            moment(one.probe_at),
            _with_form(
                code(f"onboard redrive --integration {quote(one.integration)} --reason {one.reason}"),
                forms.link("redrive", {"integration": one.integration, "reason": one.reason.value}),
            ),
        )
        for one in standing.quarantined
    ]
    head = ("Integration", "Stage", "Most were refused", "Since", "#Held back", "A few are tried", "Try at once")
    return f"**Quarantined**\n\n{table(head, rows)}"


def _paused(standing: Standing, forms: Forms) -> str:
    if not standing.paused:
        return ""
    rows = [
        (
            text(one.batch),
            text(one.why),
            moment(one.since),
            f"{one.held_back:,}",
            _with_form(
                code(f"onboard resume --batch {quote(one.batch)}"),
                forms.link("every-five-minutes", {"batch": one.batch}),
            ),
        )
        for one in standing.paused
    ]
    return f"**Paused**\n\n{table(('Batch', 'Why', 'Since', '#Held back', 'Let it go on'), rows)}"


def _unfinished(standing: Standing, forms: Forms) -> str:
    if not standing.unfinished:
        return ""
    rows = [
        (
            text(one.batch),
            text(one.source),
            f"{one.rows:,} of {one.rows_in_list:,}" if one.rows_in_list is not None else f"{one.rows:,}",
            f"{one.held_back:,}",
            code(f"onboard discard --batch {quote(one.batch)}")
            if one.discarded
            else f"{_again(one.batch, forms)}, or {code(f'onboard discard --batch {quote(one.batch)}')}",
        )
        for one in standing.unfinished
    ]
    return f"**Half in**\n\n{table(('Batch', 'List', '#Rows in', '#Held back', 'What to do'), rows)}"


def _again(batch: str, forms: Forms) -> str:
    words = "run the same list again"
    return forms.link("from-a-list", {"batch": batch}, words=words) or words
