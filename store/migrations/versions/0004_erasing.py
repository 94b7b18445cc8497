"""erasing: how many onboardings were erased, and ids that are never given a second time"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("batch", schema=None) as batch_op:
        batch_op.add_column(sa.Column("erased", sa.Integer(), nullable=False, server_default="0"))
    _rebuild_on_sqlite(sqlite_autoincrement=True)


def downgrade() -> None:
    _rebuild_on_sqlite(sqlite_autoincrement=False)
    with op.batch_alter_table("batch", schema=None) as batch_op:
        batch_op.drop_column("erased")


def _rebuild_on_sqlite(*, sqlite_autoincrement: bool) -> None:
    """PostgreSQL never gives an id again; a table of SQLite must be made so."""
    if op.get_context().dialect.name == "sqlite":
        for name in ("onboarding", "intent"):
            with op.batch_alter_table(
                name, recreate="always", table_kwargs={"sqlite_autoincrement": sqlite_autoincrement}
            ):
                pass
