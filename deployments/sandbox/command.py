"""The sandbox as a process: one line with its URL when it is ready, a clean end on SIGINT and SIGTERM."""

import asyncio
import json
import signal
from pathlib import Path
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from deployments.sandbox.clock import Clock, ManualClock, SystemClock
from deployments.sandbox.faults import Fault
from deployments.sandbox.knobs import Knobs
from deployments.sandbox.server import Sandbox
from deployments.sandbox.settings import SandboxSettings


def serve(
    *,
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8017,
    host: Annotated[str, typer.Option(help="Loopback address to listen on.")] = "127.0.0.1",
    profile: Annotated[str, typer.Option(help="seed or strict.")] = "seed",
    latency_ms: Annotated[float, typer.Option(help="Delay of every call.")] = 0,
    auto: Annotated[str, typer.Option(help="What customers do with a link: ignore, grant or deny.")] = "ignore",
    auto_after_ms: Annotated[int, typer.Option(help="How long customers take.")] = 0,
    rate_limit: Annotated[float | None, typer.Option(help="Calls a second for each key.")] = None,
    knob: Annotated[list[str] | None, typer.Option(help="Any other knob: name=value, repeatable.")] = None,
    fault: Annotated[list[str] | None, typer.Option(help='JSON: {"kind": "drop_after", ...}, repeatable.')] = None,
    admin_token: Annotated[
        str | None, typer.Option(envvar="SANDBOX_ADMIN_TOKEN", help="Opens /_sandbox/ to who has it.")
    ] = None,
    dev_key: Annotated[str, typer.Option(help="Development key.")] = "sandbox-dev-key",
    prod_key: Annotated[str, typer.Option(help="Production key.")] = "sandbox-prod-key",
    state: Annotated[Path | None, typer.Option(help="File that remembers the account.")] = None,
    snapshot_every_ms: Annotated[int, typer.Option(help="How often the file is written; 0 before each answer.")] = 500,
    seed: Annotated[int, typer.Option(help="Of ids and of chance.")] = 0,
    manual_clock: Annotated[bool, typer.Option(help="Time stands still until told.")] = False,
) -> None:
    """Run the local Alloy: answers like the vendor, keeps its own ledger, fails on request."""
    named: dict[str, object] = {
        "profile": profile,
        "latency_ms": latency_ms,
        "auto": auto,
        "auto_after_ms": auto_after_ms,
        "rate_limit_per_s": rate_limit,
    }
    clock: Clock = ManualClock() if manual_clock else SystemClock()
    try:
        knobs = TypeAdapter(Knobs).validate_python(named | dict(map(_named_value, knob or [])))
        faults = [TypeAdapter(Fault).validate_json(text) for text in fault or []]
        settings = SandboxSettings(
            host=host,
            port=port,
            dev_key=dev_key,
            prod_key=prod_key,
            admin_token=admin_token,
            seed=seed,
            state_file=state,
            snapshot_every_ms=snapshot_every_ms,
            knobs=knobs,
            clock=clock,
        )
    except (ValidationError, ValueError) as error:
        raise typer.BadParameter(str(error)) from error
    asyncio.run(_serve(settings, faults))


async def _serve(settings: SandboxSettings, faults: list[Fault]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with Sandbox(settings) as sandbox:
        sandbox.faults.add(*faults)
        typer.echo(sandbox.url)
        await stop.wait()


def _named_value(text: str) -> tuple[str, object]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"A knob is name=value, not {text}")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
