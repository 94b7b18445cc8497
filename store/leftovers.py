"""What may be left behind at Alloy: how many calls may have left something, and all that is known of each.

Plain SQL through :mod:`store.read_only`; what counts as a leftover is said once, for the number and for the list.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from states.stage import Trigger
from store.closing import Closing
from store.finding import find_batch
from store.read_only import Database, as_json, as_time, ask

if TYPE_CHECKING:
    from pydantic import JsonValue

# The words are those of `store.closing`: a start whose effect could not be found, or a late answer. Nobody looks for
# what a call did whose record was cancelled.
_IS_LEFTOVER = """
    (intent.outcome IN ('leftover', 'late') OR (intent.closed_at IS NULL AND EXISTS (
        SELECT 1 FROM onboarding AS cancelled WHERE cancelled.id = intent.onboarding_id AND cancelled.hold = 'cancelled'
    )))
"""


@dataclass(frozen=True, slots=True)
class Leftover:
    """A call whose effect may be left at Alloy, where nothing of ours uses it."""

    username: str
    alloy_user_id: str | None
    batch: str
    integration: str
    integration_id: str | None
    trigger: Trigger
    called_at: datetime
    outcome: Closing | None
    """None: nothing is known of it, and nobody looks, since the onboarding was cancelled."""
    installation_id: str | None
    """What is used instead."""
    credential_id: str | None
    evidence: "dict[str, JsonValue] | None"
    """What Alloy answered, where an answer came after all."""


def count_leftovers(database: Database, batch_id: int | None = None) -> int:
    """Return how many :func:`leftovers` would return."""
    of = {} if batch_id is None else {"batch_id": batch_id}
    [(number,)] = ask(
        database,
        "SELECT count(*) FROM intent WHERE",
        _IS_LEFTOVER,
        "AND intent.onboarding_id IN (SELECT id FROM onboarding WHERE batch_id = :batch_id)" if of else "",
        **of,
    )
    return int(number)


def leftovers(database: Database, *, batch: str | None = None) -> list[Leftover]:
    """Return what may be left behind, of all batches or of one, the oldest call first.

    Raises :class:`store.finding.NotFound`.
    """
    of = {} if batch is None else {"batch_id": find_batch(database, batch)}
    rows = ask(
        database,
        """
        SELECT customer.username, customer.alloy_user_id, batch.name, onboarding.integration,
               onboarding.integration_id, intent.trigger, intent.opened_at, intent.outcome,
               onboarding.installation_id, onboarding.credential_id, intent.evidence
        FROM intent
        JOIN onboarding ON onboarding.id = intent.onboarding_id
        JOIN customer ON customer.id = onboarding.customer_id
        JOIN batch ON batch.id = onboarding.batch_id
        WHERE
        """,
        _IS_LEFTOVER,
        "AND onboarding.batch_id = :batch_id" if of else "",
        "ORDER BY intent.id",
        **of,
    )
    return [_leftover(row) for row in rows]


def _leftover(row: Sequence[Any]) -> Leftover:
    (
        username, alloy_user_id, batch, integration, integration_id, trigger, called_at, outcome, installation_id,
        credential_id, evidence,
    ) = row  # fmt: skip
    return Leftover(
        username=username,
        alloy_user_id=alloy_user_id,
        batch=batch,
        integration=integration,
        integration_id=integration_id,
        trigger=Trigger(trigger),
        called_at=as_time(called_at),
        outcome=outcome and Closing(outcome),
        installation_id=installation_id,
        credential_id=credential_id,
        evidence=as_json(evidence),
    )
