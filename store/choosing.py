"""Whom an operator means: the conditions, how many meet them and where they stand, and working through them.

A choice may hold a million records. It is worked through a thousand at a time, each in a transaction of its own: an
operator's verb that is interrupted has done a part, and is simply given again. What is applied must do no harm when it
is applied twice (:mod:`store.outages`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Row, Select, and_, func, or_, select

from states.holds import HoldKind, Reason
from states.stage import Stage
from store.engine import reading, writing
from store.models import CUSTOMER, ONBOARDING
from store.outages import attempts

CHUNK = 1_000

Chunk = Sequence[Row[Any]]


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which onboardings an operator means; every condition that is set must hold."""

    username: str | None = None
    integration: str | None = None
    batch_id: int | None = None
    stage: Stage | None = None
    hold: HoldKind | None = None
    reason: Reason | None = None
    since: datetime | None = None
    """At their stage since then, or for longer."""
    ids: tuple[int, ...] | None = None
    """Only these; at most :data:`CHUNK` of them, which :meth:`in_portions` sees to."""

    def in_portions(self, ids: Sequence[int]) -> "Iterator[Chosen]":
        """Yield the same choice among ``ids``, however many they are, in as many as it takes."""
        for start in range(0, len(ids), CHUNK):
            yield replace(self, ids=tuple(ids[start : start + CHUNK]))

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return the conditions on an onboarding."""
        found: list[ColumnElement[bool]] = []
        if self.username is not None:
            ids = select(CUSTOMER.c.id).where(CUSTOMER.c.username == self.username).scalar_subquery()
            found.append(ONBOARDING.c.customer_id == ids)
        if self.integration is not None:
            found.append(
                or_(
                    func.lower(ONBOARDING.c.integration) == self.integration.lower(),
                    ONBOARDING.c.integration_id == self.integration,
                    func.lower(ONBOARDING.c.app) == self.integration.lower(),
                )
            )
        for column, value in (
            (ONBOARDING.c.batch_id, self.batch_id),
            (ONBOARDING.c.stage, self.stage),
            (ONBOARDING.c.hold, self.hold),
            (ONBOARDING.c.reason, self.reason),
        ):
            if value is not None:
                found.append(column == value)
        if self.since is not None:
            found.append(ONBOARDING.c.stage_since <= self.since)
        if self.ids is not None:
            found.append(ONBOARDING.c.id.in_(self.ids))
        return found


@dataclass(frozen=True, slots=True)
class Preview:
    """How many a verb would reach, and where they stand."""

    total: int = 0
    stages: dict[Stage, int] = field(default_factory=dict)
    holds: dict[HoldKind | None, int] = field(default_factory=dict)
    leased: int = 0
    """In a worker's hands, who applies what is asked for at the next safe point."""


def standing_still(chosen: Chosen) -> list[ColumnElement[bool]]:
    """Return the conditions on those of ``chosen`` that can be tried again: cancelled ones only if they are named."""
    found = [*chosen.conditions(), ONBOARDING.c.hold.is_not(None), ONBOARDING.c.stage != Stage.completed]
    return found if chosen.hold is HoldKind.cancelled else [*found, ONBOARDING.c.hold != HoldKind.cancelled]


def under_way(chosen: Chosen) -> list[ColumnElement[bool]]:
    """Return the conditions on those of ``chosen`` that can be cancelled: neither completed nor cancelled already."""
    return [
        *chosen.conditions(),
        ONBOARDING.c.stage != Stage.completed,
        ONBOARDING.c.hold.is_distinct_from(HoldKind.cancelled),
    ]


def with_a_link(chosen: Chosen) -> list[ColumnElement[bool]]:
    """Return the conditions on those of ``chosen`` whose consent link can be renewed: issued, and in nobody's hands."""
    return [
        *chosen.conditions(),
        ONBOARDING.c.stage == Stage.created,
        ONBOARDING.c.link_issued_at.is_not(None),
        ONBOARDING.c.lease_token.is_(None),
        ONBOARDING.c.hold.is_distinct_from(HoldKind.cancelled),
    ]


def leased_at(now: datetime) -> ColumnElement[bool]:
    """Return the condition on an onboarding that a worker has; one whose lease ran out can write no more."""
    return and_(ONBOARDING.c.lease_token.is_not(None), ONBOARDING.c.lease_until > now)


def preview(engine: Engine, conditions: Sequence[ColumnElement[bool]], now: datetime) -> Preview:
    """Count those who meet ``conditions``."""
    leased = leased_at(now).label("leased")
    stages: dict[Stage, int] = {}
    holds: dict[HoldKind | None, int] = {}
    in_hand = 0
    with reading(engine) as connection:
        for stage, hold, is_leased, number in connection.execute(
            select(ONBOARDING.c.stage, ONBOARDING.c.hold, leased, func.count())
            .where(*conditions)
            .group_by(ONBOARDING.c.stage, ONBOARDING.c.hold, leased)
        ):
            stages[stage] = stages.get(stage, 0) + number
            holds[hold] = holds.get(hold, 0) + number
            in_hand += number if is_leased else 0
    in_order = {stage: stages[stage] for stage in Stage if stage in stages}
    return Preview(sum(stages.values()), in_order, holds, in_hand)


def in_chunks(engine: Engine, chosen: Select[Any], apply: Callable[[Connection, Chunk], None]) -> Iterator[Chunk]:
    """Lock and ``apply`` to what ``chosen`` selects, whose first column is the onboarding's id; yield what is done."""
    after = 0
    while chunk := _apply_to_next(engine, chosen, after, apply):
        yield chunk
        after = chunk[-1][0]


def _apply_to_next(
    engine: Engine, chosen: Select[Any], after: int, apply: Callable[[Connection, Chunk], None]
) -> Chunk:
    following = chosen.where(ONBOARDING.c.id > after).order_by(ONBOARDING.c.id).limit(CHUNK).with_for_update()
    applied: dict[int, Row[Any]] = {}
    for attempt in attempts():
        with attempt:
            with writing(engine) as connection:
                chunk = connection.execute(following).all()
                if chunk:
                    apply(connection, chunk)
                # Kept over attempts: if a commit only seemed to fail, most of its rows are not chosen any more.
                applied = {row[0]: row for row in chunk} | applied
            return [applied[onboarding_id] for onboarding_id in sorted(applied)]
    raise AssertionError("attempts end with a result or an error")
