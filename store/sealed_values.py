"""What is sealed in the tables, held against the key: a key that was lost shows here before it holds up a record."""

from sqlalchemy import Engine, select

from store.engine import reading
from store.models import AUTH_VALUE, CONSENT_LINK
from store.vault import SealedValueLost, Vault

TRIED = 1_000
"""Of each kind; a key is lost for all that was sealed with it, so that not every value need be opened to notice."""


def try_to_open(engine: Engine, vault: Vault) -> tuple[int, int]:
    """Open the oldest auth values and consent links; return how many were tried, and how many no key opens."""
    oldest = (
        select(AUTH_VALUE.c.sealed).order_by(AUTH_VALUE.c.onboarding_id).limit(TRIED),
        select(CONSENT_LINK.c.sealed).order_by(CONSENT_LINK.c.id).limit(TRIED),
    )
    with reading(engine) as connection:
        sealed: list[bytes] = [value for kind in oldest for value in connection.scalars(kind)]
    return len(sealed), sum(not _opens(vault, value) for value in sealed)


def _opens(vault: Vault, sealed: bytes) -> bool:
    try:
        vault.open_value(sealed)
    except SealedValueLost:
        return False
    return True
