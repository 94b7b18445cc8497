"""What workers hand in to be recorded: one small value for each thing that can come of an attempt.

Plain data, made in the event loop and carried out in a worker thread by :mod:`store.work`, many at a time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from states.holds import Hold
from states.stage import Trigger
from store.journal import Close, NewIntent, Unknown
from store.records import Record


class LeaseLost(Exception):
    """The record is no longer this worker's: its lease ran out, and somebody else may be at it."""


@dataclass(frozen=True, slots=True)
class Begin:
    """Before a call: write its intent, with what a look-up will need, and close one that it replaces."""

    record: Record
    intent: NewIntent
    replaces: Close | None = None
    values: Mapping[str, object] = field(default_factory=dict)
    """Columns of the onboarding: its snapshot."""


@dataclass(frozen=True, slots=True)
class Prolong:
    """A call is about to be sent later than its intent said."""

    record: Record
    intent_id: int
    settled_at: datetime


@dataclass(frozen=True, slots=True)
class Learn:
    """Something that was found out about a record and must outlive this worker, before anything is built on it."""

    record: Record
    values: Mapping[str, object]
    """Columns of the onboarding: its snapshot, or which integration its name means."""
    note: str = ""


@dataclass(frozen=True, slots=True)
class TakeTurn:
    """The record begins to get its credential; others of the customer, which stand still half-way, begin anew later."""

    record: Record
    others: Sequence[int]
    """Their ids."""


@dataclass(frozen=True, slots=True)
class Issue:
    """A consent link, sealed; it replaces earlier ones."""

    record: Record
    sealed: bytes


@dataclass(frozen=True, slots=True)
class Moved:
    """The record leaves its stage by ``trigger``, with the evidence that this needs."""

    record: Record
    trigger: Trigger
    evidence: dict[str, object]
    closes: Close | None = None
    note: str = ""
    then: Hold | None = None
    """Why it goes no further from there."""


@dataclass(frozen=True, slots=True)
class Held:
    """The record keeps its stage, and stands still for the reason that ``hold`` gives."""

    record: Record
    hold: Hold
    attempts: int
    closes: Close | None = None
    absent: int | None = None
    """The intent whose effect was looked for in vain for the first time."""
    unknown: Unknown | None = None
    values: Mapping[str, object] = field(default_factory=dict)
    """Columns of the onboarding that were found out with the hold: a question is asked exactly once."""


@dataclass(frozen=True, slots=True)
class Released:
    """The record is given back as it was; its intent is closed if the call certainly did nothing."""

    record: Record
    closes: Close | None = None


Write = Begin | Prolong | Learn | TakeTurn | Issue | Moved | Held | Released
