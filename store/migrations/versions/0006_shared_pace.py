"""shared pace: how fast an account may be called, as all workers together have found"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "accountpace",
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("given", sa.Float(), nullable=True),
        sa.Column("rate", sa.Float(), nullable=False),
        sa.Column("refused_rate", sa.Float(), nullable=True),
        sa.Column("met", sa.Integer(), nullable=False),
        sa.Column("successes", sa.Float(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.Float(), nullable=False),
        sa.Column("paused_until", sa.Float(), nullable=False),
        sa.Column("seen_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_accountpace")),
    )


def downgrade() -> None:
    op.drop_table("accountpace")
