"""What operators do to records: give a customer's answer, let somebody be tried again."""

import getpass
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deployments.cli.answers import Answers, read_answers, take_apart, who_lacks
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
from states.holds import HoldKind
from store.wanted import Wanted

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Engine


def answer(
    words: Annotated[list[str], typer.Argument(metavar="USERNAME FIELD=VALUE...", help="Who, and the answers.")],
    everyone: Annotated[
        bool, typer.Option("--everyone", help="No USERNAME: answer for everybody who lacks the field.")
    ] = False,
    batch: Annotated[str | None, typer.Option("--batch", help="With --everyone: only this batch.")] = None,
    integration: Annotated[str | None, typer.Option("--integration", help="Only this integration.")] = None,
    block: Annotated[
        str | None, typer.Option("--block", metavar="ID_OR_APP", help="Only where this block of the form asks.")
    ] = None,
    yes: Yes = False,
) -> None:
    """Answer what an installation asks for.

    For example: onboard answer ada@example.test channel=#orders
    """
    username, pairs = take_apart(words, everyone=everyone)
    with open_database() as engine:
        answers = read_answers(pairs, block=block)
        chosen = who_lacks(engine, answers, username=username, integration=integration, batch=batch)
        if everyone and not yes:
            names = ", ".join(one.name for one in answers)
            typer.confirm(f"Answer {names} for {count(len(chosen), 'onboarding')}?", abort=True, err=True)
        number = _keep(engine, chosen, answers)
    typer.echo(f"Answered for {count(number, 'onboarding')}. To move on: {command('resume')}")


def redrive(
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
    """Let those who stand still be tried again.

    Says first how many that would be, and asks. Cancelled ones are let go only if they are named: --hold cancelled.
    """
    wanted = Wanted(username, batch, reason, hold, stage, integration, older_than)
    require_some(wanted, "tried again")
    from store.choosing import preview, standing_still
    from store.desk import redrive as let_go

    with open_database() as engine:
        now = time_by(engine)
        chosen = wanted.look_up(engine, now)
        found = preview(engine, standing_still(chosen), now)
        if as_json and not (yes and found.total):
            print_json(as_object("redrive", found, done=0 if yes else None))
            return
        if found.total == 0:
            typer.echo("Nobody who matches stands still.")
            _say_who_is_cancelled(engine, wanted, now)
            return
        say_what_would_be_done(found, "tried again")
        if not yes:
            typer.confirm("Go on?", abort=True, err=True)
        number = let_go(engine, chosen, by=operator(), now=time_by(engine))
    if as_json:
        print_json(as_object("redrive", found, done=number))
    else:
        typer.echo(f"{count(number, 'onboarding is', 'onboardings are')} let go. To move on: {command('resume')}")


def _say_who_is_cancelled(engine: "Engine", wanted: Wanted, now: "datetime") -> None:
    from store.choosing import preview, standing_still

    if wanted.hold is None:
        cancelled = preview(engine, standing_still(replace(wanted, hold=HoldKind.cancelled).look_up(engine, now)), now)
        if cancelled.total:
            were = count(cancelled.total, "onboarding that matches was", "onboardings that match were")
            typer.echo(f"{were} cancelled; --hold cancelled lets them go on after all.")


def operator() -> str:
    """Say who is at the keyboard, for the history."""
    try:
        return printable(getpass.getuser())
    except (KeyError, OSError):
        return "an operator"


def _keep(engine: "Engine", chosen: Sequence[tuple[str, str]], answers: Answers) -> int:
    from store.choosing import Chosen
    from store.desk import answer as keep

    by, now = operator(), time_by(engine)
    return sum(
        keep(engine, Chosen(username=username, integration=integration), answers, by=by, now=now)
        for username, integration in chosen
    )


VERBS: tuple[Callable[..., Any], ...] = (answer, redrive)
