"""The verbs that move customers: a list from the beginning, or whatever is due."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deployments.cli.driving import Driven, drive
from deployments.cli.exits import ExitCode, Refused
from deployments.cli.opening import open_database, read_settings
from deployments.cli.options import Batch, Json
from deployments.cli.report import counts_object, print_json, print_standing
from deployments.cli.taking_in import Handed, Taken, take_in
from deployments.cli.wording import command
from states.holds import HoldKind

if TYPE_CHECKING:
    from flows.settings import Settings


def run(
    list_path: Annotated[Path, typer.Argument(metavar="LIST", help="A CSV or JSONL file of customers.")],
    batch: Annotated[
        str | None, typer.Option("--batch", help="The batch's name.", show_default="the file's name")
    ] = None,
    mapping: Annotated[
        Path | None, typer.Option("--map", metavar="FILE", help="Answers and templates for everyone on the list.")
    ] = None,
    accept_valid: Annotated[
        bool, typer.Option("--accept-valid", help="Take the good rows in although others are faulty.")
    ] = False,
    rejected: Annotated[
        Path | None,
        typer.Option("--rejected", metavar="FILE", help="With --accept-valid: where the faulty rows go."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Take a list in and onboard everybody on it.

    Everybody gets as far as they can go for now. The same list again changes nothing and goes on with what is missing.
    """
    settings = read_settings(with_key=True)
    name = batch or list_path.stem
    taken = take_in(settings, Handed(list_path, name, mapping, accept_valid, rejected))
    raise typer.Exit(move(settings, "onboard_customers", name, taken=taken, as_json=as_json))


def resume(batch: Batch = None, as_json: Json = False) -> None:
    """Go on with whatever is due.

    That is retries, looks for consents and for answers, and what a worker that died still held.
    A batch that is paused goes on only if it is named.
    """
    settings = read_settings(with_key=True)
    raise typer.Exit(move(settings, "resume_onboardings", batch, as_json=as_json))


def move(
    settings: "Settings", flow_name: str, batch: str | None, *, taken: Taken | None = None, as_json: bool = False
) -> ExitCode:
    """Run the flow over the batch, print where everybody stands then, and return how that ends the command.

    Interrupted at whatever moment, it says where everybody stands all the same.
    """
    from store.standing import standing

    try:
        if taken is not None:
            taken.announce()
        driven = _driven(settings, flow_name, batch)
    except KeyboardInterrupt:
        driven = Driven(interrupted=True)
    calls = driven.calls + (taken.calls if taken is not None else 0)
    with open_database(settings) as engine:
        now = standing(engine, batch)
        if as_json:
            print_json(counts_object(now, calls=calls, seconds=driven.seconds))
        else:
            print_standing(engine, now, calls=calls, seconds=driven.seconds)
            _print_page(driven)
    if driven.interrupted:
        typer.echo(f"interrupted; nothing is lost: {command('resume')}", err=True)
        return ExitCode.interrupted
    return ExitCode.operator_needed if now.holds[HoldKind.operator] or now.unfinished else ExitCode.fine


def _driven(settings: "Settings", flow_name: str, batch: str | None) -> Driven:
    from store.finding import find_batch

    with open_database(settings) as engine:
        if batch is not None:
            find_batch(engine, batch)
        try:
            return drive(settings, engine, flow_name, batch)
        except Refused as halted:
            halted.message = f"{halted.message}. Nobody is blamed; once that is mended: `onboard resume`"
            raise


def _print_page(driven: Driven) -> None:
    if driven.page:
        how = "" if driven.page_stays else f" ({command('up')} serves it)"
        typer.echo(f"This run in Prefect{how}:\n  {driven.page}")
        typer.echo(f"Where everybody stands, in Prefect:\n  {driven.overview}")


VERBS: tuple[Callable[..., Any], ...] = (run, resume)
