import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect, text

import store.migrations
from store.engine import DatabaseTooNew, make_engine, migrate, reading, writing
from store.models import Batch

START = "import sys; from store.engine import make_engine, migrate; migrate(make_engine(sys.argv[1]))"


@pytest.fixture
def empty(empty_database_url):
    engine = make_engine(empty_database_url)
    yield engine
    engine.dispose()


def test_the_migrations_make_the_tables_of_the_models(engine: Engine):
    with reading(engine) as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        differences = compare_metadata(context, Batch.metadata)

    assert differences == []


def test_the_migrations_can_be_taken_back(engine: Engine):
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(store.migrations.__file__).parent))
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")

    assert inspect(engine).get_table_names() == ["alembic_version"]


def test_an_empty_database_gets_every_table(empty: Engine):
    migrate(empty)

    assert set(Batch.metadata.tables) < set(inspect(empty).get_table_names())


def test_migrating_again_changes_nothing(engine: Engine):
    migrate(engine)

    assert set(Batch.metadata.tables) < set(inspect(engine).get_table_names())


def test_nothing_to_do_does_not_import_alembic(database_url):
    found = subprocess.run(
        [sys.executable, "-c", f"{START}; print('alembic' in sys.modules)", database_url],
        capture_output=True,
        text=True,
        check=True,
    )

    assert found.stdout == "False\n"


def test_processes_that_start_at_once_do_not_get_in_each_others_way(empty_database_url):
    starting = [subprocess.Popen([sys.executable, "-c", START, empty_database_url]) for _ in range(3)]

    assert [process.wait() for process in starting] == [0, 0, 0]


def test_a_database_of_a_newer_version_is_left_alone(engine: Engine):
    with writing(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(DatabaseTooNew, match="9999"):
        migrate(engine)


def test_foreign_keys_are_on_again_after_migrating(tmp_path):
    engine = make_engine(f"sqlite:///{tmp_path / 'onboard.db'}", pool_size=1)
    migrate(engine)
    with reading(engine) as connection:
        found = connection.exec_driver_sql("PRAGMA foreign_keys").scalar()
    engine.dispose()

    assert found == 1


def test_the_files_and_alembic_agree_on_the_newest_version():
    folder = Path(store.migrations.__file__).parent
    newest = max(file.stem.partition("_")[0] for file in (folder / "versions").glob("[0-9]*.py"))

    assert ScriptDirectory(str(folder)).get_current_head() == newest
