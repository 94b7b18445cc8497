"""What operators do to records: answer for a customer, let it be tried again, renew a consent link.

On a record that a worker has leased these are requests: what was given is written beside what the worker writes, and
the record is nudged, so that whoever holds it makes it due at once instead of standing still.
"""

from collections.abc import Sequence
from datetime import datetime

from pydantic import JsonValue
from sqlalchemy import Connection, Engine, Update, and_, case, insert, null, select, update

from states.forms import Given
from states.holds import HoldKind
from states.stage import Stage
from store.choosing import Chosen, Chunk, in_chunks, standing_still, with_a_link
from store.finding import NotFound
from store.intake.holding_back import IS_HELD_BACK
from store.models import HISTORY, ONBOARDING
from store.quarantine import let_be_probed

_BEFORE_MAPPED = (Stage.new, Stage.created, Stage.authed, Stage.installing)
_NOT_CANCELLED = ONBOARDING.c.hold.is_distinct_from(HoldKind.cancelled)


def answer(engine: Engine, chosen: Chosen, given: Sequence[Given], *, by: str, now: datetime) -> int:
    """Keep answers for the onboardings ``chosen`` that are not mapped yet, and let them go on; return how many.

    Raises :class:`store.finding.NotFound` if there is none.
    """
    names = ", ".join(sorted({one.name for one in given}))

    def apply(connection: Connection, chunk: Chunk) -> None:
        for onboarding_id, _, answered in chunk:
            connection.execute(
                update(ONBOARDING).where(ONBOARDING.c.id == onboarding_id).values(answered=_merged(answered, given))
            )
        ids = [row[0] for row in chunk]
        connection.execute(_let_go(ids, now))
        let_be_probed(connection, ids, now)
        _remember(connection, chunk, f"answered by {by}: {names}", now)

    whom = select(ONBOARDING.c.id, ONBOARDING.c.stage, ONBOARDING.c.answered).where(
        *chosen.conditions(), ONBOARDING.c.stage.in_(_BEFORE_MAPPED), _NOT_CANCELLED
    )
    number = sum(len(chunk) for chunk in in_chunks(engine, whom, apply))
    if number == 0:
        raise NotFound("nobody who matches is waiting for an answer: they are mapped already, or not on any list")
    return number


def redrive(engine: Engine, chosen: Chosen, *, by: str, now: datetime) -> int:
    """Let the held onboardings ``chosen`` be tried again now; return how many. Cancelled ones only if they are named.

    One that was cancelled goes on where it stood. Its auth values are gone, so where they are still needed it is held
    until a list brings them again.
    """

    def apply(connection: Connection, chunk: Chunk) -> None:
        ids = [row[0] for row in chunk]
        connection.execute(_let_go(ids, now))
        let_be_probed(connection, ids, now)
        _remember(connection, chunk, f"to be tried again, says {by}", now)

    whom = select(ONBOARDING.c.id, ONBOARDING.c.stage).where(*standing_still(chosen))
    return sum(len(chunk) for chunk in in_chunks(engine, whom, apply))


def renew_links(engine: Engine, chosen: Chosen, *, by: str, now: datetime) -> int:
    """Have new consent links issued for ``chosen``; return how many. A consent already given still counts."""

    def apply(connection: Connection, chunk: Chunk) -> None:
        ids = [row[0] for row in chunk]
        connection.execute(update(ONBOARDING).where(ONBOARDING.c.id.in_(ids)).values(link_issued_at=None))
        connection.execute(_let_go(ids, now))
        _remember(connection, chunk, f"a new consent link, says {by}", now)

    whom = select(ONBOARDING.c.id, ONBOARDING.c.stage).where(*with_a_link(chosen))
    return sum(len(chunk) for chunk in in_chunks(engine, whom, apply))


def _let_go(ids: Sequence[int], now: datetime) -> Update:
    leased = ONBOARDING.c.lease_token.is_not(None)
    keeps_hold = and_(
        leased, _NOT_CANCELLED
    )  # what its holder is about to overwrite; a cancellation is taken back here
    own = {"hold": ONBOARDING.c.hold, "reason": ONBOARDING.c.reason, "sentence": ONBOARDING.c.sentence}
    return (
        update(ONBOARDING)
        .where(ONBOARDING.c.id.in_(ids))
        .values(
            nudged=leased,
            due_at=case((IS_HELD_BACK, null()), else_=now),  # falls due with the rest of its list
            version=case((leased, ONBOARDING.c.version), else_=ONBOARDING.c.version + 1),
            attempts=case((leased, ONBOARDING.c.attempts), else_=0),
            **{name: case((keeps_hold, column), else_=null()) for name, column in own.items()},
        )
    )


def _merged(answered: Sequence[dict[str, JsonValue]], given: Sequence[Given]) -> list[dict[str, JsonValue]]:
    """Put the new answers in place of those to the same question."""
    merged = {(one.get("name"), one.get("workflow_id"), one.get("block")): one for one in answered}
    for new in given:
        merged[new.name, new.workflow_id, new.block] = new.model_dump(mode="json")
    return list(merged.values())


def _remember(connection: Connection, chunk: Chunk, sentence: str, now: datetime) -> None:
    ids = [row[0] for row in chunk]
    told = connection.scalars(  # by a commit that only seemed to fail
        select(HISTORY.c.onboarding_id).where(
            HISTORY.c.onboarding_id.in_(ids), HISTORY.c.at == now, HISTORY.c.sentence == sentence
        )
    )
    stages = {row[0]: row[1] for row in chunk}
    untold = sorted(stages.keys() - set(told))
    if untold:
        connection.execute(
            insert(HISTORY),
            [
                {"onboarding_id": one, "at": now, "stage": stages[one], "sentence": sentence, "worker": ""}
                for one in untold
            ],
        )
