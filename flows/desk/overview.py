"""The page that operators look at first: where everybody stands, how they got there, how fast, and what needs them."""

from collections.abc import Sequence

from flows.desk.drawing import drawing
from flows.desk.forms import FORMS, NO_FORMS, Forms
from flows.desk.held_back import held_back
from flows.desk.keys import WAITING, address, batch_key
from flows.desk.markdown import link, page, table, text
from flows.desk.state_machine import state_machine
from flows.desk.words import count, figure, moment, share, span
from states.holds import HoldKind
from states.stage import Stage
from store.figures.completed import Hour
from store.figures.funnel import funnel
from store.figures.pages import Overview
from store.standing import Standing


def render_overview(figures: Overview, forms: Forms = NO_FORMS) -> str:
    """Return the overview as markdown, with links to the ``forms``."""
    standing = figures.standing
    if standing.total == 0 and not standing.unfinished:
        return page(_title(figures), "Nobody is on a list yet. Begin with `onboard run LIST`.")
    return page(
        _title(figures),
        counts_table(standing),
        _needs_you(standing),
        forms.links(*((name, {}) for name in FORMS), before="Forms: "),
        "## Everybody, by stage and hold",
        state_machine(standing),
        "## How far they got, and how long it takes",
        _funnel(figures),
        "## Completed each hour",
        _completed(figures),
        "## How fast Alloy is called",
        _paces(standing),
        _headed("## Held back, through no fault of their own", held_back(standing, forms)),
        _headed("## The latest lists", _batches(figures)),
    )


def counts_table(standing: Standing) -> str:
    """Return the counts of everybody in one line, as ``onboard status`` counts them."""
    holds = standing.holds
    head = ("#All", "#Completed", "#On the way", "#Wait for a customer", "#Wait for an operator", "#Tried again",
            "#Cancelled")  # fmt: skip
    numbers = (
        standing.total,
        standing.stages[Stage.completed],
        standing.moving,
        holds[HoldKind.customer],
        holds[HoldKind.operator],
        holds[HoldKind.retry],
        holds[HoldKind.cancelled],
    )
    return table(head, [tuple(f"{number:,}" for number in numbers)])


def _title(figures: Overview) -> str:
    waiting = link("Who waits, and for what", address(WAITING))
    return f"# Where everybody stands\n\nAs of {moment(figures.at)} UTC. {waiting}"


def _needs_you(standing: Standing) -> str:
    waiting = standing.holds[HoldKind.operator]
    parts = [
        f"**{count(waiting, 'onboarding needs', 'onboardings need')} an operator**" if waiting else "",
        f"{count(len(standing.quarantined), 'cohort')} quarantined" if standing.quarantined else "",
        f"{count(len(standing.paused), 'batch', 'batches')} paused" if standing.paused else "",
        f"{count(len(standing.unfinished), 'list')} half in" if standing.unfinished else "",
        f"{count(standing.leftovers, 'suspected leftover')} at Alloy (`onboard leftovers`)"
        if standing.leftovers
        else "",
    ]
    told = ", ".join(part for part in parts if part)
    return f"{told}." if told else "Nobody needs an operator."


def _funnel(figures: Overview) -> str:
    stays = {stay.stage: stay for stay in figures.stays}
    rows = []
    for step in funnel(figures.standing):
        stay = stays.get(step.stage)
        rows.append(
            (
                step.stage.value,
                f"{step.here:,}",
                f"{step.reached:,}",
                share(step.converted),
                span(stay.median) if stay else "",
                span(stay.longest_of_95) if stay else "",
                f"{stay.number:,}" if stay else "",
            )
        )
    times = ("#Median time in it", "#95 of 100 within", "#Of the last")
    return table(("Stage", "#At it now", "#Ever reached it", "#Of the stage before", *times), rows)


def _completed(figures: Overview) -> str:
    pace, standing = figures.pace, figures.standing
    ahead = standing.moving + standing.holds[HoldKind.retry]
    lately = f"{sum(hour.completed for hour in figures.hours):,} completed in these 24 hours, the last one not over yet"
    if pace.per_hour is None:
        outlook = "None in the last 60 minutes, so nobody can say when the others will be."
    else:
        left = pace.time_for(ahead)
        others = "nobody is on the way"
        if ahead and left is not None:
            others = f"{count(ahead, 'onboarding')} on the way or tried again will take {span(left)} at that"
        outlook = f"{pace.completed:,} in the last 60 minutes, a pace of {figure(pace.per_hour)} an hour: {others}."
    return page(hours_chart(figures.hours), f"{lately}. {outlook}").strip()


def hours_chart(hours: Sequence[Hour]) -> str:
    """Return the bars of the last hours; in UTC, as everything here."""
    most = max(hour.completed for hour in hours)
    return drawing(
        [
            "xychart-beta",
            f"    x-axis [{', '.join(f'{hour.begins:%H}' for hour in hours)}]",
            f'    y-axis "completed" 0 --> {max(most, 1)}',
            f"    bar [{', '.join(str(hour.completed) for hour in hours)}]",
        ],
        xyChart={"width": 900, "height": 300},
    )


def _paces(standing: Standing) -> str:
    if not standing.paces:
        return f"Not yet. {count(standing.calls, 'call')} so far."
    lines = []
    for one in standing.paces:
        if one.rate is None:
            lines.append("- As fast as the workers can, since nothing was refused.")
        else:
            how = "as `ALLOY_RATE` says" if one.given else "the limit, found by asking"
            if not one.given and not one.limit_met:
                how = "the limit is still searched by asking"
            lines.append(f"- At most **{figure(one.rate)} calls a second**, all workers together: {how}.")
        if one.paused_until is not None:
            lines.append(f"- Alloy has asked to wait until {moment(one.paused_until)} UTC.")
    return "\n".join([*lines, f"- {count(standing.calls, 'call')} so far."])


def _batches(figures: Overview) -> str:
    rows = [
        (
            link(one.name, address(batch_key(one.name))),
            f"{one.total:,}",
            f"{one.completed:,}",
            f"{one.for_customers:,}",
            f"{one.for_operators:,}",
            text("paused") if one.paused else "",
        )
        for one in figures.batches
    ]
    return table(("List", "#All", "#Completed", "#For customers", "#For operators", ""), rows) if rows else ""


def _headed(heading: str, body: str) -> str:
    return f"{heading}\n\n{body}" if body else ""
