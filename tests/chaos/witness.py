"""A witness inside the database: triggers note who wrote what under which lease, and when.

The workers do not know of it. Its times are the database's own, and its order is that in which the rows were locked,
so what it tells does not depend on any worker's clock or word.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from sqlalchemy import Engine, text

from store.engine import reading, writing

_TABLE = """
CREATE TABLE witness (
    id bigserial PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    transaction bigint NOT NULL DEFAULT txid_current(),
    onboarding_id integer NOT NULL,
    event text NOT NULL,
    worker text,
    before text,
    moved boolean NOT NULL DEFAULT false,
    intent_id integer,
    outcome text
);
CREATE FUNCTION see_onboarding() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO witness (onboarding_id, event, worker, before, moved)
    VALUES (NEW.id, 'lease', NEW.lease_owner, OLD.lease_owner, NEW.stage <> OLD.stage);
    RETURN NULL;
END $$;
CREATE FUNCTION see_history() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO witness (onboarding_id, event, worker) VALUES (NEW.onboarding_id, 'history', NEW.worker);
    RETURN NULL;
END $$;
CREATE FUNCTION see_intent() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO witness (onboarding_id, event, intent_id, outcome)
    VALUES (NEW.onboarding_id, CASE WHEN TG_OP = 'INSERT' THEN 'opened' ELSE 'closed' END, NEW.id, NEW.outcome);
    RETURN NULL;
END $$;
CREATE TRIGGER witness_onboarding AFTER UPDATE ON onboarding FOR EACH ROW
    WHEN (OLD.lease_token IS DISTINCT FROM NEW.lease_token OR OLD.stage <> NEW.stage) EXECUTE FUNCTION see_onboarding();
CREATE TRIGGER witness_history AFTER INSERT ON history FOR EACH ROW EXECUTE FUNCTION see_history();
CREATE TRIGGER witness_opened AFTER INSERT ON intent FOR EACH ROW EXECUTE FUNCTION see_intent();
CREATE TRIGGER witness_closed AFTER UPDATE ON intent FOR EACH ROW
    WHEN (OLD.outcome IS DISTINCT FROM NEW.outcome) EXECUTE FUNCTION see_intent();
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """One thing that happened to an onboarding."""

    onboarding_id: int
    at: datetime
    transaction: int
    event: str
    """`lease` (claimed, given back or moved), `history`, `opened` or `closed` (an intent)."""
    worker: str | None
    """Who has it now, or who wrote the history row."""
    before: str | None
    """Who had it before."""
    moved: bool
    outcome: str | None


def install(engine: Engine) -> None:
    """Put the witness into a database with our tables."""
    with writing(engine) as connection:
        connection.execute(text(_TABLE))


def database_now(engine: Engine) -> datetime:
    """Return the time by the database's clock."""
    with reading(engine) as connection:
        now: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    return now


def testimony(engine: Engine) -> dict[int, list[Seen]]:
    """Return all that was seen, for each onboarding in its order."""
    statement = text(
        "SELECT onboarding_id, at, transaction, event, worker, before, moved, outcome FROM witness"
        " ORDER BY onboarding_id, id"
    )
    with reading(engine) as connection:
        seen = [Seen(*row) for row in connection.execute(statement)]
    return {onboarding_id: list(rows) for onboarding_id, rows in groupby(seen, lambda one: one.onboarding_id)}


def takeovers(seen: Iterable[Seen]) -> Iterator[Seen]:
    """Yield the claims by which a record went from one worker to another without having been given back."""
    return (one for one in seen if one.event == "lease" and one.before and one.worker and one.before != one.worker)


def foreign_writes(seen: Sequence[Seen]) -> list[str]:
    """Return what was written to one onboarding by a worker that did not hold its lease at that moment."""
    wrong: list[str] = []
    holder: str | None = None
    ended_by: tuple[int, str | None] = (0, None)
    workers = {one.worker for one in seen if one.event == "lease"}
    for one in seen:
        if one.event == "lease":
            if one.moved and one.before is None:
                wrong.append(f"onboarding {one.onboarding_id} was moved at {one.at} while nobody had it")
            if one.before != holder:
                wrong.append(f"onboarding {one.onboarding_id} changed hands unseen at {one.at}")
            holder, ended_by = one.worker, (one.transaction, one.before)
        # An outcome gives the lease back first, and writes its history in the same transaction.
        elif one.event == "history" and one.worker in workers - {holder} and ended_by != (one.transaction, one.worker):
            wrong.append(f"{one.worker} wrote to onboarding {one.onboarding_id} at {one.at}, held by {holder}")
    return wrong
