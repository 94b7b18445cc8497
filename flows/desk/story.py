"""One customer's story: the way of each onboarding as a chart, its calls, what it waits for, what happens next."""

from shlex import quote

from flows.desk.forms import NO_FORMS, Forms
from flows.desk.keys import OVERVIEW, WAITING, address, batch_key
from flows.desk.markdown import code, link, page, table, text
from flows.desk.remedies import forms_for
from flows.desk.timeline import timeline
from flows.desk.words import moment, span
from states.holds import LAST_ATTEMPT, REMEDIES, HoldKind
from states.stage import Stage
from store.figures.pages import CustomerFigures
from store.views import Event, IntentView, OnboardingStory

SHOWN = 200
"""So many of the latest entries of a history are shown, and so many calls."""


def render_story(figures: CustomerFigures, forms: Forms = NO_FORMS) -> str:
    """Return the story as markdown, with links to those of the ``forms`` that move the customer on.

    It names neither an auth value nor a consent link.
    """
    story = figures.story
    name = f" ({text(story.full_name)})" if story.full_name else ""
    pages = ", ".join(
        [link("everybody", address(OVERVIEW)), link("who waits", address(WAITING))]
        + [link(f"batch {batch}", address(batch_key(batch))) for batch in dict.fromkeys(_batches(figures))]
    )
    return page(
        f"# {text(story.username)}{name}",
        f"As of {moment(figures.at)} UTC. User at Alloy: {text(story.alloy_user_id or 'none yet')}. See {pages}.",
        *(_onboarding(figures, one, forms) for one in story.onboardings),
    )


def _batches(figures: CustomerFigures) -> list[str]:
    return [one.batch for one in figures.story.onboardings]


def _onboarding(figures: CustomerFigures, one: OnboardingStory, forms: Forms) -> str:
    return page(
        f"## {text(one.integration)}: {one.stage}",
        _what_now(figures.story.username, one, forms),
        timeline(one, figures.at),
        _facts(one),
        "### Calls that change something at Alloy",
        _calls(one.intents),
        "### Everything that happened",
        _history(one.history),
    ).strip()


def _what_now(username: str, one: OnboardingStory, forms: Forms) -> str:
    """Say what it waits for, and what will happen next."""
    lines = [f"- **Waits for**: {_waits_for(one)}", f"- **Next**: {_next(one)}"]
    if one.hold is not None and one.reason is not None and one.hold is not HoldKind.retry:
        remedy = REMEDIES.get(one.reason, f"`onboard redrive --reason {one.reason}`")
        lines.append(f"- **What moves it on**: {remedy} ({code(f'onboard show {quote(username)}')} has this, too)")
        lines.append(forms_for(forms, one.hold, one.reason, batch=one.batch, username=username, before="- **Forms**: "))
    return "\n".join(filter(None, lines))


def _waits_for(one: OnboardingStory) -> str:
    if one.unfinished is not None:
        return f"the rest of its list: run it again, or {code(f'onboard discard --batch {quote(one.batch)}')}"
    if one.paused is not None:
        return (
            f"its batch, which is paused: {text(one.paused.why)}; {code(f'onboard resume --batch {quote(one.batch)}')}"
        )
    if one.quarantined is not None:
        return f"its cohort, most of which were refused: {one.quarantined.reason}"
    if one.hold is not None:
        return f"{'the customer' if one.hold is HoldKind.customer else one.hold.value}: {text(one.sentence or '')}"
    return "nobody" if one.stage is Stage.completed else "its turn" if one.leased_by is None else "Alloy's answer"


def _next(one: OnboardingStory) -> str:
    if one.stage is Stage.completed:
        return "nothing: it is completed"
    if one.quarantined is not None:
        return f"a few of its cohort are tried at {moment(one.quarantined.probe_at)}; if one gets past, all go on"
    if one.due_at is None:
        return "nothing, until somebody acts"
    if one.hold is HoldKind.retry:
        return f"attempt {one.attempts + 1} of {LAST_ATTEMPT} at {moment(one.due_at)}"
    return f"{'looked at again' if one.hold else 'moved on'} at {moment(one.due_at)}, or as soon as a run has time"


def _facts(one: OnboardingStory) -> str:
    facts = (
        ("integration", one.integration_id),
        ("credential", one.credential_id),
        ("installation", one.installation_id),
        ("consent link issued", moment(one.link_issued_at)),
        ("read back at Alloy", moment(one.verified_at)),
        ("in the hands of", one.leased_by),
    )
    return "\n".join(f"- {name}: {text(value)}" for name, value in facts if value)


def _calls(intents: list[IntentView]) -> str:
    if not intents:
        return "None yet."
    rows = [
        (
            moment(one.opened_at),
            one.trigger.value,
            text(one.outcome or "not known yet: looked up before it is made again"),
            span(one.closed_at - one.opened_at) if one.closed_at is not None else "",
        )
        for one in intents[-SHOWN:]
    ]
    return _with_rest(table(("Begun (UTC)", "Call", "Outcome", "#After"), rows), len(intents), "earlier calls")


def _history(history: list[Event]) -> str:
    rows = [
        (moment(one.at), one.stage.value, _what(one), text(one.sentence), text(one.worker)) for one in history[-SHOWN:]
    ]
    return _with_rest(table(("At (UTC)", "Stage", "What", "In words", "By"), rows), len(history), "earlier entries")


def _what(one: Event) -> str:
    if one.trigger is not None:
        return f"**{one.trigger}**"
    return f"held for {one.hold}: {one.reason}" if one.hold is not None else "note"


def _with_rest(shown: str, number: int, of_what: str) -> str:
    return f"{shown}\n\nand **{number - SHOWN:,} {of_what}**." if number > SHOWN else shown
