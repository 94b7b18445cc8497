"""The verbs that end something: an onboarding that is not wanted any more, or all that we hold about a customer."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deployments.cli.act import operator
from deployments.cli.exits import ExitCode, Refused
from deployments.cli.opening import open_database, time_by
from deployments.cli.report import print_json
from deployments.cli.whom import (
    AtStage,
    Batch,
    Integration,
    Json,
    OfHold,
    OfReason,
    OlderThan,
    Username,
    Yes,
    as_object,
    require_some,
    say_what_would_be_done,
)
from deployments.cli.wording import command, count, printable
from store.wanted import Wanted

if TYPE_CHECKING:
    from store.story import Story

_NOT_OURS = (
    "Not deleted, since we do not hold it: what there is at Alloy, the names of task runs in Prefect, and the lists "
    "themselves. A list that still has the customer takes them in again."
)


def cancel(
    username: Username = None,
    batch: Batch = None,
    reason: OfReason = None,
    hold: OfHold = None,
    stage: AtStage = None,
    integration: Integration = None,
    older_than: OlderThan = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """End onboardings for good.

    Says first how many that would be, and asks. Their sealed auth values and consent links are deleted; completed ones
    are not touched, and nothing at Alloy is. To take it back: onboard redrive --hold cancelled
    """
    wanted = Wanted(username, batch, reason, hold, stage, integration, older_than)
    require_some(wanted, "cancelled")
    from store.cancelling import cancel as end
    from store.choosing import preview, under_way

    with open_database() as engine:
        now = time_by(engine)
        chosen = wanted.look_up(engine, now)
        found = preview(engine, under_way(chosen), now)
        if as_json and not (yes and found.total):
            print_json(as_object("cancel", found, done=0 if yes else None))
            return
        if found.total == 0:
            typer.echo("Nobody who matches is under way.")
            return
        say_what_would_be_done(found, "cancelled, their auth values and consent links deleted")
        if not yes:
            typer.confirm("Go on?", abort=True, err=True)
        cancelled = end(engine, chosen, by=operator(), now=time_by(engine))
    if as_json:
        print_json(as_object("cancel", found, done=cancelled.number))
    else:
        was = count(cancelled.number, "onboarding is", "onboardings are")
        typer.echo(f"{was} cancelled. To take it back: {command('redrive --hold cancelled')} and the same choice.")


def erase(
    username: Annotated[str, typer.Argument(help="The customer.")],
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Delete everything that we hold about one customer.

    Their onboardings, history, calls, links and auth values; `onboard status` goes on counting how many were erased.
    Says first what that is and what stays at Alloy, where nothing is deleted. Prefect holds usernames in the names of
    its task runs, which are deleted there.
    """
    from store.erasing import StillLeased
    from store.erasing import erase as delete
    from store.story import story as read_story

    with open_database() as engine:
        story = read_story(engine, username)
        if not as_json:
            _say_what_goes_and_what_stays(story)
        number = None
        if not yes and not as_json:
            typer.confirm("Go on?", abort=True, err=True)
        if yes or not as_json:
            try:
                number = delete(engine, username, now=time_by(engine))
            except StillLeased as busy:
                raise Refused(ExitCode.bad_input, "busy", str(busy)) from None
    if as_json:
        print_json(_erased_object(story, number))
    else:
        typer.echo(f"{printable(username)} is erased, with {count(number or 0, 'onboarding')}.")


def _say_what_goes_and_what_stays(story: "Story") -> None:
    batches = ", ".join(sorted({printable(one.batch) for one in story.onboardings}))
    onboardings = count(len(story.onboardings), "onboarding")
    typer.echo(f"{printable(story.username)} would be erased, with {onboardings} of {batches or 'no batch'}.", err=True)
    stays = _at_alloy(story)
    if stays:
        typer.echo("What stays at Alloy, to be removed there if it is to go as well:", err=True)
        for line in stays:
            typer.echo(f"  {line}", err=True)
    typer.echo(_NOT_OURS, err=True)


def _at_alloy(story: "Story") -> list[str]:
    lines = [f"user {story.alloy_user_id}"] if story.alloy_user_id else []
    for one in story.onboardings:
        integration = printable(one.integration)
        lines += [f"credential {one.credential_id} ({integration})"] if one.credential_id else []
        lines += [f"installation {one.installation_id} ({integration}, {one.stage})"] if one.installation_id else []
        lines += [
            f"perhaps what the call of {call.opened_at:%Y-%m-%d %H:%M:%S} UTC left ({integration}, {call.trigger})"
            for call in one.intents
            if call.outcome in (None, "leftover", "late")
        ]
    return list(dict.fromkeys(lines))


def _erased_object(story: "Story", number: int | None) -> dict[str, object]:
    return {
        "verb": "erase",
        "username": story.username,
        "onboardings": len(story.onboardings),
        "done": number,
        "at_alloy": {
            "user_id": story.alloy_user_id,
            "credential_ids": [one.credential_id for one in story.onboardings if one.credential_id],
            "installation_ids": [one.installation_id for one in story.onboardings if one.installation_id],
            "uncertain_calls": sum(
                call.outcome in (None, "leftover", "late") for one in story.onboardings for call in one.intents
            ),
        },
    }


VERBS: tuple[Callable[..., Any], ...] = (cancel, erase)
