"""One engine a process, for SQLite and PostgreSQL alike, and the two kinds of transaction that the store knows.

SQLite lets many read and one write. A transaction that reads first and writes later fails there whenever somebody else
wrote in between, and no busy timeout helps; so whoever means to write says so before the first statement.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DatabaseError
from sqlmodel import SQLModel

from store.private_folder import make_private
from store.revisions import MIGRATIONS, known_revisions

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite

_MIGRATION_LOCK = 0x6F6E626F617264
_WRITES = "onboard_writes"
_LONGEST_IDLE_SECONDS = 10
"""Between two statements of one transaction; ours follow each other within milliseconds."""


class DatabaseUrlError(ValueError):
    """The database URL cannot be used; the text says why, without the URL's password."""


class DatabaseTooNew(RuntimeError):
    """A newer version of this program has changed the tables; this one would misread them."""


def make_engine(url: str, pool_size: int = 5) -> Engine:
    """Return an engine for a SQLite file, whose folder is created, or for PostgreSQL.

    ``pool_size`` is how many threads will use it at once. Raises :class:`DatabaseUrlError` for anything else, also for
    a SQLite database in memory: no other thread or process would see it, so nothing would be remembered.
    """
    parsed = _read_url(url)
    # Parameters would put customers' data, though sealed, into every exception's text.
    options: dict[str, Any] = {"pool_size": pool_size, "max_overflow": pool_size, "hide_parameters": True}
    if parsed.get_backend_name() == "postgresql":
        engine = create_engine(parsed, pool_pre_ping=True, **options)
        event.listen(engine, "connect", _set_up_postgresql)
        return engine
    _make_place(parsed.database or "")
    engine = create_engine(parsed, **options)
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that is going to write; commit at the end, roll back on any exception.

    On SQLite it takes the write lock at once (``BEGIN IMMEDIATE``), so a SELECT followed by an UPDATE in it is one
    serialised step. On PostgreSQL it is a plain READ COMMITTED transaction: lock there what you read to decide.
    """
    with engine.connect().execution_options(**{_WRITES: True}) as connection, connection.begin():
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that only reads: it waits for no writer and makes none wait."""
    with engine.connect() as connection:
        yield connection


def time_of(engine: Engine) -> datetime:
    """Return the time by the database's own clock, in UTC: the one that all workers have in common."""
    if engine.dialect.name != "postgresql":
        return datetime.now(UTC)  # whoever shares a SQLite file shares its machine's clock
    with reading(engine) as connection:
        now: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    return now.astimezone(UTC)


def insert(bind: Engine | Connection, table: type[SQLModel]) -> "postgresql.Insert | sqlite.Insert":
    """Return the INSERT of the database's own dialect: only that one knows ``on_conflict_do_nothing`` and its kin."""
    into = SQLModel.metadata.tables[str(table.__tablename__)]
    # Only the dialect in use is imported: the other one would take a tenth of the time that a short command has.
    if bind.dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(into)
    from sqlalchemy.dialects import sqlite

    return sqlite.insert(into)


def migrate(engine: Engine) -> None:
    """Bring the tables up to date. Quick when they are, and safe when several processes start at once.

    Raises :class:`DatabaseTooNew` if a newer version of this program was here.
    """
    known = known_revisions()
    if _revision(engine) == known[-1]:
        return
    with _migrating(engine) as connection:
        current = _revision_in(connection) if _has_revision(connection) else None
        if current == known[-1]:
            return
        if current is not None and current not in known:
            raise DatabaseTooNew(
                f"the database is at version {current}, this program knows up to {known[-1]}: update it"
            )
        # Alembic takes longer to import than everything above takes to run.
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _read_url(url: str) -> URL:
    try:
        parsed = make_url(url.strip())
    except (ArgumentError, ValueError):
        raise DatabaseUrlError(
            "not a database URL: write sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE",
        ) from None
    if parsed.drivername in ("postgres", "postgresql", "postgresql+psycopg"):
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise DatabaseUrlError(f"{parsed.drivername} is not supported: use sqlite:///FILE or postgresql://…")
    name = parsed.database or ""
    if name in ("", ":memory:") or "::memory:" in name or parsed.query.get("mode") == "memory":
        raise DatabaseUrlError("a SQLite database in memory forgets everything at the end: write sqlite:///FILE")
    return parsed


def _make_place(name: str) -> None:
    """Make the folder and the file for their owner alone; what is there already keeps the permissions that it has."""
    file = Path(name.removeprefix("file:")).absolute()
    make_private(file.parent)
    if not name.startswith("file:"):  # such a name may end in what only SQLite can read
        with suppress(OSError):  # it is there, or SQLite is going to say what is wrong
            file.touch(mode=0o600, exist_ok=False)


def _set_up_postgresql(connection: Any, _record: object) -> None:
    # A process that is stopped in the middle of a transaction keeps its locks: so long, and no longer.
    cursor = connection.cursor()
    cursor.execute(f"SET idle_in_transaction_session_timeout = '{_LONGEST_IDLE_SECONDS}s'")
    cursor.close()
    connection.commit()


def _set_up_sqlite(connection: Any, _record: object) -> None:
    # None: the driver begins no transactions by itself, `_begin_sqlite` does.
    connection.isolation_level = None
    cursor = connection.cursor()
    # First, since the switch to WAL may itself have to wait; the default of five seconds is short for a slow disk.
    cursor.execute("PRAGMA busy_timeout=30000")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _revision(engine: Engine) -> str | None:
    with suppress(DatabaseError), reading(engine) as connection:
        return _revision_in(connection)
    return None


def _revision_in(connection: Connection) -> str | None:
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def _has_revision(connection: Connection) -> bool:
    return connection.dialect.has_table(connection, "alembic_version")


@contextmanager
def _migrating(engine: Engine) -> Iterator[Connection]:
    if engine.dialect.name == "postgresql":
        with writing(engine) as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
            yield connection
        return
    # Rebuilding a table drops it for a moment, which its foreign keys forbid; they can be switched off only out here.
    with engine.connect().execution_options(**{_WRITES: True}) as connection:
        driver: Any = connection.connection.driver_connection
        driver.execute("PRAGMA foreign_keys=OFF")
        try:
            with connection.begin():
                yield connection
        finally:
            driver.execute("PRAGMA foreign_keys=ON")
