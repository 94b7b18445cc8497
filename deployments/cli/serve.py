"""The verbs that keep something running in the foreground: Prefect with its schedules, and the local Alloy."""

from collections.abc import Callable
from typing import Annotated, Any

import typer

from deployments.cli.demo_home import sandbox_arguments
from deployments.cli.opening import read_settings


def up(port: Annotated[int, typer.Option("--port", help="Where Prefect's pages are served.")] = 4200) -> None:
    """Run Prefect, the schedules and a worker.

    Stays in the foreground; Ctrl-C ends it.
    """
    from deployments.up import up as keep_up

    settings = read_settings(with_key=True)
    keep_up(settings.onboard_home, port, say=typer.echo)


def sandbox(context: typer.Context) -> None:
    """Run the local Alloy on a port.

    It answers like the vendor, keeps its own ledger and fails on request; its own --help lists the switches.
    """
    from deployments.sandbox.command import serve

    inner = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    inner.command()(serve)
    # What is given twice counts as given last.
    inner([*sandbox_arguments(), *context.args], prog_name="onboard sandbox", standalone_mode=False)


VERBS: tuple[Callable[..., Any], ...] = (up, sandbox)

CONTEXT_SETTINGS: dict[Callable[..., Any], dict[str, Any]] = {
    # The sandbox has its own options, and knowing them means importing a web server.
    sandbox: {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
}
