"""Who waits: a table for each kind of help that is wanted, those who have waited longest first."""

from collections.abc import Callable, Iterable, Sequence

from flows.desk.forms import NO_FORMS, Forms
from flows.desk.keys import OVERVIEW, address
from flows.desk.markdown import link, page, prose, table, text
from flows.desk.remedies import command_for, forms_for, remedy_for, without_remedy
from flows.desk.words import moment
from states.holds import LAST_ATTEMPT, HoldKind, Reason
from store.figures.held import Group, Held
from store.figures.pages import SHOWN, WaitingList


def render_waiting(figures: WaitingList, forms: Forms = NO_FORMS) -> str:
    """Return the tables as markdown, with links to those of the ``forms`` that move somebody on."""
    tables = [_section(title, [one for one in figures.groups if belongs(one)], forms) for title, belongs in _LISTS]
    return page(
        f"# Who waits\n\nAs of {moment(figures.at)} UTC. {link('Where everybody stands', address(OVERVIEW))}",
        *(tables if any(tables) else ["Nobody waits."]),
    )


_LISTS: Sequence[tuple[str, Callable[[Group], bool]]] = (
    ("For an operator", lambda group: group.hold is HoldKind.operator),
    ("For an answer", lambda group: group.hold is HoldKind.customer and group.reason is not Reason.awaiting_consent),
    ("For consent", lambda group: group.hold is HoldKind.customer and group.reason is Reason.awaiting_consent),
    ("To be tried again", lambda group: group.hold is HoldKind.retry),
)
"""In the order in which somebody can do something about them."""


_HEAD = ("Customer", "Integration, list, stage", "Since (UTC)", "Why, and what happens next", "Command")
"""Five columns, for Prefect leaves the page 600 pixels, and draws a wider table across what stands beside it."""


def _section(title: str, groups: Sequence[Group], forms: Forms) -> str:
    """Return one list, with what has to be done for each of its reasons, and the exact number of who is not shown."""
    number = sum(group.number for group in groups)
    if not number:
        return ""
    rows = sorted((one for group in groups for one in group.oldest), key=lambda one: one.since)[:SHOWN]
    return page(
        f"## {title}: {number:,}",
        "\n".join(_remedies(groups, forms)),
        table(_HEAD, [_row(one) for one in rows]),
        f"and **{number - len(rows):,} more**, who have waited for less long." if number > len(rows) else "",
    ).strip()


def _remedies(groups: Iterable[Group], forms: Forms) -> Iterable[str]:
    for group in groups:
        acting = forms_for(forms, group.hold, group.reason)
        yield "; ".join(
            filter(None, [f"- {group.number:,} {group.reason}: {remedy_for(group.hold, group.reason)}", acting])
        )


def _row(one: Held) -> Sequence[str]:
    return (
        text(one.username),
        ", ".join((text(one.integration), text(one.batch), one.stage.value)),
        moment(one.since),
        f"{_why(one)}; {what_happens_next(one)}",
        command_for(one),
    )


def _why(one: Held) -> str:
    """Say why it waits; the sentence about a customer says the reason, which the title of the table does already."""
    if one.sentence and one.hold is HoldKind.customer:
        return prose(without_remedy(one))
    reason = one.reason.replace("_", " ")
    return prose(f"{reason}: {without_remedy(one)}" if one.sentence else reason)


def what_happens_next(one: Held) -> str:
    """Say what will happen by itself, and when."""
    match one.hold:
        case HoldKind.retry if one.due_at is not None:
            return f"attempt {one.attempts + 1} of {LAST_ATTEMPT} at {moment(one.due_at)}"
        case HoldKind.customer if one.due_at is not None:
            return f"looked at again at {moment(one.due_at)}"
        case _:
            return "nothing, until somebody acts"
