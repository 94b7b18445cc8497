"""Cohorts that are held back: opened when most were refused alike, probed with a few, released when one gets past.

A record that is held back keeps its stage and its hold; nobody is blamed. It is only due later: a claim that meets it
moves it to the time until which its cohort is held back, all of them to the very same time, by which they are found
again. So each is touched once a round, and neither a claim nor the outlook pays for those that stand behind.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

from sqlalchemy import ColumnElement, Connection, func, insert, select, update

from states.health import PROBES, wait_before_probing
from states.holds import Reason
from states.stage import Stage
from store.models import CATALOGUE_INTEGRATION, ONBOARDING, QUARANTINE
from store.records import Record

Cohort = tuple[str, Stage]
"""An integration, by its id or by the name of which the id is not known yet, and a stage."""

INTEGRATION: ColumnElement[str] = func.coalesce(ONBOARDING.c.integration_id, ONBOARDING.c.integration_key)
"""The integration of a cohort, as a column."""

_COLUMNS = (
    QUARANTINE.c.id, QUARANTINE.c.integration, QUARANTINE.c.stage, QUARANTINE.c.names, QUARANTINE.c.rounds,
    QUARANTINE.c.probes, QUARANTINE.c.probes_left, QUARANTINE.c.probe_at, QUARANTINE.c.held_until,
)  # fmt: skip
"""In the order of the first fields of :class:`Quarantined`."""


@dataclass(slots=True)
class Quarantined:
    """An open quarantine, its row locked."""

    id: int
    integration: str
    stage: Stage
    names: list[str]
    rounds: int
    probes: list[int]
    probes_left: int
    probe_at: datetime
    held_until: datetime
    admitted: set[int] = field(default_factory=set)
    """Whom this claim may take as probes; who is not taken in the end is none."""
    met: bool = False

    def admits(self, onboarding_id: int, now: datetime) -> bool:
        """Tell whether this record may be claimed, as one of the probes of this round."""
        if self.probe_at <= now:
            self._begin_round(now)
        if onboarding_id in self.probes or len(self.admitted) >= self.probes_left:
            return False
        self.admitted.add(onboarding_id)
        self.met = True
        return True

    def _begin_round(self, now: datetime) -> None:
        if self.held_until <= now:  # else somebody asked for probes early, which makes nobody wait for longer
            self.rounds += 1
            self.held_until = now + wait_before_probing(self.rounds)
        self.probe_at = self.held_until
        self.probes, self.probes_left = [], PROBES
        self.met = True

    @classmethod
    def all_open(cls, connection: Connection) -> list[Self]:
        """Return and lock every open quarantine."""
        rows = connection.execute(_OPEN.order_by(QUARANTINE.c.id).with_for_update())
        return [cls(*row) for row in rows]

    def keep(self, connection: Connection, taken: Iterable[int]) -> None:
        """Write down which of those whom it admitted were taken as probes."""
        if not self.met:
            return
        probes = sorted(self.admitted.intersection(taken))
        connection.execute(
            update(QUARANTINE)
            .where(QUARANTINE.c.id == self.id)
            .values(
                rounds=self.rounds,
                probes=[*self.probes, *probes],
                probes_left=self.probes_left - len(probes),
                probe_at=self.probe_at,
                held_until=self.held_until,
            )
        )


_OPEN = select(*_COLUMNS).where(QUARANTINE.c.closed_at.is_(None))


def cohort_of(record: Record) -> Cohort:
    """Return the cohort to which ``record`` belongs for as long as it stays at its stage."""
    return record.integration_id or record.integration_key, record.stage


def open_of(connection: Connection, cohorts: Iterable[Cohort]) -> dict[Cohort, Quarantined]:
    """Return and lock the open quarantines of ``cohorts``."""
    wanted = set(cohorts)
    statement = _OPEN.where(QUARANTINE.c.integration.in_({integration for integration, _ in wanted}))
    rows = connection.execute(statement.order_by(QUARANTINE.c.id).with_for_update())
    return {(one.integration, one.stage): one for one in (Quarantined(*row) for row in rows)}


def quarantine(connection: Connection, cohort: Cohort, reason: Reason, now: datetime) -> None:
    """Hold ``cohort`` back from now on; what is in somebody's hands already is finished."""
    integration, stage = cohort
    until = now + wait_before_probing(0)
    connection.execute(
        insert(QUARANTINE).values(
            integration=integration, stage=stage, names=_names_of(connection, integration), reason=reason,
            opened_at=now, probe_at=until, held_until=until, rounds=0, probes=[], probes_left=0,
        )
    )  # fmt: skip


def release(connection: Connection, held: Quarantined, now: datetime) -> None:
    """End a quarantine, and let everybody whom it held back fall due."""
    connection.execute(update(QUARANTINE).where(QUARANTINE.c.id == held.id).values(closed_at=now))
    connection.execute(update(ONBOARDING).where(*_held_back(held)).values(due_at=now))


def let_be_probed(connection: Connection, onboarding_ids: Collection[int], now: datetime) -> None:
    """Have the cohorts of these onboardings, if quarantined, probed at once: somebody may have mended what was wrong.

    Waits for no lock: a claim that is at work on the quarantine at this moment is about to probe it, or has.
    """
    rows = connection.execute(_OPEN.order_by(QUARANTINE.c.id).with_for_update(skip_locked=True)).all()
    if not rows or not onboarding_ids:
        return
    of = select(INTEGRATION, ONBOARDING.c.stage).where(ONBOARDING.c.id.in_(onboarding_ids)).distinct()
    cohorts = {(integration, stage) for integration, stage in connection.execute(of)}
    for held in (Quarantined(*row) for row in rows):
        if any((name, held.stage) in cohorts for name in held.names):
            connection.execute(update(QUARANTINE).where(QUARANTINE.c.id == held.id).values(probe_at=now))
            some = select(ONBOARDING.c.id).where(*_held_back(held)).order_by(ONBOARDING.c.id).limit(PROBES)
            ids = connection.scalars(some.with_for_update(skip_locked=True)).all()
            connection.execute(update(ONBOARDING).where(ONBOARDING.c.id.in_(ids)).values(due_at=now))


def _held_back(held: Quarantined) -> Sequence[ColumnElement[bool]]:
    return (
        ONBOARDING.c.stage == held.stage,
        ONBOARDING.c.due_at == held.held_until,
        INTEGRATION.in_(held.names),
        ONBOARDING.c.lease_token.is_(None),
    )


def _names_of(connection: Connection, integration: str) -> list[str]:
    """Return every name by which a record can be of ``integration``: some lists were taken in before its id was known.

    A name that several integrations go by is none: whoever uses it is refused for that.
    """
    of: dict[str, set[str]] = {}
    for integration_id, names in connection.execute(
        select(CATALOGUE_INTEGRATION.c.integration_id, CATALOGUE_INTEGRATION.c.names)
    ):
        for name in names:
            of.setdefault(name, set()).add(integration_id)
    return sorted({integration, *(name for name, ids in of.items() if ids == {integration})})
