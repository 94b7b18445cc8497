"""Taking a list in: checked against itself and against the account's catalogue, then written, or refused as a whole.

Knows nothing of Prefect, so that a bad list is refused before Prefect is imported.
"""

from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from flows.catalogue import find_app, read_integrations
from flows.resources import Resources
from states.failures import Failure, Rejected
from states.forms import Given
from store.catalogue import AmbiguousIntegration, UnknownIntegration
from store.intake.take_in import take_in
from store.intake.taking import Intake
from store.lists.check import ListCheck, check_list, check_rows, read_rows
from store.lists.mapping_file import MappingRefused, read_mapping
from store.lists.rows import CustomerRow, Fault, RawRow, build_row
from store.views import some_alloy_user

SINGLE = "one by one"
"""The batch of customers who came without a list."""


_DESCRIBED = 10


class ListRefused(ValueError):
    """The list has faults, and nothing of it was taken in. ``faults`` are the first of ``count``."""

    def __init__(self, faults: list[Fault], count: int) -> None:
        super().__init__(faults, count)
        self.faults = faults
        self.count = count

    def __str__(self) -> str:
        faults = "1 fault" if self.count == 1 else f"{self.count} faults"
        return f"the list has {faults}; nothing was taken in"

    def describe(self) -> str:
        """Say what is wrong in a few lines, for whoever started a run from Prefect's pages."""
        lines = [f"line {one.line}, {one.column}: {one.fault}; {one.remedy}" for one in self.faults[:_DESCRIBED]]
        return "\n".join([f"{self}:", *lines])


@dataclass(frozen=True, slots=True)
class Received:
    """A list that was taken in; ``check`` holds the faults of the rows that were left out, if that was allowed."""

    intake: Intake
    check: ListCheck


async def receive_list(
    resources: Resources, path: Path, batch: str, *, mapping: Path | None = None, accept_valid: bool = False
) -> Received:
    """Check the list at ``path`` and take it into ``batch``; with ``accept_valid`` without its faulty rows.

    Raises :class:`ListRefused` with every fault, or the failure that kept us from reading Alloy's catalogue.
    """
    templates = _templates(mapping)
    failure = await _try_to_read_catalogue(resources, path)
    check = await resources.in_thread(check_list, path, resources.catalogue, resources.engine)
    if check.fault_count and not (accept_valid and check.rows):
        raise ListRefused(check.faults, check.fault_count)
    if failure is not None:
        raise failure
    read = read_rows(path)
    # Checking them again only tells the bad rows and the repeated ones.
    checked = check_rows(read, resources.catalogue, resources.engine) if check.fault_count or check.repeated else read
    intake = await resources.in_thread(
        take_in,
        resources.engine,
        batch,
        checked,
        source=path.name,
        templates=templates,
        catalogue=resources.catalogue,
        vault=resources.vault,
        now=resources.clock.now(),
        accept_valid=accept_valid,
    )
    return Received(intake, check)


async def receive_customer(resources: Resources, username: str, integration: str, full_name: str = "") -> Intake:
    """Take one customer in, without auth values. Raises :class:`ListRefused`."""
    columns: dict[str, JsonValue] = {"username": username, "full_name": full_name, "integration": integration}
    row = build_row(RawRow(0, columns), Path())
    if isinstance(row, list):
        raise ListRefused(row, len(row))
    await _read_catalogue(resources, {integration})
    checked = list(check_rows([row], resources.catalogue, resources.engine))
    faults = [one for one in checked if isinstance(one, Fault)]
    if faults:
        raise ListRefused(faults, len(faults))
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
        await _read_catalogue(resources, await resources.in_thread(_integrations_named, path))
    except Failure as failure:
        return failure
    return None


def _integrations_named(path: Path) -> set[str]:
    return {row.integration for row in read_rows(path) if isinstance(row, CustomerRow)}


async def _read_catalogue(resources: Resources, named: set[str]) -> None:
    """Read the integrations, and what the apps of those that are ``named`` ask for; nothing in an empty account."""
    if not await _read_on_behalf_of_somebody(resources):
        return
    for name in sorted(named):
        try:
            await find_app(resources, resources.catalogue.resolve(name))
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
    users = await resources.alloy.list_users()
    if not users:
        return False
    await read_integrations(resources, users[0].user_id)
    return True
