"""The account's own book: what happened, counted from the server's side.

A test of "exactly once" compares this book with the list that was handed in. Customers are named by their username,
or by their id if they have none.
"""

from collections import defaultdict
from dataclasses import asdict, dataclass, field

from pydantic import TypeAdapter

from deployments.sandbox.account import Account

Customer = str
IntegrationId = str


@dataclass(frozen=True, kw_only=True)
class LedgerRow:
    """One customer's installations of one integration."""

    username: Customer
    integration_id: IntegrationId
    installation_ids: list[str]


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """Counters, and the truth for each customer and (customer, integration)."""

    users: int
    duplicate_user_creates: int
    """Creations that were asked for a username that was taken, whatever was answered."""
    credentials: int
    credentials_created: int
    installations: int
    installations_started: int
    """Starts that took effect, ever."""
    installations_completed: int
    """Installations that exist and are completed."""
    completions: int
    """Completions that took effect, ever; repeats included."""
    orphans: int
    """Installations that exist and were never completed."""
    unused_credentials: int
    """Credentials that no completed installation uses."""
    consents_granted: int
    consents_denied: int
    completed: dict[tuple[Customer, IntegrationId], list[str]] = field(default_factory=dict)
    """Completed, not deleted, of users that exist."""
    enabled: dict[tuple[Customer, IntegrationId], list[str]] = field(default_factory=dict)
    """The completed ones that are enabled."""
    started: dict[tuple[Customer, IntegrationId], list[str]] = field(default_factory=dict)
    """The orphans."""
    credentials_of: dict[Customer, list[str]] = field(default_factory=dict)
    users_of: dict[Customer, str] = field(default_factory=dict)
    """Username to user id."""

    def as_json(self) -> dict[str, object]:
        """Return the ledger for the admin interface; `from_json` reads it back."""
        plain = asdict(self)
        for name in ("completed", "enabled", "started"):
            plain[name] = [
                {"username": username, "integration_id": integration_id, "installation_ids": ids}
                for (username, integration_id), ids in plain[name].items()
            ]
        return plain

    @classmethod
    def from_json(cls, plain: dict[str, object]) -> "Ledger":
        """Read what `as_json` wrote."""
        rows = {
            name: {
                (row.username, row.integration_id): row.installation_ids for row in _ROWS.validate_python(plain[name])
            }
            for name in ("completed", "enabled", "started")
        }
        return _LEDGER.validate_python({**plain, **rows})


_ROWS = TypeAdapter(list[LedgerRow])
_LEDGER = TypeAdapter(Ledger)


def ledger_of(account: Account) -> Ledger:
    """Count an account as it stands."""
    names = {user_id: user.username or user_id for user_id, user in account.users.items()}
    installations = list(account.installations.values())
    completed: dict[tuple[str, str], list[str]] = defaultdict(list)
    enabled: dict[tuple[str, str], list[str]] = defaultdict(list)
    started: dict[tuple[str, str], list[str]] = defaultdict(list)
    used: set[str] = set()
    for one in installations:
        name = names.get(one.user_id)
        if one.completed_at is not None:
            used.update(one.credential_ids.values())
        if name is None:
            continue
        key = (name, one.integration_id)
        if one.completed_at is None:
            started[key].append(one.installation_id)
            continue
        completed[key].append(one.installation_id)
        if one.enabled:
            enabled[key].append(one.installation_id)
    tally = account.tally
    return Ledger(
        users=len(account.users),
        duplicate_user_creates=tally.duplicate_user_creates,
        credentials=len(account.credentials),
        credentials_created=tally.credentials_created,
        installations=len(installations),
        installations_started=tally.installations_started,
        installations_completed=sum(one.completed_at is not None for one in installations),
        completions=tally.completions,
        orphans=sum(one.completed_at is None for one in installations),
        unused_credentials=sum(one not in used for one in account.credentials),
        consents_granted=tally.consents_granted,
        consents_denied=tally.consents_denied,
        completed=dict(completed),
        enabled=dict(enabled),
        started=dict(started),
        credentials_of={
            name: [one.credential_id for one in account.credentials_of(user_id)] for user_id, name in names.items()
        },
        users_of={name: user_id for user_id, name in names.items()},
    )
