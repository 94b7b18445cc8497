"""What a claim hands to a worker: plain records, read once, with all that their next step needs to know.

Not ORM objects: a page of them is loaded by a few statements, crosses threads, and belongs to no session.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import JsonValue

from states.holds import HoldKind, Reason
from states.stage import Stage, Trigger


@dataclass(frozen=True, slots=True)
class Scope:
    """Which onboardings a run may claim; without any condition, all."""

    batch_id: int | None = None
    customer_id: int | None = None


@dataclass(slots=True)
class OpenIntent:
    """A call whose outcome is not certain, or whose answer came too late to be used by whoever sent it."""

    id: int
    trigger: Trigger
    opened_at: datetime
    settled_at: datetime
    absent_at: datetime | None
    evidence: dict[str, JsonValue] | None


@dataclass(frozen=True, slots=True)
class Sibling:
    """Another onboarding of the same customer."""

    id: int
    integration_key: str
    """The id of its integration, though it may not be settled yet: its list named it by its id."""
    integration_id: str | None
    app: str | None
    auth_digest: str
    stage: Stage
    hold: HoldKind | None
    begun: bool
    """Its snapshot is taken: a link may be out, or a credential under way."""
    credential_id: str | None
    installation_id: str | None
    strays: Sequence[str | None] = ()
    """Credentials that its calls may have made and that it does not use, by id; None for each whose id is unknown."""
    saw: Collection[str] = ()
    """The user's credentials before it began to get its own, by id: its snapshot."""


@dataclass(slots=True)
class Record:
    """One leased onboarding."""

    id: int
    version: int
    token: str
    stage: Stage
    batch_id: int
    customer_id: int
    username: str
    full_name: str
    alloy_user_id: str | None
    adopted: bool
    integration: str
    integration_key: str
    integration_id: str | None
    app: str | None
    hold: HoldKind | None
    reason: Reason | None
    sentence: str | None
    attempts: int
    stage_since: datetime
    auth_digest: str
    link_issued_at: datetime | None
    credential_id: str | None
    installation_id: str | None
    was_installed: bool
    # What follows is there at the stages whose step needs it, and empty elsewhere.
    columns: dict[str, JsonValue] = field(default_factory=dict)
    given: list[dict[str, JsonValue]] = field(default_factory=list)
    answered: list[dict[str, JsonValue]] = field(default_factory=list)
    auth_names: list[str] = field(default_factory=list)
    snapshot: dict[str, str] | None = None
    form: list[dict[str, JsonValue]] | None = None
    answers: list[dict[str, JsonValue]] | None = None
    intent: OpenIntent | None = None
    siblings: list[Sibling] = field(default_factory=list)
    sealed: dict[str, bytes] = field(default_factory=dict, repr=False)
    templates: list[dict[str, JsonValue]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Page:
    """The onboardings of one stage that one task run moves together; pages claimed together share their lease."""

    token: str
    stage: Stage
    records: list[Record]
    number: int = 0
    """Tells the pages of one lease apart."""

    @property
    def key(self) -> str:
        """What this page is known by while it is moved."""
        return f"{self.token}.{self.number}"

    def split(self, size: int) -> list["Page"]:
        """Return pages of at most ``size`` records each, under the same lease."""
        starts = range(0, len(self.records), size)
        return [
            Page(self.token, self.stage, self.records[start : start + size], number)
            for number, start in enumerate(starts)
        ]
