"""One schema version as a file: the rows of every table, the local Alloy as it then was, and what is to become of it.

Rows are kept as JSON and not as a database, so that a reviewer can read them and both databases can load them. What a
row does not mention is NULL.
"""

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from sqlalchemy import DateTime, Engine, LargeBinary, MetaData, Table, insert, select, text

from deployments.sandbox.persistence import load, save
from deployments.sandbox.server import Sandbox
from store.engine import reading, writing

FOLDER = Path(__file__).parent
TEST_KEY = urlsafe_b64encode(b"test-key-of-the-upgrade-fixtures").decode()
"""Seals what the fixtures hold. It guards nothing: the values are made up."""

_NOT_OURS = "alembic_version"
_WIDTH = 118

Row = dict[str, Any]


@dataclass(frozen=True)
class Fixture:
    """What a program of an earlier version left behind."""

    schema: str
    made_at: str
    """The time at which it was left; whoever goes on begins here, so that no wait in it can ever be over too soon."""
    secret_key: str
    alloy_url: str
    """Where the local Alloy was: it will be elsewhere when the rows are loaded."""
    people: list[Row]
    """Who is in it, what they stand for, what is to happen to them (``then``) and how that must end (``ends``)."""
    tables: dict[str, list[Row]]
    alloy: Row

    @classmethod
    def read(cls, schema: str) -> Self:
        """Return the fixture of the version ``schema``."""
        return cls(**json.loads(file_of(schema).read_text(encoding="utf-8")))

    def moved_to(self, alloy_url: str) -> Self:
        """Return the same with the local Alloy at another address, as if it had been there all along."""
        return replace(self, tables=json.loads(json.dumps(self.tables).replace(self.alloy_url, alloy_url)))

    def write(self) -> Path:
        """Keep it; return where."""
        file = file_of(self.schema)
        file.write_text(f"{_written(asdict(self))}\n", encoding="utf-8")
        return file


def file_of(schema: str) -> Path:
    """Return the file of the fixture of one version."""
    return FOLDER / f"schema_{schema}.json"


def versions() -> list[str]:
    """Return the versions of which there is a fixture, the oldest first."""
    return sorted(file.stem.removeprefix("schema_") for file in FOLDER.glob("schema_*.json"))


def dump_tables(engine: Engine) -> dict[str, list[Row]]:
    """Return the rows of every table, whichever tables there are, in an order in which they can be loaded."""
    tables = _reflected(engine)
    with reading(engine) as connection:
        return {
            table.name: [
                _plain(row) for row in connection.execute(select(table).order_by(*table.primary_key)).mappings()
            ]
            for table in tables
        }


def load_tables(engine: Engine, fixture: Fixture) -> None:
    """Put the rows into a database whose tables are at their version."""
    tables = {table.name: table for table in _reflected(engine)}
    with writing(engine) as connection:
        for name, rows in fixture.tables.items():
            for row in rows:
                connection.execute(insert(tables[name]), _typed(tables[name], row, engine.dialect.name))
            if engine.dialect.name == "postgresql" and rows and "id" in rows[0]:
                # Rows that bring their ids do not move the sequence that gives the next one.
                connection.execute(
                    text(f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), :last)"), {"last": rows[-1]["id"]}
                )


def dump_alloy(sandbox: Sandbox, beside: Path) -> Row:
    """Return the local Alloy's whole state, by way of the file that it would keep it in."""
    save(sandbox._world, beside)
    state: Row = json.loads(beside.read_text(encoding="utf-8"))
    return state


def load_alloy(sandbox: Sandbox, fixture: Fixture, beside: Path) -> None:
    """Put the local Alloy into the state that the fixture was left with."""
    beside.write_text(json.dumps(fixture.alloy), encoding="utf-8")
    load(sandbox._world, beside)


def _reflected(engine: Engine) -> list[Table]:
    """The tables that are there, not those of the present models: these rows may be of another version."""
    metadata = MetaData()
    metadata.reflect(engine)
    return [table for table in metadata.sorted_tables if table.name != _NOT_OURS]


def _plain(row: Mapping[Any, Any]) -> Row:
    return {str(name): _plain_value(value) for name, value in row.items() if value is not None}


def _plain_value(value: Any) -> Any:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
    return bytes(value).decode("ascii") if isinstance(value, bytes | memoryview) else value


def _typed(table: Table, row: Row, dialect: str) -> Row:
    typed: Row = {}
    for name, value in row.items():
        kind = table.c[name].type
        if isinstance(kind, DateTime):
            moment = datetime.fromisoformat(value)
            typed[name] = moment if dialect == "postgresql" else moment.replace(tzinfo=None)
        elif isinstance(kind, LargeBinary):
            typed[name] = value.encode("ascii")
        else:
            typed[name] = value
    return typed


def _written(value: Any, indent: int = 0) -> str:
    """JSON in which whatever fits into a line is one: a row a line, as a reviewer wants it."""
    line = json.dumps(value, ensure_ascii=False)
    nested = isinstance(value, dict | list) and any(isinstance(one, dict | list) for one in _parts(value))
    if not value or not isinstance(value, dict | list) or len(line) + indent <= _WIDTH or not nested:
        return line
    pad = " " * (indent + 1)
    if isinstance(value, dict):
        inner = [f"{pad}{json.dumps(name)}: {_written(one, indent + 1)}" for name, one in value.items()]
        return "\n".join(["{", ",\n".join(inner), " " * indent + "}"])
    return "\n".join(["[", ",\n".join(pad + _written(one, indent + 1) for one in value), " " * indent + "]"])


def _parts(value: Any) -> list[Any]:
    return list(value.values() if isinstance(value, dict) else value)
