"""The consent links that wait to be followed, still sealed.

Plain SQL through :mod:`store.read_only`, as all that is looked at often.
"""

from dataclasses import dataclass
from datetime import datetime

from store.finding import find_batch
from store.read_only import Database, as_time, ask


@dataclass(frozen=True, slots=True)
class Link:
    """A consent link to send out; still sealed."""

    username: str
    full_name: str
    integration: str
    issued_at: datetime
    sealed: bytes


def links(database: Database, *, batch: str | None = None) -> list[Link]:
    """Return the consent links that wait to be followed, of all batches or of one, the oldest first; still sealed.

    Raises :class:`store.finding.NotFound`.
    """
    of = {} if batch is None else {"batch_id": find_batch(database, batch)}
    rows = ask(
        database,
        """
        SELECT customer.username, customer.full_name, onboarding.integration, consentlink.issued_at, consentlink.sealed
        FROM consentlink
        JOIN onboarding ON onboarding.id = consentlink.onboarding_id
        JOIN customer ON customer.id = onboarding.customer_id
        WHERE onboarding.stage = 'created' AND coalesce(onboarding.hold, '') <> 'cancelled'
        """,
        "AND onboarding.batch_id = :batch_id" if of else "",
        "ORDER BY consentlink.issued_at, consentlink.id",
        **of,
    )
    return [
        Link(username, full_name, integration, as_time(issued_at), bytes(sealed))
        for username, full_name, integration, issued_at, sealed in rows
    ]
