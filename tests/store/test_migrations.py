import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect, select, text

import store.migrations
from states.holds import Reason
from store.engine import DatabaseTooNew, make_engine, migrate, reading, writing
from store.indexes import METADATA
from store.models import CUSTOMER, ONBOARDING
from store.views import story

START = "import sys; from store.engine import make_engine, migrate; migrate(make_engine(sys.argv[1]))"


@pytest.fixture
def empty(empty_database_url):
    engine = make_engine(empty_database_url)
    yield engine
    engine.dispose()


@contextmanager
def configured(engine: Engine) -> Iterator[Config]:
    """Give what Alembic's commands work with, in one transaction."""
    config = Config()
    config.set_main_option("script_location", str(Path(store.migrations.__file__).parent))
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        yield config


def test_the_migrations_make_the_tables_of_the_models(engine: Engine):
    with reading(engine) as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        differences = compare_metadata(context, METADATA)

    assert differences == []


def test_the_migrations_can_be_taken_back(engine: Engine):
    with configured(engine) as config:
        command.downgrade(config, "base")

    assert inspect(engine).get_table_names() == ["alembic_version"]


def test_an_empty_database_gets_every_table(empty: Engine):
    migrate(empty)

    assert set(METADATA.tables) < set(inspect(empty).get_table_names())


def test_migrating_again_changes_nothing(engine: Engine):
    migrate(engine)

    assert set(METADATA.tables) < set(inspect(engine).get_table_names())


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


ONE_USER_TWICE = """
INSERT INTO batch (id, name, source, templates, created_at, erased) VALUES (1, 'spring', '', '[]', '2026-03-01', 0);
INSERT INTO customer (id, username, full_name, alloy_user_id, adopted, created_at) VALUES
 (1, 'ann@x', '', 'user-1', false, '2026-03-01'), (2, 'ANN@x', '', 'user-1', true, '2026-03-01'),
 (3, 'bob@x', '', 'user-2', false, '2026-03-01'), (4, 'new@x', '', NULL, false, '2026-03-01');
INSERT INTO onboarding (id, batch_id, customer_id, line, columns, integration, integration_key, stage, stage_since,
 due_at, attempts, nudged, version, given, answered, auth_names, auth_digest, created_at)
 SELECT id, 1, id, 2, '{}', 'x', 'x', CASE WHEN id < 4 THEN 'created' ELSE 'new' END, '2026-03-01',
 '2026-03-01', 0, false, 0, '[]', '[]', '[]', '', '2026-03-01' FROM customer;
"""
"""What version 0004 could leave behind: two customers with one user."""


def test_two_customers_with_one_user_are_no_obstacle_and_the_later_is_left_to_an_operator(empty: Engine):
    with configured(empty) as config:
        command.upgrade(config, "0004")
    with writing(empty) as connection:
        for statement in ONE_USER_TWICE.split(";\n"):
            if statement.strip():
                connection.execute(text(statement.replace(":", "\\:")))

    migrate(empty)

    with reading(empty) as connection:
        shares = dict(connection.execute(select(CUSTOMER.c.id, CUSTOMER.c.shares_user)).tuples().all())
        rows = connection.execute(select(ONBOARDING.c.id, ONBOARDING.c.reason, ONBOARDING.c.due_at)).all()
    held = Reason.user_of_another_customer
    assert shares == {1: False, 2: True, 3: False, 4: False}
    assert {row.id: (row.reason, row.due_at is None) for row in rows} == {
        1: (None, False), 2: (held, True), 3: (None, False), 4: (None, False),
    }  # fmt: skip
    assert story(empty, "ANN@x").onboardings[0].history[-1].reason is held


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
