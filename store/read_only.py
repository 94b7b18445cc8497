"""Questions in plain SQL, asked through an engine where there is one, and without SQLAlchemy where there is none.

Importing SQLAlchemy takes a hundred times as long as counting ten thousand records. So what is asked from a command
line, again and again, is written as SQL that SQLite and PostgreSQL both understand, with ``:name`` for a parameter.
"""

import json
import re
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from store.revisions import known_revisions

if TYPE_CHECKING:
    from sqlalchemy import Engine

Database: TypeAlias = "Engine | ReadOnly"
"""Whatever can be asked."""

_PARAMETER = re.compile(r":(\w+)")
_SQLITE = re.compile(r"sqlite(?:\+pysqlite)?:///(?!file:)([^?]+)")
# Only what SQLAlchemy and libpq read alike: no reserved character as such, none encoded in the database's name.
_POSTGRESQL = re.compile(
    r"postgres(?:ql)?(?:\+psycopg)?:(//(?:[^:/@?#]*(?::[^:/@?#]*)?@)?[^/@?#%,]*(?:/[^/@?#%]*)?(?:\?[^?#+]*)?)"
)


@dataclass(frozen=True, slots=True)
class ReadOnly:
    """A driver's own connection that cannot write, to a database whose tables are up to date."""

    connection: Any
    error: type[Exception]
    """What the driver raises."""
    parameter: str
    r"""How the driver wants a parameter written; ``\1`` is its name."""

    def rows(self, statement: str, parameters: Mapping[str, object]) -> Sequence[Sequence[Any]]:
        """Return all rows that ``statement`` finds."""
        found: Sequence[Sequence[Any]] = self.connection.execute(
            _PARAMETER.sub(self.parameter, statement), parameters
        ).fetchall()
        return found

    def close(self) -> None:
        """Let go of the database."""
        self.connection.close()


def open_read_only(url: str) -> ReadOnly | None:
    """Open the database at ``url``. None where :mod:`store.engine` is needed to do it, or to say why it cannot be done.

    That is where there is no database yet, where its tables are not of the present version, and where the URL is of a
    rarer kind.
    """
    database = _connect(url.strip())
    if database is None or _is_up_to_date(database):
        return database
    database.close()
    return None


def ask(database: Database, *statement: str, **parameters: object) -> Sequence[Sequence[Any]]:
    """Return the rows that ``statement``, in one part or several, finds; times and JSON as the driver gives them."""
    if isinstance(database, ReadOnly):
        return database.rows("\n".join(statement), parameters)
    from sqlalchemy import text

    with database.connect() as connection:
        return connection.execute(text("\n".join(statement)), parameters).all()


def as_time(found: datetime | str) -> datetime:
    """Return a time that a driver gave: SQLite keeps UTC as text, and PostgreSQL answers in the session's time zone."""
    if isinstance(found, str):
        return datetime.fromisoformat(found).replace(tzinfo=UTC)
    return found.astimezone(UTC)


def as_optional_time(found: datetime | str | None) -> datetime | None:
    """Return a time that may not be set, likewise."""
    return None if found is None else as_time(found)


def as_json(found: Any) -> Any:
    """Return JSON that a driver gave: SQLite keeps it as text."""
    return json.loads(found) if isinstance(found, str) else found


def as_parameter(database: Database, time: datetime) -> datetime | str:
    """Return a time as it is compared with those that ``database`` keeps."""
    if isinstance(database, ReadOnly):
        keeps_text = isinstance(database.connection, sqlite3.Connection)
    else:
        keeps_text = database.dialect.name == "sqlite"
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}" if keeps_text else time


def _is_up_to_date(database: ReadOnly) -> bool:
    with suppress(database.error):
        versions = database.rows("SELECT version_num FROM alembic_version", {})
        return [version for (version,) in versions] == known_revisions()[-1:]
    return False


def _connect(url: str) -> ReadOnly | None:
    if sqlite := _SQLITE.fullmatch(url):
        # Not `mode=ro`: whoever closes the database last clears its WAL away, and must be able to.
        uri = f"{Path(sqlite[1]).absolute().as_uri()}?mode=rw"
        with suppress(sqlite3.Error):
            connection = sqlite3.connect(uri, uri=True, timeout=30, isolation_level=None)
            connection.execute("PRAGMA query_only=ON")
            return ReadOnly(connection, sqlite3.Error, r":\1")
    elif postgresql := _POSTGRESQL.fullmatch(url):
        import psycopg

        with suppress(psycopg.Error):
            server = psycopg.connect(f"postgresql:{postgresql[1]}")
            server.read_only = True
            return ReadOnly(server, psycopg.Error, r"%(\1)s")
    return None
