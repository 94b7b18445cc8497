import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlmodel import col

from store.engine import DatabaseUrlError, insert, make_engine, reading, writing
from store.models import Capability


@pytest.mark.parametrize(
    "url",
    ["sqlite://", "sqlite:///:memory:", "sqlite:///file::memory:?uri=true", "sqlite:///file:x?mode=memory&uri=true"],
)
def test_a_database_in_memory_is_refused(url):
    with pytest.raises(DatabaseUrlError, match="in memory"):
        make_engine(url)


@pytest.mark.parametrize("url", ["", "onboard.db", "mysql://h/d", "postgresql+asyncpg://h/d", "postgresql://h:port/d"])
def test_a_url_that_cannot_be_used_is_refused(url):
    with pytest.raises(DatabaseUrlError):
        make_engine(url)


def test_a_refused_url_does_not_show_its_password():
    with pytest.raises(DatabaseUrlError) as refused:
        make_engine("mysql://me:hunter2@host/database")

    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_spelling_of_postgresql_means_psycopg_3(scheme):
    engine = make_engine(f"{scheme}://me:secret@host/database")

    assert engine.dialect.driver == "psycopg"


def test_the_folder_of_a_sqlite_file_is_created(tmp_path):
    engine = make_engine(f"sqlite:///{tmp_path / 'a' / 'b' / 'onboard.db'}")
    with reading(engine) as connection:
        connection.execute(text("SELECT 1"))
    engine.dispose()

    assert (tmp_path / "a" / "b" / "onboard.db").exists()


@pytest.fixture
def _generous_machine() -> Iterator[None]:
    """Whatever nobody restricts is open to everybody."""
    before = os.umask(0)
    yield
    os.umask(before)


def _mode(path: Path) -> str:
    return oct(stat.S_IMODE(path.stat().st_mode))


@pytest.mark.usefixtures("_generous_machine")
def test_the_folder_and_the_files_that_are_made_are_for_their_owner_alone(tmp_path):
    folder = tmp_path / ".onboard"
    engine = make_engine(f"sqlite:///{folder / 'onboard.db'}")
    with writing(engine) as connection:
        connection.execute(text("CREATE TABLE written (n INTEGER)"))
    modes = {file.name: _mode(file) for file in [folder, *folder.iterdir()]}
    engine.dispose()

    expected = {".onboard": "0o700", "onboard.db": "0o600", "onboard.db-shm": "0o600", "onboard.db-wal": "0o600"}
    assert modes == expected


@pytest.mark.usefixtures("_generous_machine")
def test_the_folder_and_the_file_that_were_there_keep_their_permissions(tmp_path):
    folder = tmp_path / "shared"
    folder.mkdir(mode=0o770)
    (folder / "onboard.db").touch(mode=0o660)
    make_engine(f"sqlite:///{folder / 'onboard.db'}").dispose()

    assert (_mode(folder), _mode(folder / "onboard.db")) == ("0o770", "0o660")


@pytest.mark.parametrize(
    ("pragma", "value"),
    [("journal_mode", "wal"), ("synchronous", 1), ("busy_timeout", 30000), ("foreign_keys", 1)],
)
def test_sqlite_is_set_up_for_many_processes(tmp_path, pragma, value):
    engine = make_engine(f"sqlite:///{tmp_path / 'onboard.db'}")
    with reading(engine) as connection:
        found = connection.exec_driver_sql(f"PRAGMA {pragma}").scalar()
    engine.dispose()

    assert value == found


def test_a_sqlite_writer_holds_the_write_lock_before_its_first_statement(tmp_path: Path):
    file = tmp_path / "onboard.db"
    engine = make_engine(f"sqlite:///{file}")
    other = sqlite3.connect(file, timeout=0, isolation_level=None)

    with writing(engine), pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("BEGIN IMMEDIATE")

    other.close()
    engine.dispose()


def test_a_reader_does_not_wait_for_a_writer(engine: Engine):
    with writing(engine) as writer:
        writer.execute(insert(engine, Capability).values(host="a", learnt={}))
        with reading(engine) as reader:
            seen = reader.execute(text("SELECT count(*) FROM capability")).scalar()

    assert seen == 0


def _add_a_host_and_fail(connection: Connection) -> None:
    connection.execute(insert(connection, Capability).values(host="a", learnt={}))
    raise ZeroDivisionError


def test_a_failed_writer_leaves_nothing(engine: Engine):
    with pytest.raises(ZeroDivisionError), writing(engine) as connection:
        _add_a_host_and_fail(connection)

    with reading(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM capability")).scalar() == 0


def test_read_then_write_is_one_step_for_many_threads_on_sqlite(tmp_path):
    engine = make_engine(f"sqlite:///{tmp_path / 'onboard.db'}", pool_size=8)
    with writing(engine) as connection:
        connection.execute(text("CREATE TABLE counter (n INTEGER)"))
        connection.execute(text("INSERT INTO counter VALUES (0)"))

    def count() -> None:
        for _ in range(20):
            with writing(engine) as connection:
                n = connection.execute(text("SELECT n FROM counter")).scalar_one()
                connection.execute(text("UPDATE counter SET n = :n"), {"n": n + 1})

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with reading(engine) as connection:
        total = connection.execute(text("SELECT n FROM counter")).scalar_one()
    engine.dispose()

    assert total == 160


def test_insert_can_do_nothing_on_conflict(engine: Engine):
    statement = insert(engine, Capability).values(host="a", learnt={}).on_conflict_do_nothing()
    statement = statement.returning(col(Capability.host))
    with writing(engine) as connection:
        first = connection.execute(statement).all()
        again = connection.execute(statement).all()

    assert (len(first), len(again)) == (1, 0)


def test_foreign_keys_are_enforced(engine: Engine):
    with pytest.raises(IntegrityError), writing(engine) as connection:
        connection.execute(text("INSERT INTO authvalue (onboarding_id, name, sealed) VALUES (1, 'a', '')"))


def test_an_exception_does_not_show_the_parameters(engine: Engine):
    with pytest.raises(DBAPIError) as failed, writing(engine) as connection:
        connection.execute(text("SELECT * FROM nowhere WHERE a = :value"), {"value": "canary-7"})

    assert "canary-7" not in str(failed.value)
