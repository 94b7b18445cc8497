"""The `onboard` command in this process or as a real one, in a home of its own, against a local Alloy."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select

from deployments.cli import main
from deployments.sandbox.server import Sandbox, running_sandbox
from states.stage import Stage
from store.engine import make_engine, migrate, writing
from store.models import Batch, Customer, Onboarding

SETTINGS = ("ALLOY_", "ONBOARD_", "PREFECT_", "UV_")


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Onboard = Callable[..., Ended]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and no setting of the machine."""
    for name in [name for name in os.environ if name.startswith(SETTINGS)]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ONBOARD_HOME", str(tmp_path / ".onboard"))
    return tmp_path


@pytest.fixture
def onboard(home: Path, capsys: pytest.CaptureFixture[str]) -> Onboard:
    """Run the command in this process."""

    def run(*words: str) -> Ended:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(list(words))
        said = capsys.readouterr()
        return Ended(int(ended.value.code or 0), said.out, said.err)

    return run


@pytest.fixture
def command(home: Path) -> Onboard:
    """Run the command as a process."""

    def run(*words: str, **more: str) -> Ended:
        ended = subprocess.run(
            [sys.executable, "-c", "from deployments.cli import main; main()", *words],
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
            env={**os.environ, **more},
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    return run


@pytest.fixture(scope="session")
def alloy() -> Iterator[Sandbox]:
    """A local Alloy whose account has a user, so that its catalogue can be read."""
    with running_sandbox() as sandbox:
        sandbox.account.add_user("somebody@example.test", "Somebody")
        yield sandbox


@pytest.fixture
def account(alloy: Sandbox, home: Path, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """The local Alloy, and the settings by which the command finds it."""
    monkeypatch.setenv("ALLOY_API_KEY", "sandbox-dev-key")
    monkeypatch.setenv("ALLOY_BASE_URL", alloy.url)
    monkeypatch.setenv("ALLOY_RATE", "500")
    return alloy


@pytest.fixture
def database(home: Path) -> str:
    """The home's own database, its tables made."""
    url = f"sqlite:///{home / '.onboard' / 'onboard.db'}"
    engine = make_engine(url)
    migrate(engine)
    engine.dispose()
    return url


@pytest.fixture
def put(database: str) -> Callable[..., None]:
    """Put an onboarding on record, as it might stand at some moment."""

    def put(username: str, **more: object) -> None:
        now = datetime.now(UTC)
        engine = make_engine(database)
        with writing(engine) as connection:
            batch_id = connection.scalar(select(Batch.id))
            if batch_id is None:
                batch_id = connection.execute(
                    insert(Batch).values(name="spring", templates=[], created_at=now).returning(Batch.id)
                ).scalar_one()
            customer_id = connection.scalar(select(Customer.id).where(Customer.username == username))
            if customer_id is None:
                customer_id = connection.execute(
                    insert(Customer)
                    .values(username=username, full_name=f"Full {username}", created_at=now)
                    .returning(Customer.id)
                ).scalar_one()
            values = {
                "batch_id": batch_id,
                "customer_id": customer_id,
                "integration": "slack",
                "integration_key": "slack",
                "stage": Stage.new,
                "stage_since": now,
                "created_at": now,
                **more,
            }
            connection.execute(insert(Onboarding).values(**values))
        engine.dispose()

    return put
