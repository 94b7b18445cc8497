"""How a command ends: the exit codes, and the one place where a failure is turned into words and a code.

::

    0    nobody at the operator's desk is needed
    1    some records need an operator
    2    bad input or usage; nothing was taken in
    3    the configuration, the key or the host must be mended first
    70   a fault of this program; the log file has the details
    130  interrupted

No failure is shown as a traceback: it would hide the one sentence that helps, and may carry values that are secret.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import IntEnum
from pathlib import Path

import typer

from deployments.cli.wording import in_this_shell, printable


class ExitCode(IntEnum):
    """What a script that calls the command may rely on."""

    fine = 0
    operator_needed = 1
    bad_input = 2
    cannot_start = 3
    unexpected = 70
    interrupted = 130


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with the input. Line 0 is the input as a whole, column "" the whole line."""

    line: int
    column: str
    fault: str
    remedy: str


class Refused(Exception):
    """A command will not go on: a code for programs, a sentence for people, and what exactly is wrong."""

    def __init__(
        self,
        exit_code: ExitCode,
        error: str,
        message: str,
        faults: Sequence[Fault] = (),
        source: str = "",
    ) -> None:
        super().__init__(exit_code, error, message)
        self.exit_code = exit_code
        self.error = error
        self.message = message
        self.faults = tuple(faults)
        self.source = source
        """What the faults' lines are lines of."""


# By name, since importing these to compare with them would take longer than most commands run.
_KNOWN: dict[str, tuple[ExitCode, str]] = {
    "store.finding.NotFound": (ExitCode.bad_input, "not_found"),
    "flows.receive.ListRefused": (ExitCode.bad_input, "bad_list"),
    "store.lists.mapping_file.MappingRefused": (ExitCode.bad_input, "bad_mapping"),
    "states.failures.Halted": (ExitCode.cannot_start, "halted"),
    "states.failures.Failure": (ExitCode.cannot_start, "alloy"),
    "store.engine.DatabaseUrlError": (ExitCode.cannot_start, "database"),
    "store.engine.DatabaseTooNew": (ExitCode.cannot_start, "database"),
    "sqlalchemy.exc.OperationalError": (ExitCode.cannot_start, "database"),
    "sqlite3.OperationalError": (ExitCode.cannot_start, "database"),
    "psycopg.OperationalError": (ExitCode.cannot_start, "database"),
    "store.vault.VaultKeyError": (ExitCode.cannot_start, "secret_key"),
    "deployments.prefect_server.process.PrefectUnavailable": (ExitCode.cannot_start, "prefect"),
    "deployments.registering.RunByAPool": (ExitCode.cannot_start, "pool"),
    "deployments.alerts.NoBlock": (ExitCode.cannot_start, "alerts"),
    "deployments.pool.NoPool": (ExitCode.cannot_start, "pool"),
    "deployments.pool.NotOurPool": (ExitCode.cannot_start, "pool"),
    "prefect.exceptions.PrefectHTTPStatusError": (ExitCode.cannot_start, "prefect"),
}

_USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]
"""What Typer raises for every kind of wrong usage; the class has no public name."""


def end(error: BaseException, *, as_json: bool) -> ExitCode:
    """Say why a command ended with ``error``, on the standard streams; return the exit code."""
    if isinstance(error, KeyboardInterrupt):
        typer.echo("interrupted", err=True)
        return ExitCode.interrupted
    if isinstance(error, _USAGE_ERROR) and hasattr(error, "format_message"):
        error.show()  # type: ignore[attr-defined]  # Typer's own class, see above
        refused = Refused(ExitCode.bad_input, "usage", error.format_message())
    elif isinstance(error, typer.Abort):
        refused = Refused(ExitCode.bad_input, "not_confirmed", "not confirmed, nothing was done; --yes confirms")
        _say(refused)
    else:
        refused = as_refused(error)
        _say(refused)
    if as_json and refused.exit_code in (ExitCode.bad_input, ExitCode.cannot_start):
        typer.echo(json.dumps(_as_object(refused), ensure_ascii=False))
    return refused.exit_code


def as_refused(error: BaseException) -> Refused:
    """Return the refusal that ``error`` amounts to; for one that nobody expected, its details go to a log file."""
    if isinstance(error, Refused):
        return error
    for kind in type(error).__mro__:
        known = _KNOWN.get(f"{kind.__module__}.{kind.__qualname__}")
        if known is not None:
            exit_code, code = known
            faults = [Fault(one.line, one.column, one.fault, one.remedy) for one in getattr(error, "faults", ())]
            return Refused(exit_code, code, _sentence(error), faults)
    from store.faults_log import write_down

    log = write_down(error, Path(os.environ.get("ONBOARD_HOME") or ".onboard"))
    return Refused(
        ExitCode.unexpected,
        "unexpected",
        f"a fault of this program ({type(error).__name__}); nothing is lost, and running it again goes on. See {log}",
    )


_AWAY = frozenset({"sqlalchemy.exc.OperationalError", "sqlite3.OperationalError", "psycopg.OperationalError"})


def database_is_away(error: Exception) -> str | None:
    """Return why the database did not answer, if ``error`` says no more than that: it may do so again in a moment."""
    if isinstance(error, Refused):
        return error.message if error.error == "database" else None
    kinds = {f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__}
    return f"the database does not answer: {_sentence(error)}" if kinds & _AWAY else None


def _sentence(error: BaseException) -> str:
    # SQLAlchemy's own text repeats the statement; the driver's says what is wrong.
    text = str(getattr(error, "orig", None) or error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def _say(refused: Refused) -> None:
    for fault in refused.faults:
        typer.echo(line_of(fault, refused.source), err=True)
    typer.echo(f"error: {printable(in_this_shell(refused.message))}", err=True)


def line_of(fault: Fault, source: str) -> str:
    """Return a fault in one line, as compilers write them."""
    where = ":".join(part for part in (source, str(fault.line) if fault.line else "") if part)
    place = " ".join(
        part for part in (f"{where}:" if where else "", f"{fault.column}:" if fault.column else "") if part
    )
    remedy = f" -> {fault.remedy}" if fault.remedy else ""
    return printable(in_this_shell(f"{place} {fault.fault}{remedy}".strip()))


def _as_object(refused: Refused) -> dict[str, object]:
    return {"error": refused.error, "message": refused.message, "faults": [asdict(fault) for fault in refused.faults]}
