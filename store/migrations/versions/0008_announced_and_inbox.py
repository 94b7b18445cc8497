"""what was told as an event, and which lists of the inbox were looked into

What came about before this version is old news: nobody is to be told of it when the tables are brought up to date.
"""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    announced = op.create_table(
        "announced",
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_announced")),
    )
    op.create_table(
        "inboxlist",
        sa.Column("place", sa.String(), nullable=False),
        sa.Column("stamp", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("batch", sa.String(), nullable=False),
        sa.Column("refused", sa.String(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("place", name=op.f("pk_inboxlist")),
    )
    now = datetime.now(UTC)
    told = [{"subject": subject, "number": number, "at": now} for subject, number in _old_news()]
    if told:
        op.bulk_insert(announced, told)


def downgrade() -> None:
    op.drop_table("inboxlist")
    op.drop_table("announced")


def _old_news() -> list[tuple[str, int]]:
    connection = op.get_bind()
    batch = sa.table(
        "batch",
        sa.column("id", sa.Integer()),
        sa.column("created_at", sa.DateTime(timezone=True)),
        sa.column("taken_in_at", sa.DateTime(timezone=True)),
        sa.column("paused_at", sa.DateTime(timezone=True)),
    )
    under_way = set(
        connection.scalars(
            sa.text(
                "SELECT DISTINCT batch_id FROM onboarding "
                "WHERE stage <> 'completed' AND (hold IS NULL OR hold <> 'cancelled')"
            )
        )
    )
    told = []
    for batch_id, created_at, taken_in_at, paused_at in connection.execute(sa.select(batch)):
        taken = _seconds(taken_in_at or created_at)
        told.append((f"batch/{batch_id}/started", taken))
        if batch_id not in under_way:
            told.append((f"batch/{batch_id}/finished", taken))
        if paused_at is not None:
            told.append((f"batch/{batch_id}/paused", _seconds(paused_at)))
    for quarantine_id, closed_at in connection.execute(sa.text("SELECT id, closed_at FROM quarantine")):
        told.append((f"quarantine/{quarantine_id}/opened", 1))
        if closed_at is not None:
            told.append((f"quarantine/{quarantine_id}/closed", 1))
    return told


def _seconds(time: datetime) -> int:
    aware = time if time.tzinfo is not None else time.replace(tzinfo=UTC)  # SQLite keeps UTC, and does not say so
    return int(aware.timestamp())
