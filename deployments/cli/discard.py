"""The verb that takes out again what is in of a list that is only half in."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deployments.cli.exits import ExitCode, Refused
from deployments.cli.opening import open_database
from deployments.cli.report import print_json
from deployments.cli.whom import Json, Yes
from deployments.cli.wording import ago, count, printable

if TYPE_CHECKING:
    from store.intake.discard import Discard


def discard(
    batch: Annotated[str, typer.Option("--batch", help="The batch whose list is only half in.")],
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Take out what is in of a list that is only half in.

    Says first what that is, and asks. Nothing of it was begun at Alloy. A batch that is wholly in is refused.
    """
    from store.finding import find_batch
    from store.intake.discard import WhollyIn, preview_discard
    from store.intake.discard import discard as take_out

    with open_database() as engine:
        batch_id = find_batch(engine, batch)
        try:
            found = preview_discard(engine, batch_id)
            if as_json and not yes:
                print_json(_as_object(batch, found, done=None))
                return
            if not as_json:
                _say_what_would_go(batch, found)
            if not yes:
                typer.confirm("Go on?", abort=True, err=True)
            number = take_out(engine, batch_id)
        except WhollyIn as refused:
            raise Refused(ExitCode.bad_input, "wholly_in", str(refused)) from None
    if as_json:
        print_json(_as_object(batch, found, done=number))
    else:
        rest = "The batch is as it was." if found.before else "The batch is gone."
        typer.echo(f"{count(number, 'onboarding is', 'onboardings are')} taken out. {rest}")


def _say_what_would_go(batch: str, found: "Discard") -> None:
    what = f"{printable(found.source)}, begun {ago(found.began_at)} ago, is only half in batch {printable(batch)}."
    typer.echo(what, err=True)
    typer.echo(
        f"{count(found.onboardings, 'onboarding')} would be taken out, with their auth values, and their customers "
        "where they have nothing else.",
        err=True,
    )
    if found.before:
        typer.echo(f"The {count(found.before, 'onboarding')} that the batch had before would stay.", err=True)
    if found.changed:
        changed = count(found.changed, "of them was", "of them were")
        typer.echo(f"{changed} changed by the list, and would stay so.", err=True)


def _as_object(batch: str, found: "Discard", *, done: int | None) -> dict[str, object]:
    return {
        "verb": "discard",
        "batch": batch,
        "source": found.source,
        "total": found.onboardings,
        "before": found.before,
        "changed": found.changed,
        "done": done,
    }


VERBS: tuple[Callable[..., Any], ...] = (discard,)
