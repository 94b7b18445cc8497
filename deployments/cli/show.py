"""One customer's whole story: every stage, hold and call that is not certain, and what comes next."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from deployments.cli.half_in import remedies
from deployments.cli.held import failed_so_often
from deployments.cli.opening import open_to_ask
from deployments.cli.options import Every, Json, Watch
from deployments.cli.plain import plain
from deployments.cli.report import json_lines
from deployments.cli.tables import Row, tabulated
from deployments.cli.terminal import folded, styled
from deployments.cli.watching import Seen, show_once_or_watch
from deployments.cli.wording import ago, ahead, command, printable, quoted
from states.holds import HoldKind
from states.stage import Stage

if TYPE_CHECKING:
    from store.story import Event, IntentView, OnboardingStory, Story

_OUTCOMES = {
    None: "open: its outcome is not known yet",
    "found": "no answer came; what it did was found at Alloy",
    "late": "the answer came after another worker had taken over",
    "nothing": "it had no effect: not sent, or refused",
    "absent": "no answer came, and it had no effect",
    "leftover": "no answer came, and what it did could not be found",
}
"""What is said of a call, by its outcome; one that was simply answered is in the history."""


def show(
    username: Annotated[str, typer.Argument(help="The customer.")],
    as_json: Json = False,
    watching: Watch = False,
    every: Every = None,
) -> None:
    """Show one customer's whole story.

    Every stage, hold and call that is not certain, and what comes next.
    """

    def look(indent: int | None) -> Seen:
        from store.story import story as read_story

        with open_to_ask() as database:
            story = read_story(database, username)
        lines = json_lines(_object(story), indent) if as_json else list(_lines(story))
        ended = [one.stage is Stage.completed or one.hold is HoldKind.cancelled for one in story.onboardings]
        return Seen(lines, over=bool(ended) and all(ended))

    show_once_or_watch(look, watching=watching, every=every, as_json=as_json)


def _object(story: "Story") -> dict[str, object]:
    return {
        "username": story.username,
        "full_name": story.full_name,
        "onboardings": [
            {
                "integration": one.integration,
                "stage": one.stage.value,
                "hold": one.hold and one.hold.value,
                "reason": one.reason and one.reason.value,
                "due_at": one.due_at and one.due_at.isoformat(),
                "attempts": one.attempts,
                "alloy_user_id": story.alloy_user_id,
                "credential_id": one.credential_id,
                "installation_id": one.installation_id,
                "link_issued_at": one.link_issued_at and one.link_issued_at.isoformat(),
                "history": [plain(event) for event in one.history],
                "intents": [plain(intent) for intent in one.intents],
                **({"held_back": why} if (why := _held_back(one)) else {}),
            }
            for one in story.onboardings
        ],
    }


def _lines(story: "Story") -> Iterator[str]:
    name = f" ({printable(story.full_name)})" if story.full_name else ""
    yield styled(f"{printable(story.username)}{name}", bold=True)
    yield f"  user at Alloy: {story.alloy_user_id or 'none yet'}"
    for onboarding in story.onboardings:
        yield ""
        yield from _onboarding(onboarding)


def _onboarding(one: "OnboardingStory") -> Iterator[str]:
    yield styled(f"{printable(one.integration)} · batch {printable(one.batch)} · {one.stage}", bold=True)
    for title, value in (
        ("integration", one.integration_id),
        ("credential", one.credential_id),
        ("installation", one.installation_id),
        ("consent link issued", one.link_issued_at and f"{ago(one.link_issued_at)} ago"),
        ("read back at Alloy", one.verified_at and f"{ago(one.verified_at)} ago"),
        ("in the hands of", one.leased_by),
    ):
        if value:
            yield f"  {title}: {printable(value)}"
    if one.history:
        yield ""
        yield from tabulated(("history (UTC)", "stage", "what"), [_event(event) for event in one.history])
    unsettled = [intent for intent in one.intents if intent.outcome != "answered"]
    if unsettled:
        yield ""
        yield from tabulated(("calls (UTC)", "for"), [_call(intent) for intent in unsettled])
    yield ""
    yield from _next(one)


def _event(event: "Event") -> Row:
    what = event.trigger or (f"held for {event.hold}: {event.reason}" if event.hold else "note")
    return Row((f"{event.at:%Y-%m-%d %H:%M:%S}", event.stage, what), (event.sentence,) if event.sentence else ())


def _call(intent: "IntentView") -> Row:
    outcome = _OUTCOMES.get(intent.outcome, intent.outcome or "")
    return Row((f"{intent.opened_at:%Y-%m-%d %H:%M:%S}", intent.trigger), (outcome,))


def _held_back(one: "OnboardingStory") -> str:
    """Say what holds it back, if it is neither itself nor its customer."""
    if one.unfinished is not None:
        commands = " or ".join(f"`onboard {remedy}`" for remedy in remedies(one.unfinished))
        return f"its list is only half in, and nobody works on it until the rest is: {commands}"
    if one.paused is not None:
        return f"its batch is paused, since {one.paused.why}; to go on: `onboard resume --batch {quoted(one.batch)}`"
    if one.quarantined is not None:
        why = f"most of the last ones of {one.quarantined.label} at {one.stage} were refused ({one.quarantined.reason})"
        return f"held back, since {why}; a few are tried {ahead(one.quarantined.probe_at)}"
    return ""


def _next(one: "OnboardingStory") -> Iterator[str]:
    sentence = one.sentence or ("nothing: it is completed" if one.stage == "completed" else "it is moved on")
    first, *others = folded(f"next: {_held_back(one) or sentence}", 2)
    yield styled(first, bold=True)
    yield from others
    if one.hold == HoldKind.retry:
        yield f"  {failed_so_often(one.attempts)}"
    if one.due_at is not None:
        yield f"  looked at again {ahead(one.due_at)}: {command('resume')}"
