"""What operators do to records: give a customer's answer, let somebody be tried again."""

import getpass
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deployments.cli.answers import Answers, of_customer, of_everyone, read_answers, take_apart
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
    answers = read_answers(pairs, block=block)
    with open_database() as engine:
        if username is None:
            number = _answer_everyone(engine, answers, Wanted(batch=batch, integration=integration), yes=yes)
        else:
            integrations = of_customer(engine, answers, username, integration)
            number = _answer_customer(engine, answers, username, integrations)
    typer.echo(f"Answered for {count(number, 'onboarding')}. To move on: {command('resume')}")


def _answer_everyone(engine: "Engine", answers: Answers, whom: Wanted, *, yes: bool) -> int:
    from store.questions import answer_takers

    found = of_everyone(engine, answers, whom)
    if found.left:
        others = count(len(found.left), "other's form does", "others' forms do")
        typer.echo(f"{others} not take that answer; they are left as they are", err=True)
    if not yes:
        names = ", ".join(one.name for one in answers)
        typer.confirm(f"Answer {names} for {count(len(found.ids), 'onboarding')}?", abort=True, err=True)
    return answer_takers(engine, found, answers, by=operator(), now=time_by(engine))


def _answer_customer(engine: "Engine", answers: Answers, username: str, integrations: Sequence[str]) -> int:
    from store.choosing import Chosen
    from store.desk import answer as keep

    by, now = operator(), time_by(engine)
    chosen = [Chosen(username=username, integration=one) for one in integrations]
    return sum(keep(engine, one, answers, by=by, now=now) for one in chosen)


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


VERBS: tuple[Callable[..., Any], ...] = (answer, redrive)
