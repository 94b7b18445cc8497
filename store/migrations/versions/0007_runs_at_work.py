"""runs at work: who runs, on what, when it was last seen, and when it ended"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.add_column(sa.Column("worker", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("sweeping", sa.Boolean(), server_default=sa.false(), nullable=False))
        batch_op.add_column(sa.Column("seen_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.create_index(batch_op.f("ix_run_ended_at"), ["ended_at"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_run_ended_at"))
        batch_op.drop_column("ended_at")
        batch_op.drop_column("seen_at")
        batch_op.drop_column("sweeping")
        batch_op.drop_column("worker")
