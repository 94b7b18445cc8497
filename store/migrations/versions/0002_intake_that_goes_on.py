"""intake that goes on: what is known of a list that is only half in"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("batch", schema=None) as batch_op:
        batch_op.add_column(sa.Column("fingerprint", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("taken_in_at", sa.DateTime(timezone=True), nullable=True))
    # Until now nothing told a half-taken list from a whole one, and its rows were being worked on already.
    op.execute("UPDATE batch SET taken_in_at = created_at")
    op.create_table(
        "unfinishedintake",
        sa.Column("batch_id", sa.Integer(), nullable=False),
        sa.Column("token", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("after_id", sa.Integer(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("rows_in_list", sa.Integer(), nullable=True),
        sa.Column("changed", sa.Integer(), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["batch_id"], ["batch.id"], name=op.f("fk_unfinishedintake_batch_id")),
        sa.PrimaryKeyConstraint("batch_id", name=op.f("pk_unfinishedintake")),
    )


def downgrade() -> None:
    op.drop_table("unfinishedintake")
    with op.batch_alter_table("batch", schema=None) as batch_op:
        batch_op.drop_column("taken_in_at")
        batch_op.drop_column("fingerprint")
