"""Taking a list in: checked against itself and against the account's catalogue, then written, or refused as a whole.

Knows nothing of Prefect, so that a bad list is refused before Prefect is imported. However long a list is, it is read
row by row: once for the integrations that it names, once to check it, once to take it in.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TypeVar

from pydantic import JsonValue

from flows.catalogue import find_app, read_integrations
from flows.garbage import calm_collector
from flows.resources import Resources
from states.failures import Failure, Rejected
from states.forms import Given
from store.catalogue import AmbiguousIntegration, AppEntry, Catalogue, UnknownIntegration, fold
from store.engine import reading
from store.intake.holding_back import IntakeDiscarded, ListInTheWay, refuse_other_list
from store.intake.take_in import ListRefused as RowRefused
from store.intake.take_in import take_in
from store.intake.taking import Intake
from store.lists.check import ListCheck, Repeated, check_list, check_rows, read_raw_rows, read_rows
from store.lists.mapping_file import MappingRefused, read_mapping
from store.lists.rows import CustomerRow, Fault, RawRow, build_row
from store.lists.text_file import digest_of
from store.views import some_alloy_user

T = TypeVar("T")

SINGLE = "one by one"
"""The batch of customers who came without a list."""

CHECKED = "checked"
TAKEN_IN = "taken in"

Watch = Callable[[str, int, int | None], None]
"""Is told what was done to how many rows (:data:`CHECKED`, :data:`TAKEN_IN`), and of how many if that is known."""

_DESCRIBED = 10


class ListRefused(ValueError):
    """The list has faults, and nothing of it was taken in. ``faults`` are the first of ``count``.

    Where it is not the list's own fault, ``sentence`` says what stands in its way.
    """

    def __init__(self, faults: list[Fault], count: int, sentence: str = "") -> None:
        super().__init__(faults, count)
        self.faults = faults
        self.count = count
        self.sentence = sentence

    def __str__(self) -> str:
        faults = "1 fault" if self.count == 1 else f"{self.count} faults"
        return self.sentence or f"the list has {faults}; nothing was taken in"

    def describe(self) -> str:
        """Say what is wrong in a few lines, for whoever started a run from Prefect's pages."""
        lines = _lines(self.faults)
        return "\n".join([f"{self}:", *lines]) if lines else str(self)


def describe_left_out(check: ListCheck) -> list[str]:
    """Say in a few lines which rows were left out as faulty; nothing if none was."""
    return [f"{check.bad_lines} faulty rows were left out:", *_lines(check.faults)] if check.bad_lines else []


def _lines(faults: Sequence[Fault]) -> list[str]:
    return [f"line {one.line}, {one.column}: {one.fault}; {one.remedy}" for one in faults[:_DESCRIBED]]


@dataclass(frozen=True, slots=True)
class Received:
    """A list that was taken in; ``check`` holds the faults of the rows that were left out, if that was allowed."""

    intake: Intake
    check: ListCheck


async def receive_list(
    resources: Resources,
    path: Path,
    batch: str,
    *,
    mapping: Path | None = None,
    accept_valid: bool = False,
    references: bool = True,
    watch: Watch = lambda _done, _rows, _of: None,
) -> Received:
    """Check the list at ``path`` and take it into ``batch``; with ``accept_valid`` without its faulty rows.

    Without ``references`` its auth values may not refer to this machine's environment and files.

    Cancelled, it comes to the end of the chunk at hand; the same list goes on from there. Raises :class:`ListRefused`
    with every fault, or the failure that kept us from reading Alloy's catalogue.
    """
    templates = _templates(mapping)
    fingerprint = resources.vault.fingerprint({"list": await resources.in_thread(digest_of, path)})
    with _as_refusal():
        await resources.in_thread(_refuse_other_list, resources, batch, fingerprint)
    failure = await _try_to_read_catalogue(resources, path)
    stop = Event()
    check = await _to_the_next_stop(
        resources,
        stop,
        check_list,
        path,
        resources.catalogue,
        resources.engine,
        references=references,
        watch=lambda rows: _tell(stop, watch, CHECKED, rows, None),
    )
    if check.fault_count and not (accept_valid and check.rows):
        raise ListRefused(check.faults, check.fault_count)
    if failure is not None:
        raise failure
    with _as_refusal():
        intake = await _to_the_next_stop(
            resources,
            stop,
            take_in,
            resources.engine,
            batch,
            _unchanged_rows(resources, path, check, fingerprint, references=references),
            source=path.name,
            templates=templates,
            catalogue=resources.catalogue,
            vault=resources.vault,
            now=resources.clock.now(),
            accept_valid=accept_valid,
            fingerprint=fingerprint,
            rows_in_list=check.rows,
            watch=lambda rows: _tell(stop, watch, TAKEN_IN, rows, check.rows),
        )
    return Received(intake, check)


async def receive_customer(resources: Resources, username: str, integration: str, full_name: str = "") -> Intake:
    """Take one customer in, without auth values. Raises :class:`ListRefused`."""
    columns: dict[str, JsonValue] = {"username": username, "full_name": full_name, "integration": integration}
    row = build_row(RawRow(0, columns), Path())
    if isinstance(row, list):
        raise ListRefused(row, len(row))
    await _read_catalogue(resources, lambda _known: {integration})
    checked = await resources.in_thread(lambda: list(check_rows([row], resources.catalogue, resources.engine)))
    faults = [one for one in checked if isinstance(one, Fault)]
    if faults:
        raise ListRefused(faults, len(faults))
    with _as_refusal():
        return await resources.in_thread(
            take_in,
            resources.engine,
            SINGLE,
            checked,
            source="",
            templates=None,
            catalogue=resources.catalogue,
            vault=resources.vault,
            now=resources.clock.now(),
        )


class _Stopped(Exception):
    """The thread was asked to stop, and is at a place where it can."""


async def _to_the_next_stop(
    resources: Resources, stop: Event, work: Callable[..., T], *args: object, **named: object
) -> T:
    """Run long work in a thread. Cancelled, it comes to where it looks for ``stop``, and is not cut off before."""
    with calm_collector():
        running = asyncio.ensure_future(resources.in_thread(work, *args, **named))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            stop.set()
            with suppress(_Stopped):
                await running
            raise


def _tell(stop: Event, watch: Watch, done: str, rows: int, of: int | None) -> None:
    if stop.is_set():
        raise _Stopped
    watch(done, rows, of)


@contextmanager
def _as_refusal() -> Iterator[None]:
    """Turn what the store refuses into a refusal of the list."""
    try:
        yield
    except (ListInTheWay, IntakeDiscarded) as in_the_way:
        raise ListRefused([], 0, str(in_the_way)) from None
    except RowRefused as refused:
        sentence = "the list has changed since it was checked; what was taken in of it is held back"
        raise ListRefused([refused.fault], 1, sentence) from None


def _refuse_other_list(resources: Resources, batch: str, fingerprint: str) -> None:
    with reading(resources.engine) as connection:
        refuse_other_list(connection, batch, fingerprint)


def _unchanged_rows(
    resources: Resources, path: Path, check: ListCheck, fingerprint: str, *, references: bool
) -> Iterator[CustomerRow | Fault | Repeated]:
    """Yield the rows once more; a fault at the end if the file is not what it was when it was first looked at."""
    read = read_rows(path, references=references)
    # Checking them again only tells the bad rows and the repeated ones.
    yield from check_rows(read, resources.catalogue, resources.engine) if check.fault_count or check.repeated else read
    if resources.vault.fingerprint({"list": digest_of(path)}) != fingerprint:
        raise RowRefused(
            Fault(0, "", "the file was written to while it was being taken in", "let it be, and run it again")
        )


def _templates(mapping: Path | None) -> list[Given] | None:
    if mapping is None:
        return None
    try:
        return read_mapping(mapping)
    except MappingRefused as refused:
        raise ListRefused(refused.faults, len(refused.faults)) from refused


async def _try_to_read_catalogue(resources: Resources, path: Path) -> Failure | None:
    """Read the catalogue; a failure is returned, since the list's own faults are worth telling even without it."""
    try:
        await _read_catalogue(resources, lambda known: _integrations_named(path, known))
    except Failure as failure:
        return failure
    return None


def _integrations_named(path: Path, catalogue: Catalogue) -> set[str]:
    """Return which of the account's integrations a list names, as it names them; what is unknown is not kept."""
    known = {name for entry in catalogue.entries for name in entry.names}
    named: set[str] = set()
    for row in read_raw_rows(path):
        name = row.cells.get("integration") if isinstance(row, RawRow) else None
        if isinstance(name, str) and name not in named and fold(name) in known:
            named.add(name)
    return named


async def _read_catalogue(resources: Resources, named: Callable[[Catalogue], set[str]]) -> None:
    """Read the integrations, and what the apps of those that are ``named`` ask for; nothing in an empty account."""
    if not await _read_on_behalf_of_somebody(resources):
        return
    read: set[AppEntry] = set()
    for name in sorted(await resources.in_thread(named, resources.catalogue)):
        try:
            entry = resources.catalogue.resolve(name)
            if resources.catalogue.app_of(entry) not in read:  # two integrations may well have one app
                read.add(await find_app(resources, entry, anew=True))
        except (UnknownIntegration, AmbiguousIntegration, Rejected):
            continue  # told with its line, by the check


async def _read_on_behalf_of_somebody(resources: Resources) -> bool:
    known = await resources.in_thread(some_alloy_user, resources.engine)
    if known is not None:
        try:
            await read_integrations(resources, known)
        except Rejected:
            pass  # that user was deleted at Alloy since
        else:
            return True
    there = await resources.alloy.some_user()
    if there is None:
        return False
    await read_integrations(resources, there.user_id)
    return True
