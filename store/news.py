"""What has changed that somebody outside may want to be told, and what was told already.

News are not kept as they come about: they are read off the tables now and then, by whoever is at work, and compared
with a mark of what was told before. So nothing in the way of the work has to think of them, and a change that came
about while nobody looked is told by whoever looks next.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import JsonValue
from sqlalchemy import Engine, and_, exists, func, or_, select, update

from states.holds import HoldKind
from states.stage import Stage
from store.closing import Closing
from store.engine import insert, reading, writing
from store.models import ANNOUNCED, BATCH, INTENT, ONBOARDING, QUARANTINE, RUN, Announced
from store.outages import outlasting_outages
from store.standstill import quarantined_cohorts

STALLED_AFTER = timedelta(hours=1)
_BEFORE_THE_END = tuple(stage for stage in Stage if stage is not Stage.completed)
_QUARANTINES = 200
"""So many of the latest are looked at: older ones were told long ago."""
_A_DAY = 24 * 60 * 60


class NewsKind(StrEnum):
    """What has come about; the values are the names of the events, after ``onboarding.``."""

    batch_started = "batch.started"
    batch_finished = "batch.finished"
    batch_paused = "batch.paused"
    quarantine_opened = "quarantine.opened"
    quarantine_closed = "quarantine.closed"
    leftover_suspected = "leftover.suspected"
    halted = "halted"
    stalled = "stalled"
    operator_needed = "operator.needed"


@dataclass(frozen=True, slots=True)
class News:
    """One change. ``number`` tells which change of ``subject`` it is: a greater one than was told before is news."""

    kind: NewsKind
    subject: str
    number: int
    batch_id: int | None = None
    batch: str = ""
    facts: dict[str, JsonValue] = field(default_factory=dict)


def changes_of_batches(engine: Engine) -> list[News]:
    """Return which batches were begun, finished or paused: for each list that was taken in, and each pause, once.

    A batch is finished when everybody on it is completed or cancelled.
    """
    under_way = exists().where(
        ONBOARDING.c.batch_id == BATCH.c.id,
        # The stages are named so that the index leads past those that are completed.
        ONBOARDING.c.stage.in_(_BEFORE_THE_END),
        ONBOARDING.c.hold.is_distinct_from(HoldKind.cancelled),
    )
    columns = (BATCH.c.id, BATCH.c.name, BATCH.c.created_at, BATCH.c.taken_in_at, BATCH.c.paused_at, BATCH.c.paused_why)
    found = []
    with reading(engine) as connection:
        for row in connection.execute(select(*columns, under_way).where(BATCH.c.taken_in_at.is_not(None))):
            batch_id, name, created_at, taken_in_at, paused_at, paused_why, is_under_way = row
            of_batch = (int((taken_in_at or created_at).timestamp()), batch_id, name)
            found.append(News(NewsKind.batch_started, f"batch/{batch_id}/started", *of_batch))
            if not is_under_way:
                found.append(News(NewsKind.batch_finished, f"batch/{batch_id}/finished", *of_batch))
            if paused_at is not None:
                paused = (int(paused_at.timestamp()), batch_id, name, {"why": paused_why})
                found.append(News(NewsKind.batch_paused, f"batch/{batch_id}/paused", *paused))
    return found


def changes_of_quarantines(engine: Engine) -> list[News]:
    """Return which cohorts were held back, and which of them were let go again."""
    labels = {cohort.integration: cohort.label for cohort in quarantined_cohorts(engine)}
    latest = select(QUARANTINE).order_by(QUARANTINE.c.id.desc()).limit(_QUARANTINES)
    found = []
    with reading(engine) as connection:
        for row in connection.execute(latest).all()[::-1]:
            facts: dict[str, JsonValue] = {
                "integration": labels.get(row.integration, row.integration),
                "stage": row.stage.value,
                "reason": row.reason.value,
            }
            found.append(News(NewsKind.quarantine_opened, f"quarantine/{row.id}/opened", 1, facts=facts))
            if row.closed_at is not None:
                found.append(News(NewsKind.quarantine_closed, f"quarantine/{row.id}/closed", 1, facts=facts))
    return found


def leftovers_by_batch(engine: Engine) -> list[News]:
    """Return how many calls may have left something at Alloy, by batch: news when there are more than there were."""
    left_behind = or_(
        INTENT.c.outcome.in_([Closing.leftover, Closing.late]),
        and_(INTENT.c.closed_at.is_(None), ONBOARDING.c.hold == HoldKind.cancelled),
    )
    counted = (
        select(BATCH.c.id, BATCH.c.name, func.count())
        .select_from(INTENT)
        .join(ONBOARDING, ONBOARDING.c.id == INTENT.c.onboarding_id)
        .join(BATCH, BATCH.c.id == ONBOARDING.c.batch_id)
        .where(left_behind)
        .group_by(BATCH.c.id, BATCH.c.name)
    )
    with reading(engine) as connection:
        return [
            News(NewsKind.leftover_suspected, f"leftovers/{batch_id}", count, batch_id, name, {"count": count})
            for batch_id, name, count in connection.execute(counted)
        ]


def conditions(engine: Engine, now: datetime, *, most_for_operators: int) -> tuple[list[News], list[str]]:
    """Return what is amiss as long as it lasts, and the subjects of what is not amiss.

    That is: more than ``most_for_operators`` onboardings wait for operators; and nothing was completed for an hour
    although somebody was at work an hour ago and what is due has stood where it stands for as long.
    """
    amiss, fine = [], []
    for_operators = _for_operators(engine)
    if for_operators > most_for_operators:
        facts: dict[str, JsonValue] = {"count": for_operators, "threshold": most_for_operators}
        amiss.append(News(NewsKind.operator_needed, "operator holds", _day_of(now), facts=facts))
    else:
        fine.append("operator holds")
    if _is_stalled(engine, now):
        amiss.append(News(NewsKind.stalled, "stalled", _day_of(now)))
    else:
        fine.append("stalled")
    return amiss, fine


def halt(now: datetime, reason: str, sentence: str, batch_id: int | None = None, batch: str = "") -> News:
    """Return that runs cannot go on: told once, and once a day while it lasts, whichever runs find it out."""
    facts: dict[str, JsonValue] = {"reason": reason, "sentence": sentence}
    return News(NewsKind.halted, "halted", _day_of(now), batch_id, batch, facts)


@outlasting_outages
def tell(engine: Engine, news: Iterable[News], now: datetime) -> list[News]:
    """Return those that nobody has told before, and note them as told: whoever gets them tells them, and nobody else.

    A commit that only seemed to fail has them untold.
    """
    by_subject = {one.subject: one for one in news}
    with reading(engine) as connection:
        told = {row.subject: row.number for row in connection.execute(select(ANNOUNCED))}
    fresh = [one for one in by_subject.values() if one.number > told.get(one.subject, 0)]
    if not fresh:
        return []
    untold = []
    with writing(engine) as connection:
        for one in fresh:
            mark = insert(connection, Announced).values(subject=one.subject, number=one.number, at=now)
            marked = mark.on_conflict_do_update(
                index_elements=[ANNOUNCED.c.subject],
                set_={"number": mark.excluded.number, "at": mark.excluded.at},
                where=ANNOUNCED.c.number < mark.excluded.number,
            ).returning(ANNOUNCED.c.subject)
            if connection.execute(marked).first() is not None:
                untold.append(one)
    return untold


@outlasting_outages
def is_over(engine: Engine, subjects: Iterable[str]) -> None:
    """Note that a condition does not last any more, so that its coming back is news."""
    lasting = and_(ANNOUNCED.c.subject.in_(list(subjects)), ANNOUNCED.c.number > 0)
    with reading(engine) as connection:
        if connection.scalar(select(func.count()).where(lasting)) == 0:
            return
    with writing(engine) as connection:
        connection.execute(update(ANNOUNCED).where(lasting).values(number=0))


def _for_operators(engine: Engine) -> int:
    with reading(engine) as connection:
        return connection.scalar(select(func.count()).where(ONBOARDING.c.hold == HoldKind.operator)) or 0


def _is_stalled(engine: Engine, now: datetime) -> bool:
    """Ask what is quickly answered first; the last question finds a row at once wherever all is well."""
    hour_ago = now - STALLED_AFTER
    was_at_work = exists().where(
        RUN.c.started_at <= hour_ago, RUN.c.seen_at.is_not(None), RUN.c.seen_at >= hour_ago - STALLED_AFTER / 6
    )
    stands_due = exists().where(
        ONBOARDING.c.stage.in_(_BEFORE_THE_END),
        ONBOARDING.c.due_at <= now,
        ONBOARDING.c.stage_since <= hour_ago,
        or_(ONBOARDING.c.hold.is_(None), ONBOARDING.c.hold == HoldKind.retry),
    )
    was_completed = exists().where(ONBOARDING.c.stage == Stage.completed, ONBOARDING.c.stage_since > hour_ago)
    with reading(engine) as connection:
        return (
            bool(connection.scalar(select(was_at_work)))
            and bool(connection.scalar(select(stands_due)))
            and not connection.scalar(select(was_completed))
        )


def _day_of(now: datetime) -> int:
    return int(now.timestamp()) // _A_DAY
