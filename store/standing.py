"""Where everybody stands, and who waits for what: what operators ask most often, so it must be quick to start.

Importing this module imports neither SQLAlchemy nor the tables; :mod:`store.read_only` says why, and how it asks.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from states.holds import HoldKind, Reason
from states.stage import Stage
from store.finding import find_batch
from store.intake.unfinished import Unfinished, unfinished
from store.leftovers import count_leftovers
from store.pace_found import Found, found_paces
from store.read_only import Database, as_json, as_optional_time, as_time, ask
from store.standstill import PausedBatch, QuarantinedCohort, paused_batches, quarantined_cohorts

if TYPE_CHECKING:
    from pydantic import JsonValue


@dataclass(frozen=True, slots=True)
class Standing:
    """Where everybody stands. Every onboarding is in exactly one stage, so the stages add up to ``total``."""

    batch: str | None
    total: int
    stages: dict[Stage, int]
    holds: dict[HoldKind, int]
    reasons: dict[Reason, int]
    moving: int
    """Neither completed nor held: due, or in a worker's hands."""
    leftovers: int
    """Calls whose effect may be left at Alloy, where it does no harm."""
    next_due_at: datetime | None
    calls: int
    seconds: float
    erased: int = 0
    """How many more were taken in whose customers were erased since."""
    quarantined: list[QuarantinedCohort] = field(default_factory=list)
    paused: list[PausedBatch] = field(default_factory=list)
    unfinished: list[Unfinished] = field(default_factory=list)
    paces: list[Found] = field(default_factory=list)
    """How fast the accounts are called that were called lately, the latest first."""
    parts: dict[tuple[Stage, HoldKind | None, Reason | None], int] = field(default_factory=dict, compare=False)
    """The same counts as one table: each onboarding counts in one part."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """One onboarding that stands still, and why."""

    username: str
    integration: str
    stage: Stage
    hold: HoldKind
    reason: Reason
    sentence: str
    since: datetime
    due_at: datetime | None
    attempts: int


def standing(database: Database, batch: str | None = None) -> Standing:
    """Count everybody, or those of one batch. Raises :class:`store.finding.NotFound`."""
    of = {} if batch is None else {"batch_id": find_batch(database, batch)}
    of_batch = "WHERE batch_id = :batch_id" if of else ""
    # One statement, so that whoever moves meanwhile is counted once.
    counts = ask(
        database,
        "SELECT stage, hold, reason, count(*), min(due_at) FROM onboarding",
        of_batch,
        "GROUP BY stage, hold, reason",
        **of,
    )
    [(calls, seconds)] = ask(
        database, "SELECT coalesce(sum(calls), 0), coalesce(sum(seconds), 0) FROM run", of_batch, **of
    )
    [(erased,)] = ask(
        database, "SELECT coalesce(sum(erased), 0) FROM batch", "WHERE id = :batch_id" if of else "", **of
    )
    return replace(
        _added_up(
            batch, counts, leftovers=count_leftovers(database, **of), calls=int(calls), seconds=round(float(seconds), 3)
        ),
        erased=int(erased),
        quarantined=quarantined_cohorts(database, **of),
        paused=paused_batches(database, **of),
        unfinished=unfinished(database, **of),
        paces=found_paces(database),
    )


def counts_of_batch(database: Database, batch_id: int) -> dict[str, int]:
    """Return how many onboardings a batch has, and how many of them are completed."""
    [(total, completed)] = ask(
        database,
        """
        SELECT count(*), coalesce(sum(CASE WHEN stage = 'completed' THEN 1 ELSE 0 END), 0)
        FROM onboarding WHERE batch_id = :batch_id
        """,
        batch_id=batch_id,
    )
    return {"total": int(total), "completed": int(completed)}


def waiting(
    database: Database,
    *,
    batch: str | None = None,
    kind: HoldKind | None = None,
    reason: Reason | None = None,
    limit: int = 50,
) -> list[Waiting]:
    """Return who stands still, those whom an operator must help first, then the longest waiting."""
    chosen: dict[str, object] = {}
    if batch is not None:
        chosen["batch_id"] = find_batch(database, batch)
    if kind is not None:
        chosen["hold"] = kind.value
    if reason is not None:
        chosen["reason"] = reason.value
    rows = ask(
        database,
        """
        SELECT customer.username, onboarding.integration, onboarding.stage, onboarding.hold, onboarding.reason,
               onboarding.sentence, onboarding.stage_since, onboarding.due_at, onboarding.attempts
        FROM onboarding JOIN customer ON customer.id = onboarding.customer_id
        WHERE onboarding.hold IS NOT NULL
        """,
        *(f"AND onboarding.{column} = :{column}" for column in chosen),
        "ORDER BY onboarding.hold <> 'operator', onboarding.stage_since, onboarding.id",
        "LIMIT :limit",
        limit=limit,
        **chosen,
    )
    return [_waiting(row) for row in rows]


def form_of(database: Database, username: str, integration: str) -> "list[dict[str, JsonValue]]":
    """Return the form that an onboarding has to fill in, as Alloy gave it; empty while it is not known."""
    rows = ask(
        database,
        """
        SELECT onboarding.form FROM onboarding JOIN customer ON customer.id = onboarding.customer_id
        WHERE customer.username = :username AND onboarding.integration = :integration AND onboarding.form IS NOT NULL
        ORDER BY onboarding.id LIMIT 1
        """,
        username=username,
        integration=integration,
    )
    form: list[dict[str, JsonValue]] = []
    for (found,) in rows:
        form = as_json(found)
    return form


def _added_up(
    batch: str | None, counts: Sequence[Sequence[Any]], *, leftovers: int, calls: int, seconds: float
) -> Standing:
    stages, holds, reasons = dict.fromkeys(Stage, 0), dict.fromkeys(HoldKind, 0), dict[Reason, int]()
    moving = 0
    due: list[datetime] = []
    parts: dict[tuple[Stage, HoldKind | None, Reason | None], int] = {}
    for stage, hold, reason, count, due_at in counts:
        parts[Stage(stage), hold and HoldKind(hold), reason and Reason(reason)] = count
        stages[Stage(stage)] += count
        if hold is not None:
            holds[HoldKind(hold)] += count
            reasons[Reason(reason)] = reasons.get(Reason(reason), 0) + count
        elif stage != Stage.completed:
            moving += count
        if due_at is not None:
            due.append(as_time(due_at))
    return Standing(
        batch=batch,
        total=sum(stages.values()),
        stages=stages,
        holds=holds,
        reasons=reasons,
        moving=moving,
        leftovers=leftovers,
        next_due_at=min(due, default=None),
        calls=calls,
        seconds=seconds,
        parts=parts,
    )


def _waiting(row: Sequence[Any]) -> Waiting:
    username, integration, stage, hold, reason, sentence, since, due_at, attempts = row
    return Waiting(
        username=username,
        integration=integration,
        stage=Stage(stage),
        hold=HoldKind(hold),
        reason=Reason(reason),
        sentence=sentence,
        since=as_time(since),
        due_at=as_optional_time(due_at),
        attempts=attempts,
    )
