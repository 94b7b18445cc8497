"""Who stands still through no fault of their own: cohorts in quarantine and paused batches, as operators see them.

Plain SQL through :mod:`store.read_only`, as all that ``status`` asks.
"""

from dataclasses import dataclass
from datetime import datetime

from states.holds import Reason
from states.stage import Stage
from store.read_only import Database, as_json, as_time, ask


@dataclass(frozen=True, slots=True)
class QuarantinedCohort:
    """An integration at a stage where most were refused alike; a few are tried at ``probe_at``."""

    integration: str
    """Its id; as the lists name it while its id is not known."""
    label: str
    """What people call it."""
    names: tuple[str, ...]
    stage: Stage
    reason: Reason
    since: datetime
    probe_at: datetime
    held_back: int
    """Who would be on the way; those who are held for a reason of their own are not counted here."""


@dataclass(frozen=True, slots=True)
class PausedBatch:
    """A batch whose failure budget is spent."""

    batch: str
    since: datetime
    why: str
    held_back: int
    """Likewise."""


def quarantined_cohorts(database: Database, batch_id: int | None = None) -> list[QuarantinedCohort]:
    """Return the cohorts in quarantine; of one batch, those that hold any of its records back."""
    rows = ask(
        database,
        """
        SELECT quarantine.integration, quarantine.names, quarantine.stage, quarantine.reason, quarantine.opened_at,
               quarantine.probe_at, coalesce(catalogueintegration.label, '')
        FROM quarantine
        LEFT JOIN catalogueintegration ON catalogueintegration.integration_id = quarantine.integration
        WHERE quarantine.closed_at IS NULL ORDER BY quarantine.id
        """,
    )
    found = []
    for integration, packed, stage, reason, opened_at, probe_at, label in rows:
        names = as_json(packed)
        held_back = _waiting_at(database, stage, names, batch_id)
        if held_back or batch_id is None:
            found.append(
                QuarantinedCohort(
                    integration=integration,
                    label=label or integration,
                    names=tuple(names),
                    stage=Stage(stage),
                    reason=Reason(reason),
                    since=as_time(opened_at),
                    probe_at=as_time(probe_at),
                    held_back=held_back,
                )
            )
    return found


def paused_batches(database: Database, batch_id: int | None = None) -> list[PausedBatch]:
    """Return the batches that are paused, or the one that is asked for if it is."""
    rows = ask(
        database,
        """
        SELECT name, paused_at, paused_why,
               (SELECT count(*) FROM onboarding
                WHERE onboarding.batch_id = batch.id AND onboarding.hold IS NULL AND onboarding.stage <> 'completed')
        FROM batch WHERE paused_at IS NOT NULL
        """,
        "AND id = :batch_id" if batch_id is not None else "",
        "ORDER BY id",
        **({"batch_id": batch_id} if batch_id is not None else {}),
    )
    return [PausedBatch(name, as_time(since), why, held_back) for name, since, why, held_back in rows]


def _waiting_at(database: Database, stage: str, names: list[str], batch_id: int | None) -> int:
    """Count who waits for the cohort and nothing else; those of a paused batch wait for that."""
    rows = ask(
        database,
        """
        SELECT coalesce(integration_id, integration_key), count(*) FROM onboarding
        WHERE stage = :stage AND due_at IS NOT NULL AND hold IS NULL AND lease_token IS NULL
        AND batch_id NOT IN (SELECT id FROM batch WHERE paused_at IS NOT NULL)
        """,
        "AND batch_id = :batch_id" if batch_id is not None else "",
        "GROUP BY coalesce(integration_id, integration_key)",
        stage=stage,
        **({"batch_id": batch_id} if batch_id is not None else {}),
    )
    return sum(number for integration, number in rows if integration in names)
