"""Finding a batch or a customer by the name that somebody typed.

Plain SQL through :mod:`store.read_only`, as all that is looked at often.
"""

from store.read_only import Database, ask


class NotFound(LookupError):
    """There is no such batch or customer; the text names it."""


def find_batch(database: Database, name: str) -> int:
    """Return the id of the batch ``name``. Raises :class:`NotFound`."""
    for (batch_id,) in ask(database, "SELECT id FROM batch WHERE name = :name", name=name):
        return int(batch_id)
    latest = ask(database, "SELECT name FROM batch ORDER BY id DESC LIMIT 5")
    raise NotFound(f"there is no batch {name!r}; the latest are: {', '.join(row[0] for row in latest) or 'none yet'}")


def find_customer(database: Database, username: str) -> int:
    """Return the id of the customer ``username``. Raises :class:`NotFound`."""
    for (customer_id,) in ask(database, "SELECT id FROM customer WHERE username = :username", username=username):
        return int(customer_id)
    raise NotFound(f"there is no customer {username!r}")
