"""A customer list, CSV or JSONL, read row by row however long it is; every fault is named, not only the first.

A list is read twice: once to find everything that is wrong with it, and again to take it in.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Engine

from store.catalogue import AmbiguousIntegration, AppEntry, Catalogue, CatalogueEntry, UnknownIntegration, fold
from store.lists.csv_list import read_csv
from store.lists.json_list import read_jsonl
from store.lists.on_record import names_on_record
from store.lists.repeats import Seen, watching_repeats
from store.lists.rows import CustomerRow, Fault, RawRow, build_row
from store.lists.text_file import UnreadableFile, open_text

KEPT_FAULTS = 1_000
"""Of a list that is wrong from end to end more would only fill memory; all are counted."""

_TOLD_EVERY = 1_000

_READERS = {".csv": read_csv, ".tsv": read_csv, ".jsonl": read_jsonl, ".ndjson": read_jsonl}


@dataclass(frozen=True, slots=True)
class Repeated:
    """A row that says what an earlier one of the list said already: nothing is to be done for it."""

    line: int
    first_line: int


@dataclass(slots=True)
class ListCheck:
    """What came of checking a list; nothing of it may be taken in while there are faults."""

    rows: int = 0
    """How many rows are good."""
    repeated: int = 0
    faults: list[Fault] = field(default_factory=list)
    """The first :data:`KEPT_FAULTS`, in the order of the list."""
    fault_count: int = 0
    bad_lines: int = 0
    """How many lines have faults."""


def check_list(
    path: Path,
    catalogue: Catalogue | None = None,
    engine: Engine | None = None,
    *,
    references: bool = True,
    watch: Callable[[int], None] = lambda _rows: None,
) -> ListCheck:
    """Read the whole list and return everything that is wrong with it.

    With a ``catalogue`` integrations and auth properties are checked too; with an ``engine`` an auth value that a
    record holds already is not missed in its row. ``references`` are as in :func:`read_rows`. ``watch`` is told now and
    then how many rows were checked, and may raise to end it there.
    """
    check = ListCheck()
    last = -1
    for number, item in enumerate(check_rows(read_rows(path, references=references), catalogue, engine), start=1):
        if number % _TOLD_EVERY == 0:
            watch(number)
        if isinstance(item, CustomerRow):
            check.rows += 1
        elif isinstance(item, Repeated):
            check.repeated += 1
        else:
            check.fault_count += 1
            check.bad_lines += item.line != last
            last = item.line
            if len(check.faults) < KEPT_FAULTS:
                check.faults.append(item)
    return check


def read_rows(path: Path, *, references: bool = True) -> Iterator[CustomerRow | Fault]:
    """Yield the rows of a list and the faults of those that cannot be used, in the order of their lines.

    Without ``references`` it is a fault if an auth value refers to this machine's environment or files, which else
    would go to Alloy for whoever wrote the list.
    """
    folder = path.absolute().parent if references else None
    for item in read_raw_rows(path):
        if isinstance(item, Fault):
            yield item
            continue
        row = build_row(item, folder)
        if isinstance(row, CustomerRow):
            yield row
        else:
            yield from row


def read_raw_rows(path: Path) -> Iterator[RawRow | Fault]:
    """Yield the rows of a list as they came, and the faults of lines that are none."""
    read = _READERS.get(path.suffix.lower())
    if read is None:
        known = ", ".join(sorted(_READERS))
        yield Fault(0, "", f"{path.name} is no list that we can read", f"give it one of the endings {known}")
        return
    empty = True
    try:
        with open_text(path) as text:
            for item in read(text):
                empty = False
                yield item
    except UnreadableFile as unreadable:
        yield unreadable.fault
        return
    if empty:
        yield Fault(1, "", "there is a header and no row", "add the customers below it")


def check_rows(
    items: Iterable[CustomerRow | Fault], catalogue: Catalogue | None = None, engine: Engine | None = None
) -> Iterator[CustomerRow | Fault | Repeated]:
    """Check rows against the account's catalogue and against each other; pass on what is good, and every fault.

    An empty catalogue is none: then integrations are told apart by name, and settled when the first user exists.
    """
    if catalogue is not None and not catalogue.entries:
        catalogue = None
    with watching_repeats() as seen:
        for item in items:
            if isinstance(item, Fault):
                yield item
                continue
            key = fold(item.integration)
            faults: list[Fault] = []
            if catalogue is not None:
                entry = _resolve(item, catalogue)
                if isinstance(entry, Fault):
                    faults.append(entry)
                else:
                    key = entry.integration_id
                    faults += _auth_faults(item, entry, catalogue.app_of(entry), engine)
            if faults:
                yield from faults
            else:
                yield _against_earlier(item, key, seen)


def _resolve(row: CustomerRow, catalogue: Catalogue) -> CatalogueEntry | Fault:
    try:
        return catalogue.resolve(row.integration)
    except UnknownIntegration as unknown:
        names = unknown.suggestions or [entry.label or entry.integration_id for entry in catalogue.entries[:8]]
        return Fault(row.line, "integration", unknown.sentence, f"the account has {', '.join(names)}")
    except AmbiguousIntegration as ambiguous:
        return Fault(row.line, "integration", str(ambiguous), "name it by its id")


def _auth_faults(row: CustomerRow, entry: CatalogueEntry, app: AppEntry | None, engine: Engine | None) -> list[Fault]:
    if app is None:
        return []
    faults: list[Fault] = []
    asked = {fold(name): name for name in app.properties}
    for name in row.auth:
        if name in app.properties:
            continue
        near = asked.get(fold(name))
        known = ", ".join(f"auth.{one}" for one in app.properties) or "no auth value"
        remedy = f"did you mean auth.{near}?" if near else f"{app.app} asks for {known}"
        faults.append(Fault(row.line, f"auth.{name}", f"{app.app} does not ask for it", remedy))
    missing = [name for name in app.properties if name not in row.auth]
    if missing and engine is not None:
        held = names_on_record(engine, row.username, entry.integration_id, fold(row.integration))
        missing = [name for name in missing if name not in held]
    faults += [
        Fault(row.line, f"auth.{name}", f"is missing, and {app.app} asks for it", "fill it in") for name in missing
    ]
    return faults


def _against_earlier(row: CustomerRow, key: str, seen: Seen) -> CustomerRow | Fault | Repeated:
    named = seen.full_name(row)
    if named is not None and not named.agrees:
        return Fault(
            row.line,
            "full_name",
            f"is another one than on line {named.line} for the same username",
            "correct the one that is wrong",
        )
    before = seen.onboarding(row, key)
    if before is None:
        return row
    if before.agrees:
        return Repeated(row.line, before.line)
    return Fault(
        row.line,
        "",
        f"says something else about the same customer and integration than line {before.line}",
        "take one of the two out",
    )
