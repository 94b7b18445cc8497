"""Reading without an engine: what can be opened so, and that nothing is changed by it."""

import sqlite3
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import Engine, make_url, text

from store.engine import make_engine, migrate, writing
from store.read_only import as_time, open_read_only


def test_it_cannot_write(database_url: str) -> None:
    database = open_read_only(database_url)
    assert database is not None
    with pytest.raises(database.error, match=r"read-?only"):
        database.rows("INSERT INTO capability (host, learnt) VALUES (:host, :learnt)", {"host": "h", "learnt": "{}"})
    database.close()


def test_it_leaves_nothing_behind(tmp_path: Path, sqlite_template: Path) -> None:
    file = tmp_path / "on board #1 100%.db"
    file.write_bytes(sqlite_template.read_bytes())
    before = file.read_bytes()

    database = open_read_only(f"sqlite:///{file}")
    assert database is not None
    database.rows("SELECT count(*) FROM onboarding", {})
    database.close()

    assert list(tmp_path.iterdir()) == [file]
    assert file.read_bytes() == before


def test_what_a_writer_has_not_yet_moved_out_of_the_wal_is_seen(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'onboard.db'}"
    engine = make_engine(url)
    migrate(engine)
    with writing(engine) as connection:
        connection.execute(text("INSERT INTO run (started_at, calls, seconds) VALUES ('2026-03-01', 1, 0)"))
    with writing(engine):
        database = open_read_only(url)
        assert database is not None
        assert list(database.rows("SELECT calls FROM run", {})) == [(1,)]
        database.close()
    engine.dispose()


def test_where_no_database_is_none_is_made(tmp_path: Path) -> None:
    assert open_read_only(f"sqlite:///{tmp_path / 'onboard.db'}") is None
    assert list(tmp_path.iterdir()) == []


def test_a_database_without_tables_is_not_opened(empty_database_url: str) -> None:
    if empty_database_url.startswith("sqlite"):
        sqlite3.connect(empty_database_url.removeprefix("sqlite:///")).close()
    assert open_read_only(empty_database_url) is None


@pytest.mark.parametrize("change", ["UPDATE alembic_version SET version_num = '0000'", "DELETE FROM alembic_version"])
def test_tables_of_another_version_are_not_opened(change: str, engine: Engine, database_url: str) -> None:
    with writing(engine) as connection:
        connection.execute(text(change))
    assert open_read_only(database_url) is None


def test_a_file_that_is_no_database_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("This is a text, and not a database of any kind. " * 100)
    assert open_read_only(f"sqlite:///{tmp_path / 'text.db'}") is None


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_every_spelling_of_postgresql_is_understood(scheme: str, database_url: str) -> None:
    url = make_url(database_url).set(drivername=scheme, password="an@odd:one").render_as_string(hide_password=False)
    database = open_read_only(f" {url}\n")
    assert database is not None
    database.close()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file:x?mode=memory&uri=true",
        "oracle://h/d",
        "postgresql+asyncpg://h/d",
        "postgresql://me:1@2/3@127.0.0.1:1/d",
        "postgresql://me:secret@127.0.0.1:1/d",
        "postgresql://127.0.0.1:1/d%20e",
        "postgresql://127.0.0.1:1/d?no_such_option=1",
        "postgresql://127.0.0.1:port/d",
    ],
)
def test_what_the_engine_must_judge_is_not_opened(url: str) -> None:
    assert open_read_only(url) is None


@pytest.mark.parametrize(
    "found",
    [
        "2026-11-23 20:00:00.000000",
        datetime(2026, 11, 23, 20, 0, tzinfo=UTC),
        datetime(2026, 11, 24, 5, 0, tzinfo=timezone(timedelta(hours=9))),
    ],
)
def test_a_time_is_in_utc_however_it_is_kept(found: datetime | str) -> None:
    time = as_time(found)
    assert time == datetime(2026, 11, 23, 20, 0, tzinfo=UTC)
    assert time.tzinfo is UTC
