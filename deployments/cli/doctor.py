"""What is wrong with the set-up, and how to mend it: one check for each thing that a run depends on."""

import asyncio
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import typer

from deployments.cli.exits import ExitCode, Refused, as_refused
from deployments.cli.opening import open_database, read_settings
from deployments.cli.options import Json
from deployments.cli.report import print_json
from deployments.cli.terminal import folded, styled
from deployments.cli.wording import in_this_shell

if TYPE_CHECKING:
    from flows.settings import Settings

_ANY_APP = "slack"
_ALERTS_SECONDS = 15


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    check: str
    ok: bool
    finding: str
    remedy: str = ""


def doctor(as_json: Json = False) -> None:
    """Find out what is wrong with the set-up.

    Checks settings, database, secret key, API key, host, Prefect and its alerts, and says how to mend what is wrong.
    """
    findings = []
    for finding in _findings():
        findings.append(finding)
        if not as_json:
            _print(finding)
    fine = all(finding.ok for finding in findings)
    if as_json:
        print_json({"ok": fine, "checks": [asdict(finding) for finding in findings]})
    raise typer.Exit(ExitCode.fine if fine else ExitCode.cannot_start)


def _findings() -> Iterator[Finding]:
    try:
        settings = read_settings()
    except Refused as wrong:
        for fault in wrong.faults:
            yield Finding("settings", ok=False, finding=f"{fault.column}: {fault.fault}", remedy=fault.remedy)
        if not wrong.faults:
            yield Finding("settings", ok=False, finding=wrong.message, remedy="mend the file or take it away")
        return
    yield Finding("settings", ok=True, finding=f"read; the home is {settings.onboard_home}")
    for name, check, remedy in (
        ("database", _database, "check ONBOARD_DATABASE_URL, and that its place can be written to"),
        ("secret key", _secret_key, "check ONBOARD_SECRET_KEY, or the key file in the home"),
        ("sealed values", _sealed_values, "restore the key that sealed them, or give the values again"),
        ("Alloy", _alloy, "check ALLOY_API_KEY, ALLOY_BASE_URL and ALLOY_API_VERSION"),
        ("Prefect", _prefect, "check PREFECT_API_URL, or unset it to use a local server"),
        ("alerts", _alerts, "`onboard up` installs them, or `onboard deploy` for several machines"),
    ):
        try:
            yield Finding(name, ok=True, finding=check(settings))
        except Exception as error:  # whatever it is, it is what the check was to find out
            yield Finding(name, ok=False, finding=as_refused(error).message, remedy=remedy)
            if name == "Prefect":
                return  # nobody can be asked about alerts


def _database(settings: "Settings") -> str:
    from sqlalchemy import text

    from store.engine import writing
    from store.standing import standing

    with open_database(settings) as engine:
        number = standing(engine).total
        with writing(engine) as connection:
            connection.execute(text("CREATE TABLE onboard_doctor (written INTEGER)"))
            connection.rollback()
        where = engine.url.database if engine.dialect.name == "sqlite" else engine.url.render_as_string()
    return f"{where} can be read and written to; {number:,} onboardings"


def _secret_key(settings: "Settings") -> str:
    from store.vault import Vault

    vault = Vault.open(settings.onboard_secret_key, settings.onboard_home)
    if vault.open_value(vault.seal("a")).get_secret_value() != "a":
        raise Refused(ExitCode.cannot_start, "secret_key", "what is sealed cannot be opened again")
    return "from ONBOARD_SECRET_KEY" if settings.onboard_secret_key else "from the key file in the home; back it up"


def _sealed_values(settings: "Settings") -> str:
    from store.sealed_values import try_to_open
    from store.vault import Vault

    vault = Vault.open(settings.onboard_secret_key, settings.onboard_home)
    with open_database(settings) as engine:
        tried = try_to_open(engine, vault)
    if tried.lost:
        message = f"{tried.lost:,} of {tried.number:,} that were tried cannot be opened with this key"
        raise Refused(ExitCode.cannot_start, "sealed_values", message)
    if tried.older:
        return f"{tried.number:,} were tried, and {tried.older:,} need a key behind the first: keep it for now"
    return f"{tried.number:,} were tried, and the first key opens them" if tried.number else "there are none"


def _alloy(settings: "Settings") -> str:
    return asyncio.run(_ask_alloy(settings))


async def _ask_alloy(settings: "Settings") -> str:
    from flows.alloy.client import AlloyClient

    if settings.alloy_api_key is None:
        raise Refused(ExitCode.cannot_start, "no_api_key", "ALLOY_API_KEY is not set")
    async with AlloyClient.open(
        base_url=settings.alloy_base_url,
        api_key=settings.alloy_api_key,
        dialect=settings.alloy_api_version,
        deadline=15,
    ) as alloy:
        # Cheap, and if the app is known it proves key and host; otherwise only the list of users tells.
        if await alloy.credential_metadata(_ANY_APP) is None:
            await alloy.some_user()
    return f"{settings.alloy_base_url} answers to this key, dialect {settings.alloy_api_version}"


def _prefect(settings: "Settings") -> str:
    from deployments.prefect_server.environment import configured_api_url
    from deployments.prefect_server.process import running_server
    from store.private_folder import make_private

    url = configured_api_url()
    if url is not None:
        _ask_health(url)
        return f"{url} answers"
    folder = settings.onboard_home.resolve() / "prefect"
    make_private(folder)
    record = running_server(folder)
    if record is not None:
        _ask_health(record.api_url)
        return f"a local server runs at {record.url}"
    if not os.access(folder, os.W_OK):
        raise Refused(ExitCode.cannot_start, "prefect", f"{folder} cannot be written to")
    _bind_a_port()
    return "no server runs; the first command that needs one starts it"


def _ask_health(url: str) -> None:
    import urllib.request

    if not url.startswith(("http://", "https://")):
        raise Refused(ExitCode.cannot_start, "prefect", f"{url} is no address of a Prefect API")
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/health", timeout=10) as answer:  # noqa: S310 - checked above
            answer.read()
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise Refused(ExitCode.cannot_start, "prefect", f"{url} does not answer: {reason}") from None


def _alerts(settings: "Settings") -> str:
    """Ask the Prefect that is there; none is started for it."""
    from deployments.prefect_server.environment import client_environment, configured_api_url, prefect_environment
    from deployments.prefect_server.process import running_server

    environment = client_environment()
    if configured_api_url() is None:
        folder = settings.onboard_home.resolve() / "prefect"
        record = running_server(folder)
        if record is None:
            return "no server runs that could be asked"
        environment = client_environment(folder, record.api_url)
    with prefect_environment(environment):
        return asyncio.run(_ask_for_alerts(settings))


async def _ask_for_alerts(settings: "Settings") -> str:
    from deployments.alerts import missing
    from deployments.registering import registered
    from deployments.schedules import NOTE_ALERT

    try:
        async with asyncio.timeout(_ALERTS_SECONDS):
            not_there = await missing(settings)
            is_set_up = await registered(NOTE_ALERT) is not None
    except TimeoutError:
        raise Refused(ExitCode.cannot_start, "prefect", f"no answer within {_ALERTS_SECONDS} seconds") from None
    if not is_set_up:
        return "none yet: `onboard up` or `onboard deploy` installs them with the schedules"
    if not_there:
        raise Refused(ExitCode.cannot_start, "alerts", f"not installed: {', '.join(not_there)}")
    return "all installed"


def _bind_a_port() -> None:
    import socket

    with socket.socket() as candidate:
        candidate.bind(("127.0.0.1", 0))


def _print(finding: Finding) -> None:
    mark = styled("ok  ", colour="green") if finding.ok else styled("fail", colour="red", bold=True)
    first, *rest = folded(in_this_shell(f"{finding.check}: {finding.finding}"), 6)
    typer.echo(f"{mark}  {first.strip()}")
    for line in rest:
        typer.echo(line)
    if finding.remedy:
        for line in folded(in_this_shell(f"→ {finding.remedy}"), 6):
            typer.echo(line)


VERBS: tuple[Callable[..., Any], ...] = (doctor,)
