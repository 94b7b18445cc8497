"""Taking a list in, before Prefect is even imported: a faulty list costs a second, not a server's start.

A long list takes minutes. Ctrl-C in the middle lets the rows at hand get in, and says how to go on or to take them out.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from deployments.cli.exits import ExitCode, Fault, Refused, line_of
from deployments.cli.half_in import how_far, remedies
from deployments.cli.intake_progress import shown_intake
from deployments.cli.opening import open_database
from deployments.cli.rejected_rows import write_rejected
from deployments.cli.wording import command, count, printable

if TYPE_CHECKING:
    from flows.receive import ListRefused, Received
    from flows.resources import Resources
    from flows.settings import Settings
    from store.lists.rows import Fault as RowFault

LONGEST_BATCH_NAME = 200
_NAMED = 20
_SHOWN_FAULTS = 10_000
"""Nobody corrects more by hand, and a million of them would only fill memory; all are counted."""


@dataclass(frozen=True, slots=True)
class Handed:
    """A list as the command line handed it in."""

    path: Path
    batch: str
    mapping: Path | None = None
    accept_valid: bool = False
    rejected: Path | None = None


@dataclass(slots=True)
class Taken:
    """What became of a list: what to say of it, and how many calls it took to check it."""

    calls: int = 0
    notes: list[str] = field(default_factory=list)

    def announce(self) -> None:
        """Say on standard error what was taken in, and where the rest went."""
        for note in self.notes:
            typer.echo(printable(note), err=True)


def take_in(settings: "Settings", handed: Handed) -> Taken:
    """Check the list and take it in; interrupted, say how far it came and what can be done, and exit.

    Raises :class:`Refused` with every fault; not one row is taken in then.
    """
    try:
        return asyncio.run(_take_in(settings, handed))
    except (KeyboardInterrupt, asyncio.CancelledError):
        _say_how_far(settings, handed.batch)
        raise typer.Exit(ExitCode.interrupted) from None


async def _take_in(settings: "Settings", handed: Handed) -> Taken:
    from flows.receive import ListRefused, receive_list
    from flows.resources import open_resources

    if not 1 <= len(handed.batch) <= LONGEST_BATCH_NAME:
        raise Refused(ExitCode.bad_input, "usage", f"a batch's name has 1 to {LONGEST_BATCH_NAME} characters")
    async with open_resources(settings) as resources:
        try:
            with shown_intake() as show:
                received = await receive_list(
                    resources,
                    handed.path,
                    handed.batch,
                    mapping=handed.mapping,
                    accept_valid=handed.accept_valid,
                    watch=show,
                )
        except ListRefused as refusal:
            raise await _refused(resources, handed, refusal) from None
        await resources.in_thread(_count_calls, resources, received.intake.batch_id)
        notes = _notes(handed, received)
        if received.check.fault_count:
            file = await resources.in_thread(_write_rejected, resources, handed)
            notes.append(f"The faulty rows are in {file}: correct them there and run that file into the same batch")
        return Taken(resources.alloy.calls, notes)


def _say_how_far(settings: "Settings", batch: str) -> None:
    from store.intake.unfinished import unfinished

    with open_database(settings) as engine:
        found = [one for one in unfinished(engine) if one.batch == batch]
    if not found:
        typer.echo("interrupted; no list is left half in", err=True)
        return
    [half_in] = found
    typer.echo(f"interrupted; {how_far(half_in)} are in, and nobody works on them yet", err=True)
    typer.echo("to take in the rest, or to take out what is in:", err=True)
    for remedy in remedies(half_in):
        typer.echo(f"  → {command(remedy)}", err=True)


def _count_calls(resources: "Resources", batch_id: int) -> None:
    """Let ``status`` count what checking the list has cost, as ``run`` does."""
    from store.records import Scope
    from store.runs import begin_run, update_run

    now = resources.clock.now()
    run_id = begin_run(resources.engine, Scope(batch_id=batch_id), now, worker=resources.worker)
    update_run(resources.engine, run_id, now, calls=resources.alloy.calls, seconds=0.0, ended=True)


async def _refused(resources: "Resources", handed: Handed, refusal: "ListRefused") -> Refused:
    if refusal.sentence:
        return Refused(
            ExitCode.bad_input,
            "list_in_the_way" if not refusal.faults else "list_changed",
            refusal.sentence,
            [_fault(one) for one in refusal.faults],
            handed.path.name,
        )
    of_mapping = refusal.__cause__ is not None and handed.mapping is not None
    faults: Iterable[RowFault] = refusal.faults
    if refusal.count > len(refusal.faults):
        faults = await resources.in_thread(_further_faults, resources, handed)
    return Refused(
        ExitCode.bad_input,
        "bad_mapping" if of_mapping else "bad_list",
        f"{count(refusal.count, 'fault')} in {handed.mapping if of_mapping else handed.path}; nothing was taken in",
        [_fault(one) for one in faults],
        (handed.mapping if of_mapping and handed.mapping else handed.path).name,
    )


def _further_faults(resources: "Resources", handed: Handed) -> "list[RowFault]":
    from store.lists.check import check_rows, read_rows
    from store.lists.rows import Fault as RowFault

    checked = check_rows(read_rows(handed.path), resources.catalogue, resources.engine)
    return list(islice((item for item in checked if isinstance(item, RowFault)), _SHOWN_FAULTS))


def _write_rejected(resources: "Resources", handed: Handed) -> Path:
    from store.lists.check import check_rows, read_rows

    checked = check_rows(read_rows(handed.path), resources.catalogue, resources.engine)
    return write_rejected(handed.path, checked, handed.rejected)


def _notes(handed: Handed, received: "Received") -> list[str]:
    intake, check, name = received.intake, received.check, handed.path.name
    parts = [
        f"{number:,} {words}"
        for number, words in (
            (intake.added, "taken in"),
            (intake.updated, "changed"),
            (intake.unchanged, "known already"),
            (intake.repeated, "repeated"),
            (check.bad_lines, "left out as faulty"),
        )
        if number
    ]
    notes = [f"{name}, batch {handed.batch}: {', '.join(parts) or 'no row to take in'}"]
    if intake.rows_before:
        notes.append(f"continued: {intake.rows_before:,} of {check.rows:,} rows were there")
    notes += [line_of(_fault(one), name) for one in check.faults]
    if intake.refused_count:
        notes.append(f"{count(intake.refused_count, 'row')} came too late to change anything:")
        notes += [line_of(_fault(one), name) for one in intake.refused]
    if intake.elsewhere:
        named = ", ".join(intake.elsewhere_usernames[:_NAMED])
        more = f" and {intake.elsewhere - _NAMED:,} more" if intake.elsewhere > _NAMED else ""
        notes.append(f"{count(intake.elsewhere, 'row')} stay in the batch that brought them: {named}{more}")
    return notes


def _fault(one: "RowFault") -> Fault:
    return Fault(one.line, one.column, one.fault, one.remedy)
