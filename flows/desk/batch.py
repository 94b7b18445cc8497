"""The page of one batch: its funnel, and its failures by reason, each with one example and the remedy."""

from flows.desk.forms import NO_FORMS, Forms
from flows.desk.held_back import held_back
from flows.desk.keys import OVERVIEW, WAITING, address, progress_key
from flows.desk.markdown import link, page, prose, table, text
from flows.desk.overview import counts_table
from flows.desk.remedies import command_for, forms_for, remedy_for, without_remedy
from flows.desk.state_machine import state_machine
from flows.desk.words import moment, share
from states.holds import HoldKind
from store.figures.funnel import funnel
from store.figures.held import Group
from store.figures.pages import BatchFigures

_TITLES = {
    HoldKind.operator: "needs an operator",
    HoldKind.customer: "waits for the customer",
    HoldKind.retry: "tried again by itself",
    HoldKind.cancelled: "for good",
}


def render_batch(figures: BatchFigures, forms: Forms = NO_FORMS) -> str:
    """Return the page as markdown, with links to those of the ``forms`` that move somebody on."""
    standing = figures.standing
    back = held_back(standing, forms)
    rows = [
        (step.stage.value, f"{step.here:,}", f"{step.reached:,}", share(step.converted)) for step in funnel(standing)
    ]
    return page(
        f"# Batch {text(figures.name)}",
        _where_from(figures),
        counts_table(standing),
        f"## Held back\n\n{back}" if back else "",
        "## The funnel",
        table(("Stage", "#At it now", "#Ever reached it", "#Of the stage before"), rows),
        state_machine(standing),
        "## Who stands still, by reason",
        _reasons(figures, forms) or "Nobody stands still.",
    )


def _where_from(figures: BatchFigures) -> str:
    links = ", ".join(
        link(words, address(key))
        for words, key in (
            ("its progress", progress_key(figures.name)),
            ("everybody", OVERVIEW),
            ("who waits", WAITING),
        )
    )
    source = f" From {text(figures.source)}." if figures.source else ""
    taken_in = f" Wholly in since {moment(figures.taken_in_at)}." if figures.taken_in_at else ""
    erased = f" {figures.standing.erased:,} more were erased." if figures.standing.erased else ""
    return f"As of {moment(figures.at)} UTC.{source}{taken_in}{erased} See {links}."


def _reasons(figures: BatchFigures, forms: Forms) -> str:
    order = list(_TITLES)
    groups = sorted(figures.groups, key=lambda group: (order.index(group.hold), -group.number))
    head = ("Reason", "#Number", "For example", "Why, and the remedy")
    return table(head, [_row(group, figures.name, forms) for group in groups]) if groups else ""


def _row(group: Group, batch: str, forms: Forms) -> tuple[str, ...]:
    example = group.oldest[0]
    remedies = filter(
        None, [remedy_for(group.hold, group.reason), forms_for(forms, group.hold, group.reason, batch=batch)]
    )
    return (
        f"{group.reason}: {_TITLES[group.hold]}",
        f"{group.number:,}",
        f"{text(example.username)} · {text(example.integration)} · {command_for(example)}",
        f"{prose(without_remedy(example))} → {'; '.join(remedies)}",
    )
