"""Writes that leave a record where it is, in its worker's hands: what is about to be called, and what was found out."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

from sqlalchemy import Connection, Update, bindparam, delete, insert, update

from store.history import entry, remember
from store.journal import open_intents, prolong_intents
from store.models import CONSENT_LINK, ONBOARDING
from store.turns import pass_turns_of
from store.writes import Begin, Held, Issue, Learn, Prolong, TakeTurn


def begin(connection: Connection, writes: Sequence[Begin], worker: str, now: datetime) -> Sequence[int]:
    """Write the intents of calls that are about to be sent; return their ids."""
    del worker
    set_columns(connection, writes)
    return open_intents(connection, [write.intent for write in writes], now)


def prolong(connection: Connection, writes: Sequence[Prolong], worker: str, now: datetime) -> Sequence[None]:
    """Note that calls are sent later than their intents say."""
    del worker, now
    prolong_intents(connection, {write.intent_id: write.settled_at for write in writes})
    return [None] * len(writes)


# To build a statement anew costs more than to run it, and these are run with every answer that arrives.
@lru_cache
def _learn_statement(names: tuple[str, ...]) -> Update:
    return (
        update(ONBOARDING)
        .where(ONBOARDING.c.id == bindparam("of_id"))
        .values({name: bindparam(f"to_{name}") for name in names})
    )


def set_columns(connection: Connection, writes: Sequence[Begin | Learn | Held]) -> None:
    """Keep what was found out about records that are this worker's."""
    by_columns: dict[tuple[str, ...], list[Begin | Learn | Held]] = defaultdict(list)
    for write in writes:
        by_columns[tuple(write.values)].append(write)
    for names, group in by_columns.items():
        if names:
            connection.execute(
                _learn_statement(names),
                [{"of_id": w.record.id, **{f"to_{name}": w.values[name] for name in names}} for w in group],
            )


def learn(connection: Connection, writes: Sequence[Learn], worker: str, now: datetime) -> Sequence[None]:
    """Keep what was found out, and tell it in the history where there is something to tell."""
    set_columns(connection, writes)
    remember(
        connection,
        [entry(write.record, now, worker, sentence=write.note) for write in writes if write.note],
    )
    return [None] * len(writes)


def take_turn(connection: Connection, writes: Sequence[TakeTurn], worker: str, now: datetime) -> Sequence[None]:
    """Take the turn of others who stand still half-way."""
    pass_turns_of(connection, [other for write in writes for other in write.others], worker, now)
    return [None] * len(writes)


def issue(connection: Connection, writes: Sequence[Issue], worker: str, now: datetime) -> Sequence[None]:
    """Keep consent links, each in place of the earlier ones of its onboarding."""
    ids = [write.record.id for write in writes]
    connection.execute(delete(CONSENT_LINK).where(CONSENT_LINK.c.onboarding_id.in_(ids)))
    connection.execute(
        insert(CONSENT_LINK),
        [{"onboarding_id": w.record.id, "sealed": w.sealed, "issued_at": now} for w in writes],
    )
    connection.execute(update(ONBOARDING).where(ONBOARDING.c.id.in_(ids)).values(link_issued_at=now))
    remember(connection, [entry(w.record, now, worker, sentence="consent link issued") for w in writes])
    return [None] * len(writes)
