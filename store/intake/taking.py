"""What the parts of an intake share: its tally, a row with what it means, and what is the same for the whole list."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from states.stage import Stage
from store.catalogue import AmbiguousIntegration, Catalogue, CatalogueEntry, UnknownIntegration, fold
from store.intake.changes import Circumstances, Known, TooLate
from store.lists.rows import CustomerRow, Fault
from store.vault import Vault

KEPT = 1_000
"""Of the rows of a long list that are named one by one; all are counted."""


@dataclass(slots=True)
class Intake:
    """What became of a list's rows."""

    batch_id: int = 0
    rows_before: int = 0
    """So many of the list's rows were in already, from an intake that had not come to the end."""
    added: int = 0
    unchanged: int = 0
    updated: int = 0
    repeated: int = 0
    """Rows that said what an earlier row of the list had said."""
    elsewhere: int = 0
    """Rows whose onboarding another batch brought; it stays there."""
    elsewhere_usernames: list[str] = field(default_factory=list)
    refused: list[Fault] = field(default_factory=list)
    """The first :data:`KEPT` of the rows that were not applied, and why."""
    refused_count: int = 0

    def refuse(self, fault: Fault) -> None:
        """Count a row as refused."""
        self.refused_count += 1
        if len(self.refused) < KEPT:
            self.refused.append(fault)

    def add(self, other: "Intake") -> None:
        """Count what became of more rows."""
        self.added += other.added
        self.unchanged += other.unchanged
        self.updated += other.updated
        self.repeated += other.repeated
        self.elsewhere += other.elsewhere
        self.elsewhere_usernames += other.elsewhere_usernames[: KEPT - len(self.elsewhere_usernames)]
        self.refused_count += other.refused_count
        self.refused += other.refused[: KEPT - len(self.refused)]

    def too_late(self, row: CustomerRow, late: TooLate) -> None:
        """Count a row as refused since its record is past what the row changes."""
        self.refuse(Fault(row.line, late.column, late.fault, late.remedy))

    def leave_elsewhere(self, username: str) -> None:
        """Count a row whose onboarding belongs to another batch."""
        self.elsewhere += 1
        if len(self.elsewhere_usernames) < KEPT:
            self.elsewhere_usernames.append(username)


@dataclass(frozen=True, slots=True)
class Taking:
    """What stays the same over the rows of a list."""

    catalogue: Catalogue | None
    source: str
    around: Circumstances
    intake: Intake
    due_at: datetime | None
    """When what is added may be claimed; None while it is held back."""

    def history(self, onboarding_id: int, stage: Stage, sentence: str) -> dict[str, object]:
        """Return a row of the history of ``onboarding_id``."""
        return {
            "onboarding_id": onboarding_id,
            "at": self.around.now,
            "stage": stage,
            "sentence": sentence,
            "worker": "",
        }


@dataclass(frozen=True, slots=True)
class Asked:
    """A row, and the integration and app that it means as far as the catalogue tells."""

    row: CustomerRow
    entry: CatalogueEntry | None = None
    app: str | None = None

    @property
    def key(self) -> str:
        """What makes the onboarding unique for its customer."""
        return self.entry.integration_id if self.entry is not None else fold(self.row.integration)

    def means(self, known: Known) -> bool:
        """Tell whether ``known`` is the onboarding that the row asks for, whichever name it was taken in by."""
        return known.integration_key == self.key or fold(known.integration) == fold(self.row.integration)


def ask(row: CustomerRow, taking: Taking) -> Asked | None:
    """Find out what ``row`` means; None, and the row is refused, if the catalogue does not know or several fit."""
    if taking.catalogue is None:
        return Asked(row)
    try:
        entry = taking.catalogue.resolve(row.integration)
    except (UnknownIntegration, AmbiguousIntegration) as fault:
        taking.intake.refuse(Fault(row.line, "integration", str(fault), "name it by its id"))
        return None
    app = taking.catalogue.app_of(entry)
    return Asked(row, entry, app.app if app is not None else None)


def sealed_rows(onboarding_id: int, auth: Mapping[str, str], vault: Vault) -> list[dict[str, object]]:
    """Return the rows that keep ``auth`` for an onboarding."""
    return [{"onboarding_id": onboarding_id, "name": name, "sealed": vault.seal(value)} for name, value in auth.items()]
