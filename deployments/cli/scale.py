"""The verbs for several machines: the deployments in a work pool, and a worker that runs them on this machine."""

import asyncio
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deployments.cli.exits import ExitCode, Refused
from deployments.cli.opening import read_settings
from deployments.cli.wording import command, count
from deployments.pool import USUAL_POOL

if TYPE_CHECKING:
    from deployments.pool import Registered

PoolName = Annotated[str, typer.Option("--pool", help="The work pool's name.")]

_NO_SERVER = (
    "PREFECT_API_URL is not set: several machines share one Prefect server, so set it on each of them to that server's "
    "address, such as http://prefect.internal:4200/api. On one machine alone, `onboard up` is enough"
)
_LONGEST_WAIT_SECONDS = 10.0


def deploy(
    pool: PoolName = USUAL_POOL,
    runs: Annotated[
        int | None,
        typer.Option(
            "--runs",
            min=1,
            max=100,
            help="How many runs share the work at once: as many as there are workers.",
            show_default="as it is; 1 in the beginning",
        ),
    ] = None,
    start: Annotated[bool, typer.Option("--start", help="Start the runs now, not in five minutes at most.")] = False,
) -> None:
    """Have the flows run by a Prefect work pool.

    For several machines: registers the flows and their schedule with the server that PREFECT_API_URL names, and makes
    the work pool if it is not there. Again, it changes nothing but what is asked for; `onboard work` is the worker.
    """
    url = _prefects_address()
    registered = asyncio.run(_deploy(url, pool, runs, start=start))
    _tell(registered, url, started=start)


async def _deploy(url: str, pool: str, runs: int | None, *, start: bool) -> "Registered":
    from deployments.alerts import NoBlock, install
    from deployments.pool import register, start_runs
    from deployments.prefect_server import await_reachable

    await await_reachable(url, on_wait=_say, timeout=_LONGEST_WAIT_SECONDS)
    registered = await register(pool, runs)
    try:
        await install(read_settings())
    except NoBlock as missing:
        _say(f"no alerts: {missing}")
    if start:
        await start_runs(registered.pool.runs)
    return registered


def _tell(registered: "Registered", url: str, *, started: bool) -> None:
    name, runs = registered.pool.name, registered.pool.runs
    typer.echo(f"Prefect: {url}")
    typer.echo(f"work pool {name}: {'made' if registered.pool_made else 'was there'}")
    for full_name in registered.made:
        typer.echo(f"  {full_name}: made")
    for full_name in registered.kept:
        moved = f", was in the pool {registered.moved_from}" if registered.moved_from else ""
        typer.echo(f"  {full_name}: was there, is as it should be{moved}")
    share = ", and they share it" if runs > 1 else ""
    typer.echo(f"Every five minutes {count(runs, 'run goes', 'runs go')} on with whatever is due{share}.")
    if started:
        typer.echo(f"{count(runs, 'run waits', 'runs wait')} for a worker from now on.")
    typer.echo("Next:")
    pool_option = "" if name == USUAL_POOL else f" --pool {name}"
    for words, purpose in (
        (f"work{pool_option}", "on each machine: run what is due there, until Ctrl-C"),
        ("run customers.csv", "on any one: take a list in; it is worked on there, too"),
        (f"deploy{pool_option} --start", "do not wait for the five minutes"),
        *([] if runs > 1 else [(f"deploy{pool_option} --runs 4", "for four machines")]),
    ):
        typer.echo(f"  {command(words):<32}  {purpose}")


def work(
    pool: PoolName = USUAL_POOL,
    name: Annotated[
        str | None, typer.Option("--name", help="The worker's name.", show_default="made from the pool's")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Runs at once on this machine.")] = 1,
) -> None:
    """Run what is due on this machine, for a work pool.

    For several machines: a Prefect worker that has this folder's settings, .env included. Stays in the foreground;
    Ctrl-C ends it. `onboard deploy` makes the pool.
    """
    from deployments.prefect_server.environment import client_environment, prefect_environment
    from deployments.worker import work_for
    from flows.settings import not_shared

    settings = read_settings(with_key=True)
    # The folder is known here, so a database and a key file in it are good for all workers of this machine.
    settings.onboard_home = settings.onboard_home.absolute()
    if missing := settings.of_this_machine:
        raise Refused(ExitCode.cannot_start, "configuration", not_shared(missing))
    url = _prefects_address()
    os.environ.update({**settings.as_environment(), "ONBOARD_SHARED": "true"})  # runs start in a folder without .env
    with prefect_environment(client_environment()):
        asyncio.run(_expect(url, pool))
        work_for(pool, name=name, limit=limit, say=typer.echo)


async def _expect(url: str, pool: str) -> None:
    from deployments.pool import expect_pool
    from deployments.prefect_server import await_reachable

    await await_reachable(url, on_wait=_say)
    await expect_pool(pool)


def _prefects_address() -> str:
    from deployments.prefect_server.environment import configured_api_url

    url = configured_api_url()
    if url is None:
        raise Refused(ExitCode.cannot_start, "prefect", _NO_SERVER)
    return url


def _say(words: str) -> None:
    typer.echo(words, err=True)


VERBS: tuple[Callable[..., Any], ...] = (deploy, work)
