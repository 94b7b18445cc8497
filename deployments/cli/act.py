"""What operators do to records: give a customer's answer, let somebody be tried again."""

import getpass
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deployments.cli.answers import Answers, read_answers, take_apart, who_lacks
from deployments.cli.exits import ExitCode, Refused
from deployments.cli.opening import open_database
from deployments.cli.wording import command, count, printable
from states.holds import Reason
from states.stage import Stage

if TYPE_CHECKING:
    from sqlalchemy import Engine

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask first.")]


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
    username: Annotated[str | None, typer.Option("--username", help="Only this customer.")] = None,
    batch: Annotated[str | None, typer.Option("--batch", help="Only this batch.")] = None,
    reason: Annotated[Reason | None, typer.Option("--reason", help="Only those held for this.")] = None,
    stage: Annotated[Stage | None, typer.Option("--stage", help="Only at this stage.")] = None,
    integration: Annotated[str | None, typer.Option("--integration", help="Only this integration.")] = None,
    yes: Yes = False,
) -> None:
    """Let those who stand still be tried again.

    Says first how many that would be, and asks.
    """
    if (username, batch, reason, stage, integration) == (None,) * 5:
        raise Refused(
            ExitCode.bad_input,
            "usage",
            "say who is to be tried again: --username, --batch, --reason, --stage or --integration",
        )
    from store.desk import Chosen, count_held
    from store.desk import redrive as let_go
    from store.standing import find_batch
    from store.views import find_customer

    with open_database() as engine:
        if username is not None:
            find_customer(engine, username)
        chosen = Chosen(
            username=username,
            integration=integration,
            batch_id=find_batch(engine, batch) if batch is not None else None,
            stage=stage,
            reason=reason,
        )
        number = count_held(engine, chosen)
        if number == 0:
            typer.echo("Nobody who matches stands still.")
            return
        typer.echo(f"{count(number, 'onboarding')} would be tried again.", err=True)
        if not yes:
            typer.confirm("Go on?", abort=True, err=True)
        number = let_go(engine, chosen, by=operator(), now=datetime.now(UTC))
    typer.echo(f"{count(number, 'onboarding is', 'onboardings are')} let go. To move on: {command('resume')}")


def operator() -> str:
    """Say who is at the keyboard, for the history."""
    try:
        return printable(getpass.getuser())
    except (KeyError, OSError):
        return "an operator"


def _keep(engine: "Engine", chosen: Sequence[tuple[str, str]], answers: Answers) -> int:
    from store.desk import Chosen
    from store.desk import answer as keep

    by, now = operator(), datetime.now(UTC)
    return sum(
        keep(engine, Chosen(username=username, integration=integration), answers, by=by, now=now)
        for username, integration in chosen
    )


VERBS: tuple[Callable[..., Any], ...] = (answer, redrive)
