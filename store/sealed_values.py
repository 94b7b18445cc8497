"""What is sealed in the tables, held against the keys: one that was lost shows here before it holds up a record."""

from dataclasses import dataclass

from sqlalchemy import Engine, select

from store.engine import reading
from store.models import AUTH_VALUE, CONSENT_LINK
from store.vault import SealedValueLost, Vault

TRIED = 1_000
"""Of each kind; a key is lost for all that was sealed with it, so that not every value need be opened to notice."""


@dataclass(frozen=True, slots=True)
class Tried:
    """How many sealed values were tried, how many only an older key opens, and how many none does."""

    number: int
    older: int
    lost: int


def try_to_open(engine: Engine, vault: Vault) -> Tried:
    """Open the oldest auth values and consent links."""
    oldest = (
        select(AUTH_VALUE.c.sealed).order_by(AUTH_VALUE.c.onboarding_id).limit(TRIED),
        select(CONSENT_LINK.c.sealed).order_by(CONSENT_LINK.c.id).limit(TRIED),
    )
    with reading(engine) as connection:
        sealed: list[bytes] = [value for kind in oldest for value in connection.scalars(kind)]
    lost = sum(not _opens(vault, value) for value in sealed)
    return Tried(len(sealed), sum(map(vault.needs_older_key, sealed)) - lost, lost)


def _opens(vault: Vault, sealed: bytes) -> bool:
    try:
        vault.open_value(sealed)
    except SealedValueLost:
        return False
    return True
