"""Ending onboardings for good: nothing more is done for them, and what was sealed for them is deleted.

A record keeps its stage, its evidence and its journal, and nothing at Alloy is touched. One that a worker has is asked
for: it stands cancelled at once and is claimed by nobody, and whoever holds the lease records the outcome of the call
that is under way, begins nothing more, and lets go (:mod:`store.fence`). What is completed by then stays completed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, delete, insert, null, select, update

from states.holds import REMEDIES, HoldKind, Reason
from states.stage import Stage
from store.choosing import Chosen, Chunk, in_chunks, leased_at, under_way
from store.models import AUTH_VALUE, CONSENT_LINK, HISTORY, ONBOARDING

_BEFORE_CREDENTIAL = (Stage.new, Stage.created)


@dataclass(slots=True)
class Cancelled:
    """How many were cancelled, and how many of these a worker had in hand at that moment."""

    number: int = 0
    leased: int = 0


def cancel(engine: Engine, chosen: Chosen, *, by: str, now: datetime) -> Cancelled:
    """End those of ``chosen`` that are not completed, and delete their auth values and consent links."""
    cancelled = Cancelled()
    sentence = f"cancelled by {by}; {REMEDIES[Reason.cancelled]}"

    def apply(connection: Connection, chunk: Chunk) -> None:
        leased = [row.id for row in chunk if row.leased]
        free = [row.id for row in chunk if not row.leased]
        _hold(connection, leased, sentence)
        _hold(connection, free, sentence)
        _let_go_of(connection, free)
        purge(connection, [row.id for row in chunk])
        connection.execute(
            insert(HISTORY),
            [
                {
                    "onboarding_id": row.id, "at": now, "stage": row.stage, "hold": HoldKind.cancelled,
                    "reason": Reason.cancelled, "sentence": _story(sentence, leased=row.leased), "worker": "",
                }
                for row in chunk
            ],
        )  # fmt: skip

    whom = select(ONBOARDING.c.id, ONBOARDING.c.stage, leased_at(now).label("leased")).where(*under_way(chosen))
    for chunk in in_chunks(engine, whom, apply):
        cancelled.number += len(chunk)
        cancelled.leased += sum(row.leased for row in chunk)
    return cancelled


def purge(connection: Connection, ids: Sequence[int]) -> None:
    """Delete what is sealed for the onboardings ``ids``, and forget which values there were to get a credential with.

    Their fingerprint stays: it tells whether another onboarding of the customer has the same credential.
    """
    connection.execute(delete(AUTH_VALUE).where(AUTH_VALUE.c.onboarding_id.in_(ids)))
    connection.execute(delete(CONSENT_LINK).where(CONSENT_LINK.c.onboarding_id.in_(ids)))
    connection.execute(
        update(ONBOARDING)
        .where(ONBOARDING.c.id.in_(ids), ONBOARDING.c.stage.in_(_BEFORE_CREDENTIAL))
        .values(auth_names=[], link_issued_at=None)
    )


def _hold(connection: Connection, ids: Sequence[int], sentence: str) -> None:
    connection.execute(
        update(ONBOARDING)
        .where(ONBOARDING.c.id.in_(ids))
        .values(hold=HoldKind.cancelled, reason=Reason.cancelled, sentence=sentence, due_at=null(), nudged=False)
    )


def _let_go_of(connection: Connection, ids: Sequence[int]) -> None:
    """Take a lease that ran out away: nobody claims the record any more, who would otherwise have done it."""
    connection.execute(
        update(ONBOARDING)
        .where(ONBOARDING.c.id.in_(ids))
        .values(lease_token=null(), lease_owner=null(), lease_until=null(), version=ONBOARDING.c.version + 1)
    )


def _story(sentence: str, *, leased: bool) -> str:
    return f"{sentence}; a worker has it, what is under way is still recorded" if leased else sentence
