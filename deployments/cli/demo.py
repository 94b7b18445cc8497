"""The whole thing in a minute, against the local Alloy: customers who finish, one who waits, one who is refused."""

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import typer

from deployments.cli.demo_home import BATCH, fresh_home, port_of
from deployments.cli.exits import ExitCode
from deployments.cli.opening import open_database, read_settings
from deployments.cli.terminal import styled
from deployments.cli.wording import command

LIST = "demo.csv"
SLOW_CUSTOMER = "noor@example.test"
"""On the list, and the one who does not follow the link."""


def demo() -> None:
    """Try everything against a local Alloy.

    No account is needed, and nothing real is touched. Everything stays in the folder demo inside .onboard, for
    `onboard --demo COMMAND` to go on with; running the demo again begins afresh.
    """
    from deployments.cli.bulk import move
    from deployments.cli.demo_alloy import consenting_customers, running_demo_alloy
    from deployments.cli.taking_in import Handed, take_in

    with fresh_home() as home, running_demo_alloy(home, port_of(home)) as alloy:
        list_path = _copy_list(home)
        settings = read_settings()
        typer.echo(f"The local Alloy listens on {alloy.url}; the list is {_short(list_path)}", err=True)
        taken = take_in(settings, Handed(list_path, BATCH))
        with open_database(settings) as engine, consenting_customers(alloy, engine, but_not=SLOW_CUSTOMER):
            code = move(settings, "onboard_customers", BATCH, taken=taken)
        if code is ExitCode.interrupted:
            raise typer.Exit(code)
        _print_what_to_try(list_path)


def _copy_list(home: Path) -> Path:
    path = home / LIST
    path.write_bytes(files("deployments.examples").joinpath(LIST).read_bytes())
    return path


def _print_what_to_try(list_path: Path) -> None:
    typer.echo(styled("\nThat was the demo. To go on with it:", bold=True))
    for words, what in (
        ("status", "where everybody stands"),
        (f"show {SLOW_CUSTOMER}", "one customer's whole story"),
        ("links", "the consent link that nobody has followed yet"),
        ("up", "Prefect with these runs, the links' pages, and the schedule"),
        ("answer omar@example.test message='Hello'", "the answer that is missing"),
        (f"run {_short(list_path)} --batch {BATCH}", "after correcting `refused-` in it"),
        ("resume", "moves on whoever can be moved on"),
    ):
        typer.echo(f"  {command(words)}\n      {what}")


def _short(path: Path) -> str:
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


VERBS: tuple[Callable[..., Any], ...] = (demo,)
