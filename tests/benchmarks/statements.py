"""What a piece of work asks of its database, statement by statement: how long each takes, and by which plan."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from sqlalchemy import Connection, Engine, event

from store.engine import reading

_SHORTEST_TEXT = 100


@dataclass(slots=True)
class Asked:
    """One statement as the driver got it."""

    statement: str
    parameters: Any
    began: float
    seconds: float = 0.0


@contextmanager
def listening(engine: Engine) -> Iterator[list[Asked]]:
    """Collect every statement that is carried out while the block runs."""
    asked: list[Asked] = []

    def before(_c: Connection, _k: Any, statement: str, parameters: Any, _x: Any, _many: bool) -> None:
        asked.append(Asked(statement, parameters, perf_counter()))

    def after(*_: Any) -> None:
        asked[-1].seconds = perf_counter() - asked[-1].began

    event.listen(engine, "before_cursor_execute", before)
    event.listen(engine, "after_cursor_execute", after)
    try:
        yield asked
    finally:
        event.remove(engine, "before_cursor_execute", before)
        event.remove(engine, "after_cursor_execute", after)


def explained(engine: Engine, one: Asked) -> str:
    """Return the statement's beginning, what it took, and the database's plan for it."""
    explain = "EXPLAIN " if engine.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN "
    with reading(engine) as connection:
        plan = [str(row[-1]) for row in connection.exec_driver_sql(explain + one.statement, one.parameters)]
    words = " ".join(one.statement.split())[:_SHORTEST_TEXT]
    return "\n".join([f"{one.seconds * 1000:.2f} ms: {words}…", *(f"    {line}" for line in plan)])
