"""A fresh, migrated database for every test that asks for one: SQLite and a real PostgreSQL in turn.

Both are as good as copies of one migrated template, made once a session: a test pays milliseconds, no migrations.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Engine

from store.engine import known_revisions, make_engine, migrate
from store.models import Batch
from tests.postgresql import administering, running_postgresql, with_database


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the proofs covered and where screenshots are: tests tell it with ``record_property``."""
    told = [
        f"{report.nodeid.partition('::')[2]}: {value}"
        for report in terminalreporter.getreports("passed")
        for name, value in report.user_properties
        if name == "proof" and report.when == "call"
    ]
    if told:
        terminalreporter.section("proofs")
        for line in told:
            terminalreporter.line(line)
    screenshots = {
        value
        for outcome in ("passed", "failed", "error")
        for report in terminalreporter.getreports(outcome)
        for name, value in report.user_properties
        if name == "screenshots"
    }
    if screenshots:
        terminalreporter.section("screenshots")
        for folder in sorted(screenshots):
            terminalreporter.line(folder)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The URL of a PostgreSQL that lives as long as the session; each xdist worker has its own."""
    with running_postgresql() as url:
        yield url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("template") / "migrated.db"
    _migrate(f"sqlite:///{file}")
    return file


@pytest.fixture(scope="session")
def postgresql_databases(postgresql_server: str) -> "PostgresqlDatabases":
    with administering(postgresql_server) as run:
        run("CREATE DATABASE migrated")
    _migrate(with_database(postgresql_server, "migrated"))
    return PostgresqlDatabases(postgresql_server, template="migrated")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_kind(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


@pytest.fixture
def empty_database_url(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A fresh database without any table."""
    if database_kind == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    with PostgresqlDatabases(request.getfixturevalue("postgresql_server"), template="template0").lend() as url:
        yield url


@pytest.fixture
def database_url(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A fresh database with all tables, of either kind in turn."""
    if database_kind == "sqlite":
        file = tmp_path / "onboard.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), file)
        yield f"sqlite:///{file}"
        return
    with request.getfixturevalue("postgresql_databases").lend() as url:
        yield url


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = make_engine(database_url)
    yield engine
    engine.dispose()


class PostgresqlDatabases:
    """Lends databases that look like new copies of a template.

    One that comes back with nobody connected and its tables unchanged is emptied and lent again, which takes a tenth
    of the time of a copy; any other is dropped.
    """

    def __init__(self, server: str, template: str) -> None:
        self._server = server
        self._template = template
        self._clean: list[str] = []

    @contextmanager
    def lend(self) -> Iterator[str]:
        name = self._clean.pop() if self._clean else self._copy()
        yield with_database(self._server, name)
        if self._template == "template0" or not self._emptied(name):
            with administering(self._server) as run:
                # A test may have left a process or a thread behind that is still connected.
                run(f"DROP DATABASE {name} WITH (FORCE)")
        else:
            self._clean.append(name)

    def _copy(self) -> str:
        name = f"test_{uuid4().hex}"
        with administering(self._server) as run:
            run(f"CREATE DATABASE {name} TEMPLATE {self._template}")
        return name

    def _emptied(self, name: str) -> bool:
        with administering(with_database(self._server, name)) as run:
            connected = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
            if run(connected).scalar_one() > 1 or run(tables).scalar_one() != len(Batch.metadata.tables) + 1:
                return False
            if run("SELECT version_num FROM alembic_version").scalar_one_or_none() != known_revisions()[-1]:
                return False
            run(f"TRUNCATE {', '.join(Batch.metadata.tables)} RESTART IDENTITY CASCADE")
        return True


def _migrate(url: str) -> None:
    engine = make_engine(url)
    migrate(engine)
    engine.dispose()
