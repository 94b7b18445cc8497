"""What became of the records that were tried last, by cohort and by batch: kept in the transaction of their outcomes.

Nothing is kept of a cohort or a batch in which nobody was refused of late. So in a healthy run this is one look into
an empty table for each group of outcomes, and no row that several workers would wait for each other to write.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, select, update

from states.health import BATCH_RECENT, COHORT_RECENT, FailureBudget, Recent, refusal_in
from states.holds import HoldKind, Reason
from store.engine import insert
from store.models import BATCH, HEALTH, Health
from store.quarantine import Cohort, Quarantined, cohort_of, open_of, quarantine, release
from store.records import Record
from store.writes import Held, Moved, Write


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What an outcome says about its cohort."""

    record: Record
    refused: Reason | None
    waits: bool = False
    """It got past what refuses others and waits for a person now: a probe that passed, and else no outcome at all."""

    @property
    def cohort(self) -> str:
        integration, stage = cohort_of(self.record)
        return f"{stage} {integration}"

    @property
    def batch(self) -> str:
        return _of_batch(self.record.batch_id)


@dataclass(slots=True)
class _Kept:
    """A row of the table."""

    recent: Recent
    refused: int


def note_outcomes(connection: Connection, writes: Sequence[Write], now: datetime, budget: FailureBudget) -> None:
    """Take the outcomes among ``writes`` into account, and do what follows: quarantine, release, pause."""
    outcomes = [outcome for write in writes if (outcome := _outcome_of(write)) is not None]
    if not outcomes or not _is_worth_a_look(connection, outcomes):
        return
    kept = _lock(connection, sorted({subject for one in outcomes for subject in (one.cohort, one.batch)}))
    quarantined = open_of(connection, {cohort_of(one.record) for one in outcomes})
    for outcome in outcomes:
        _judge(connection, outcome, kept, quarantined, now)
    _write(connection, kept)
    for batch_id in sorted({one.record.batch_id for one in outcomes}):
        of_batch = kept[_of_batch(batch_id)]
        why = budget.spent(of_batch.recent, of_batch.refused)
        if why is not None:
            connection.execute(
                update(BATCH)
                .where(BATCH.c.id == batch_id, BATCH.c.paused_at.is_(None))
                .values(paused_at=now, paused_why=why)
            )


def forget_batch(connection: Connection, batch_id: int) -> None:
    """Forget who was refused in a batch: somebody has looked at it."""
    connection.execute(update(HEALTH).where(HEALTH.c.subject == _of_batch(batch_id)).values(recent=[], refused=0))


def _outcome_of(write: Write) -> _Outcome | None:
    if isinstance(write, Moved):
        return _Outcome(write.record, None)
    if not isinstance(write, Held):
        return None
    if write.hold.kind is HoldKind.customer:
        return _Outcome(write.record, None, waits=True)
    refused = refusal_in(write.hold)
    return _Outcome(write.record, refused) if refused is not None else None


_LOOK = select(HEALTH.c.subject, HEALTH.c.recent, HEALTH.c.refused).where(
    HEALTH.c.subject.in_(bindparam("subjects", expanding=True))
)


def _is_worth_a_look(connection: Connection, outcomes: Sequence[_Outcome]) -> bool:
    if any(one.refused is not None for one in outcomes):
        return True
    subjects = {subject for one in outcomes for subject in (one.cohort, one.batch)}
    return any(recent for _, recent, _ in connection.execute(_LOOK, {"subjects": sorted(subjects)}))


def _lock(connection: Connection, subjects: Sequence[str]) -> dict[str, _Kept]:
    connection.execute(
        insert(connection, Health).on_conflict_do_nothing(),
        [{"subject": subject, "recent": [], "refused": 0} for subject in subjects],
    )
    rows = connection.execute(_LOOK.order_by(HEALTH.c.subject).with_for_update(), {"subjects": list(subjects)})
    return {
        subject: _Kept(
            Recent(
                BATCH_RECENT if subject.startswith(_BATCH) else COHORT_RECENT,
                {onboarding_id: Reason(reason) if reason else None for onboarding_id, reason in recent},
            ),
            refused,
        )
        for subject, recent, refused in rows
    }


def _judge(
    connection: Connection,
    outcome: _Outcome,
    kept: Mapping[str, _Kept],
    quarantined: dict[Cohort, Quarantined],
    now: datetime,
) -> None:
    record, of_cohort, of_batch = outcome.record, kept[outcome.cohort], kept[outcome.batch]
    cohort = cohort_of(record)
    held = quarantined.get(cohort)
    if held is not None:
        # Who was in hand when it was opened says nothing new, and what it explains is not held against the batch.
        if record.id in held.probes and outcome.refused is None:
            release(connection, held, now)
            del quarantined[cohort]
            of_cohort.recent.outcomes.clear()
        return
    if outcome.waits:
        return
    for one in (of_cohort, of_batch):
        one.recent.note(record.id, outcome.refused)
        one.refused += outcome.refused is not None and record.hold is None  # tried again, it was counted before
    alike = of_cohort.recent.refused_alike()
    if alike is not None:
        quarantine(connection, cohort, alike, now)
        quarantined |= open_of(connection, [cohort])


def _write(connection: Connection, kept: Mapping[str, _Kept]) -> None:
    connection.execute(
        update(HEALTH)
        .where(HEALTH.c.subject == bindparam("of"))
        .values(recent=bindparam("now_recent"), refused=bindparam("now_refused")),
        [
            {"of": subject, "now_recent": list(one.recent.outcomes.items()), "now_refused": one.refused}
            for subject, one in kept.items()
        ],
    )


_BATCH = "batch "


def _of_batch(batch_id: int) -> str:
    return f"{_BATCH}{batch_id}"
