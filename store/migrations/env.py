"""Run by Alembic: within the program on the connection that it is handed, by hand on ONBOARD_DATABASE_URL."""

import os
from typing import Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import Connection, DateTime, Enum, String
from sqlmodel.sql.sqltypes import AutoString, UTCDateTime

from store.engine import make_engine, writing
from store.indexes import METADATA


def _render(kind: str, item: object, _context: AutogenContext) -> str | Literal[False]:
    """Write what the database sees: a migration must not change its meaning when a word or a library does."""
    if kind == "type" and isinstance(item, AutoString | Enum | String):
        return f"sa.String(length={item.length})" if item.length else "sa.String()"
    if kind == "type" and isinstance(item, UTCDateTime | DateTime):
        return "sa.DateTime(timezone=True)"
    return False


def _run(connection: Connection) -> None:
    # render_as_batch: SQLite cannot alter a table, so Alembic rebuilds it there.
    context.configure(
        connection=connection,
        target_metadata=METADATA,
        render_as_batch=True,
        render_item=_render,
    )
    context.run_migrations()


handed: Connection | None = context.config.attributes.get("connection")
if handed is not None:
    _run(handed)
else:
    with writing(make_engine(os.environ["ONBOARD_DATABASE_URL"])) as opened:
        _run(opened)
