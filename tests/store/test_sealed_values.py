from datetime import datetime

from pydantic import SecretStr
from sqlalchemy import Engine, insert

from store.engine import writing
from store.models import AUTH_VALUE, CONSENT_LINK
from store.sealed_values import Tried, try_to_open
from store.vault import Vault
from tests.store.conftest import Add
from tests.store.test_vault import NEW, OLD


def vault(*keys: str) -> Vault:
    return Vault.open(SecretStr(",".join(keys)), None)  # type: ignore[arg-type]


def seal(engine: Engine, add: Add, now: datetime, by: Vault) -> None:
    onboarding = add()
    with writing(engine) as connection:
        connection.execute(insert(AUTH_VALUE).values(onboarding_id=onboarding, name="a", sealed=by.seal("a")))
        connection.execute(insert(CONSENT_LINK).values(onboarding_id=onboarding, sealed=by.seal("b"), issued_at=now))


def test_the_key_that_sealed_opens_everything(engine: Engine, add: Add, now: datetime) -> None:
    seal(engine, add, now, vault(OLD))

    assert try_to_open(engine, vault(OLD)) == Tried(2, older=0, lost=0)


def test_what_only_an_older_key_opens_is_counted(engine: Engine, add: Add, now: datetime) -> None:
    seal(engine, add, now, vault(OLD))

    assert try_to_open(engine, vault(NEW, OLD)) == Tried(2, older=2, lost=0)


def test_what_another_key_sealed_is_lost(engine: Engine, add: Add, now: datetime) -> None:
    seal(engine, add, now, vault(OLD))

    assert try_to_open(engine, vault(NEW)) == Tried(2, older=0, lost=2)
