"""Which lists are only half in, and how far each of them is: what ``status`` says of them.

Asked in plain SQL, as everything is that operators look at often; :mod:`store.read_only` says why.
"""

from dataclasses import dataclass
from datetime import datetime

from store.read_only import Database, as_time, ask


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A list that is only half in its batch; what it has added so far is held back."""

    batch: str
    source: str
    """The list's file name, without its folder."""
    rows: int
    """So many of its rows are in."""
    rows_in_list: int | None
    began_at: datetime
    held_back: int
    """How many onboardings it has added so far that wait for the rest of it and for nothing else."""
    discarded: bool
    """Somebody began to take it out again; it can only be taken out now."""
    after_id: int = 0
    """The newest onboarding of all when it began."""

    def holds_back(self, onboarding_id: int) -> bool:
        """Tell whether an onboarding of the batch waits for the rest of the list."""
        return onboarding_id > self.after_id


def unfinished(database: Database, batch_id: int | None = None) -> list[Unfinished]:
    """Return the lists that are only half in, of all batches or of one, the oldest first."""
    rows = ask(
        database,
        """
        SELECT batch.name, unfinishedintake.source, unfinishedintake.rows, unfinishedintake.rows_in_list,
               unfinishedintake.began_at, unfinishedintake.token, unfinishedintake.after_id,
               (SELECT count(*) FROM onboarding
                WHERE onboarding.batch_id = batch.id AND onboarding.id > unfinishedintake.after_id
                AND onboarding.stage = 'new' AND onboarding.hold IS NULL)
        FROM unfinishedintake JOIN batch ON batch.id = unfinishedintake.batch_id
        """,
        "" if batch_id is None else "WHERE batch.id = :batch_id",
        "ORDER BY unfinishedintake.began_at, batch.id",
        **({} if batch_id is None else {"batch_id": batch_id}),
    )
    # An empty token is `store.intake.holding_back.NOBODY`.
    return [
        Unfinished(name, source, so_far, in_list, as_time(began), held_back, discarded=token == "", after_id=after_id)
        for name, source, so_far, in_list, began, token, after_id, held_back in rows
    ]
