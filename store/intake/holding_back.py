"""Holds back what a list adds until the whole list is in, and knows how far a list is that is not.

The rule, for a new batch and for one that gets a longer list later: what a list adds may be worked on when its last row
is in, and not before. What the batch had before goes on being worked on; what the list changes on that counts at once,
row by row. What is held back has no due time, so the claim, whose indexes hold only what is due, does not even pass by
it. All of it falls due in the transaction that takes the last rows in.

Everybody who takes rows into a batch locks the batch first: two that bring the same list share one intake, and whoever
was at it when it was discarded finds another token, or none, and stops.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Row, case, delete, exists, func, select, update
from sqlalchemy import insert as plain_insert

from states.forms import Given
from states.stage import Stage
from store.engine import insert
from store.models import BATCH, ONBOARDING, UNFINISHED_INTAKE, Batch

IS_HELD_BACK = exists().where(
    UNFINISHED_INTAKE.c.batch_id == ONBOARDING.c.batch_id, ONBOARDING.c.id > UNFINISHED_INTAKE.c.after_id
)
"""The condition on an onboarding that its list is not wholly in yet: nobody may make it due."""


NOBODY = ""
"""The token of an intake that is being discarded: nobody is at it, and nobody may go on with it."""


class ListInTheWay(ValueError):
    """Another list is only half in the batch, or is being discarded: this one must not be mixed with it."""

    def __init__(self, batch: str, source: str, *, discarded: bool) -> None:
        discard = f"`onboard discard --batch {shlex.quote(batch)}`"
        super().__init__(
            f"{source} is being discarded from the batch {batch}: {discard} does the rest, then a list can be taken in"
            if discarded
            else f"another list, {source}, is only half in the batch {batch}: run that one again to take in the rest, "
            f"or take out what is in of it with {discard}; then this list can be taken in"
        )


class IntakeDiscarded(RuntimeError):
    """The intake was discarded while its list was being taken in, and nothing of it is left."""

    def __init__(self, batch: str) -> None:
        super().__init__(f"somebody has discarded the batch {batch} while this list was being taken in; nothing is in")


@dataclass(frozen=True, slots=True)
class Listed:
    """A list on its way into a batch."""

    batch: str
    source: str
    fingerprint: str
    """Of its content: by it the same list is recognised, whatever its file is called."""
    rows: int | None
    """How many good rows it has, if that is known."""
    templates: Sequence[Given] | None


@dataclass(frozen=True, slots=True)
class Entered:
    """What a chunk of rows is added to: the batch, and the intake that this process is at."""

    batch_id: int
    token: str
    after_id: int
    rows_before: int
    """So many of the list's rows were in by then."""


def enter(connection: Connection, listed: Listed, token: str | None, now: datetime) -> Entered:
    """Lock the batch and begin the intake of ``listed``, or go on with it; the batch is made if it is new.

    ``token`` is what the chunk before was told, None for the first one. Raises :class:`ListInTheWay` and
    :class:`IntakeDiscarded`.
    """
    if token is None:
        _make_batch(connection, listed, now)
    batch = connection.execute(
        select(BATCH.c.id, BATCH.c.fingerprint).where(BATCH.c.name == listed.batch).with_for_update(key_share=True)
    ).one_or_none()
    if batch is None:
        raise IntakeDiscarded(listed.batch)
    begun = connection.execute(select(UNFINISHED_INTAKE).where(UNFINISHED_INTAKE.c.batch_id == batch.id)).one_or_none()
    # Gone because somebody else came to the end of the same list first: then there is nothing to stop for.
    ended = token is not None and (begun is None or begun.token != token)
    if ended and batch.fingerprint != listed.fingerprint:
        raise IntakeDiscarded(listed.batch)
    if begun is not None:
        _refuse_unless_same(listed.batch, listed.fingerprint, begun)
    return _begin(connection, batch.id, listed, now) if begun is None else _entered(begun)


def note(connection: Connection, entered: Entered, *, rows: int, changed: int) -> None:
    """Write down how far the intake is: ``rows`` from the list's beginning, and ``changed`` more old onboardings."""
    further = case((UNFINISHED_INTAKE.c.rows < rows, rows), else_=UNFINISHED_INTAKE.c.rows)
    connection.execute(
        update(UNFINISHED_INTAKE)
        .where(UNFINISHED_INTAKE.c.batch_id == entered.batch_id)
        .values(rows=further, changed=UNFINISHED_INTAKE.c.changed + changed)
    )


def let_go(connection: Connection, entered: Entered, listed: Listed, now: datetime) -> None:
    """End the intake, with the last of the list's rows in: whatever it added falls due."""
    connection.execute(
        update(ONBOARDING)
        .where(
            ONBOARDING.c.batch_id == entered.batch_id,
            ONBOARDING.c.id > entered.after_id,
            ONBOARDING.c.stage == Stage.new,
            ONBOARDING.c.hold.is_(None),
            ONBOARDING.c.due_at.is_(None),
        )
        .values(due_at=now)
    )
    connection.execute(delete(UNFINISHED_INTAKE).where(UNFINISHED_INTAKE.c.batch_id == entered.batch_id))
    connection.execute(
        update(BATCH).where(BATCH.c.id == entered.batch_id).values(taken_in_at=now, fingerprint=listed.fingerprint)
    )


def refuse_other_list(connection: Connection, batch: str, fingerprint: str) -> None:
    """Raise :class:`ListInTheWay` if the list with this fingerprint could not be taken into ``batch``."""
    of_batch = select(UNFINISHED_INTAKE).join(BATCH, BATCH.c.id == UNFINISHED_INTAKE.c.batch_id)
    begun = connection.execute(of_batch.where(BATCH.c.name == batch)).one_or_none()
    if begun is not None:
        _refuse_unless_same(batch, fingerprint, begun)


def _refuse_unless_same(batch: str, fingerprint: str, begun: Row[Any]) -> None:
    if begun.token == NOBODY or begun.fingerprint != fingerprint:
        raise ListInTheWay(batch, begun.source, discarded=begun.token == NOBODY)


def _make_batch(connection: Connection, listed: Listed, now: datetime) -> None:
    templates = [answer.model_dump(mode="json") for answer in listed.templates or ()]
    connection.execute(
        insert(connection, Batch)
        .values(name=listed.batch, source=listed.source, templates=templates, created_at=now)
        .on_conflict_do_nothing()
    )


def _begin(connection: Connection, batch_id: int, listed: Listed, now: datetime) -> Entered:
    after_id = connection.scalar(select(func.coalesce(func.max(ONBOARDING.c.id), 0))) or 0
    entered = Entered(batch_id, uuid4().hex, after_id, 0)
    connection.execute(
        plain_insert(UNFINISHED_INTAKE).values(
            batch_id=batch_id,
            token=entered.token,
            source=listed.source,
            fingerprint=listed.fingerprint,
            after_id=after_id,
            rows=0,
            rows_in_list=listed.rows,
            changed=0,
            began_at=now,
        )
    )
    return entered


def _entered(begun: Row[Any]) -> Entered:
    return Entered(begun.batch_id, begun.token, begun.after_id, begun.rows)
