"""The partial indexes: they cover only what may move, so that due work is found as fast among a million as among ten.

Only a migration reads them. They stand apart from the tables since SQLAlchemy imports the dialect of every database
whose words an index is told, and no command should wait for one that it does not use.
"""

from sqlalchemy import Column, Index, Table, text

from store.models import CUSTOMER, INTENT, ONBOARDING, QUARANTINE


def _partial(name: str, table: Table, columns: str, where: str, *, unique: bool = False) -> None:
    """Add an index to ``table`` that covers only the rows ``where`` that holds."""
    covered: list[Column[object]] = [table.c[column] for column in columns.split()]
    Index(name, *covered, unique=unique, sqlite_where=text(where), postgresql_where=text(where))


_partial("ix_customer_alloy_user_id", CUSTOMER, "alloy_user_id", "NOT shares_user", unique=True)
_partial("ix_onboarding_due", ONBOARDING, "stage due_at", "due_at IS NOT NULL")
_partial("ix_onboarding_batch_due", ONBOARDING, "batch_id stage due_at", "due_at IS NOT NULL")
_partial("ix_onboarding_lease", ONBOARDING, "lease_token", "lease_token IS NOT NULL")
_partial("ix_intent_open", INTENT, "onboarding_id", "closed_at IS NULL", unique=True)
_partial("ix_quarantine_open", QUARANTINE, "integration stage", "closed_at IS NULL", unique=True)

METADATA = ONBOARDING.metadata
"""All tables and all indexes."""
