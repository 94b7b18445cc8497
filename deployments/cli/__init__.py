"""The ``onboard`` command: a module for each kind of verb.

``bulk`` moves customers, ``look`` reads, ``act`` is what operators do, ``ending`` and ``discard`` what they end,
``serve`` keeps things running, ``scale`` does so on several machines. Invariant: importing this package imports neither
Prefect nor an HTTP library nor the store; a command imports what it needs.
"""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from deployments.cli import act, bulk, demo, discard, doctor, ending, look, scale, serve
from deployments.cli.demo_home import enter
from deployments.cli.exits import end
from deployments.cli.signals import sigterm_like_ctrl_c
from deployments.cli.wording import IN_DEMO
from flows.garbage import calm_collector

__all__ = ["app", "main"]

app = typer.Typer(
    name="onboard",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def onboard(
    context: typer.Context,
    in_demo: Annotated[
        bool, typer.Option("--demo", help="Work on what `onboard demo` left behind, with its local Alloy.")
    ] = False,
) -> None:
    """Bring every customer on a list through Alloy's Headless Mode, exactly once, however often interrupted.

    Begin with `onboard demo`, or with ALLOY_API_KEY in the environment and `onboard run customers.csv`.

    Exit codes: 0 nobody at the operator's desk is needed; 1 some records need an operator; 2 bad input or usage,
    nothing taken in; 3 configuration, key or host; 70 a fault of this program; 130 interrupted.
    """
    if in_demo and context.invoked_subcommand != "demo":
        enter(context)


for verbs in (bulk, look, act, ending, discard, demo, doctor, serve, scale):
    for verb in verbs.VERBS:
        app.command(context_settings=getattr(verbs, "CONTEXT_SETTINGS", {}).get(verb))(verb)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with one of :class:`deployments.cli.exits.ExitCode`."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    IN_DEMO.set(False)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without UTF-8 shows a mark instead of an error
    try:
        with sigterm_like_ctrl_c(), calm_collector():  # a short command does little else than import
            code = app(words, prog_name="onboard", standalone_mode=False)
    except BrokenPipeError:
        sys.stderr.close()  # `onboard links | head`: whoever read has seen enough
        sys.exit(0)
    except (Exception, KeyboardInterrupt) as error:
        sys.exit(end(error, as_json="--json" in words))
    sys.exit(code if isinstance(code, int) else 0)
