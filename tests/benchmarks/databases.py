"""A new, empty database of either kind for every measurement.

PostgreSQL is the one of the tests, which does not wait for the disk.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from uuid import uuid4

from tests.postgresql import administering, running_postgresql, with_database

Kind = Literal["SQLite", "PostgreSQL"]
KINDS: tuple[Kind, ...] = ("SQLite", "PostgreSQL")


@dataclass(frozen=True, slots=True)
class Databases:
    """Where new ones are made."""

    folder: Path
    server: str
    """The URL of the PostgreSQL server's first database."""

    @contextmanager
    def new(self, kind: Kind) -> Iterator[str]:
        """Yield the URL of a new one, which is gone afterwards."""
        name = f"benchmark_{uuid4().hex}"
        if kind == "SQLite":
            file = self.folder / f"{name}.db"
            try:
                yield f"sqlite:///{file}"
            finally:
                for one in self.folder.glob(f"{name}.db*"):
                    one.unlink()
            return
        with administering(self.server) as run:
            run(f"CREATE DATABASE {name}")
            try:
                yield with_database(self.server, name)
            finally:
                run(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def databases(folder: Path) -> Iterator[Databases]:
    """Run a PostgreSQL, and keep SQLite files in ``folder``."""
    with running_postgresql() as server:
        yield Databases(folder, server)
