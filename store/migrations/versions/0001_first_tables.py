"""first tables"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "batch",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("templates", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batch")),
        sa.UniqueConstraint("name", name=op.f("uq_batch_name")),
    )
    op.create_table(
        "capability",
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("learnt", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("host", name=op.f("pk_capability")),
    )
    op.create_table(
        "catalogueapp",
        sa.Column("app", sa.String(), nullable=False),
        sa.Column("is_oauth", sa.Boolean(), nullable=False),
        sa.Column("properties", sa.JSON(), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("app", name=op.f("pk_catalogueapp")),
    )
    op.create_table(
        "catalogueintegration",
        sa.Column("integration_id", sa.String(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("apps", sa.JSON(), nullable=False),
        sa.Column("names", sa.JSON(), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("integration_id", name=op.f("pk_catalogueintegration")),
    )
    op.create_table(
        "customer",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("username", sa.String(), nullable=False),
        sa.Column("full_name", sa.String(), nullable=False),
        sa.Column("alloy_user_id", sa.String(), nullable=True),
        sa.Column("adopted", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_customer")),
        sa.UniqueConstraint("username", name=op.f("uq_customer_username")),
    )
    op.create_table(
        "onboarding",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("batch_id", sa.Integer(), nullable=False),
        sa.Column("customer_id", sa.Integer(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("columns", sa.JSON(), nullable=False),
        sa.Column("integration", sa.String(), nullable=False),
        sa.Column("integration_key", sa.String(), nullable=False),
        sa.Column("integration_id", sa.String(), nullable=True),
        sa.Column("app", sa.String(), nullable=True),
        sa.Column("stage", sa.String(length=32), nullable=False),
        sa.Column("stage_since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("hold", sa.String(length=32), nullable=True),
        sa.Column("reason", sa.String(length=48), nullable=True),
        sa.Column("sentence", sa.String(), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("nudged", sa.Boolean(), nullable=False),
        sa.Column("lease_token", sa.String(), nullable=True),
        sa.Column("lease_owner", sa.String(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("given", sa.JSON(), nullable=False),
        sa.Column("answered", sa.JSON(), nullable=False),
        sa.Column("auth_names", sa.JSON(), nullable=False),
        sa.Column("auth_digest", sa.String(), nullable=False),
        sa.Column("snapshot", sa.JSON(), nullable=True),
        sa.Column("link_issued_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("credential_id", sa.String(), nullable=True),
        sa.Column("installation_id", sa.String(), nullable=True),
        sa.Column("form", sa.JSON(), nullable=True),
        sa.Column("answers", sa.JSON(), nullable=True),
        sa.Column("verified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["batch_id"], ["batch.id"], name=op.f("fk_onboarding_batch_id")),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"], name=op.f("fk_onboarding_customer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_onboarding")),
        sa.UniqueConstraint("customer_id", "integration_key", name=op.f("uq_onboarding_customer_id_integration_key")),
    )
    with op.batch_alter_table("onboarding", schema=None) as batch_op:
        batch_op.create_index(
            "ix_onboarding_batch_due",
            ["batch_id", "stage", "due_at"],
            unique=False,
            sqlite_where=sa.text("due_at IS NOT NULL"),
            postgresql_where=sa.text("due_at IS NOT NULL"),
        )
        batch_op.create_index("ix_onboarding_batch_stage", ["batch_id", "stage", "hold"], unique=False)
        batch_op.create_index(batch_op.f("ix_onboarding_customer_id"), ["customer_id"], unique=False)
        batch_op.create_index(
            "ix_onboarding_due",
            ["stage", "due_at"],
            unique=False,
            sqlite_where=sa.text("due_at IS NOT NULL"),
            postgresql_where=sa.text("due_at IS NOT NULL"),
        )
        batch_op.create_index(
            "ix_onboarding_lease",
            ["lease_token"],
            unique=False,
            sqlite_where=sa.text("lease_token IS NOT NULL"),
            postgresql_where=sa.text("lease_token IS NOT NULL"),
        )

    op.create_table(
        "run",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("batch_id", sa.Integer(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["batch_id"], ["batch.id"], name=op.f("fk_run_batch_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run")),
    )
    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_run_batch_id"), ["batch_id"], unique=False)

    op.create_table(
        "authvalue",
        sa.Column("onboarding_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["onboarding_id"], ["onboarding.id"], name=op.f("fk_authvalue_onboarding_id")),
        sa.PrimaryKeyConstraint("onboarding_id", "name", name=op.f("pk_authvalue")),
    )
    op.create_table(
        "consentlink",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("onboarding_id", sa.Integer(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["onboarding_id"], ["onboarding.id"], name=op.f("fk_consentlink_onboarding_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consentlink")),
    )
    with op.batch_alter_table("consentlink", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_consentlink_onboarding_id"), ["onboarding_id"], unique=False)

    op.create_table(
        "history",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("onboarding_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("stage", sa.String(length=32), nullable=False),
        sa.Column("trigger", sa.String(length=32), nullable=True),
        sa.Column("hold", sa.String(length=32), nullable=True),
        sa.Column("reason", sa.String(length=48), nullable=True),
        sa.Column("sentence", sa.String(), nullable=False),
        sa.Column("worker", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["onboarding_id"], ["onboarding.id"], name=op.f("fk_history_onboarding_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_history")),
    )
    with op.batch_alter_table("history", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_history_onboarding_id"), ["onboarding_id"], unique=False)

    op.create_table(
        "intent",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("onboarding_id", sa.Integer(), nullable=False),
        sa.Column("trigger", sa.String(length=32), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("absent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.Column("evidence", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(["onboarding_id"], ["onboarding.id"], name=op.f("fk_intent_onboarding_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_intent")),
    )
    with op.batch_alter_table("intent", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_intent_onboarding_id"), ["onboarding_id"], unique=False)
        batch_op.create_index(
            "ix_intent_open",
            ["onboarding_id"],
            unique=True,
            sqlite_where=sa.text("closed_at IS NULL"),
            postgresql_where=sa.text("closed_at IS NULL"),
        )


def downgrade() -> None:
    with op.batch_alter_table("intent", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_intent_open", sqlite_where=sa.text("closed_at IS NULL"), postgresql_where=sa.text("closed_at IS NULL")
        )
        batch_op.drop_index(batch_op.f("ix_intent_onboarding_id"))

    op.drop_table("intent")
    with op.batch_alter_table("history", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_history_onboarding_id"))

    op.drop_table("history")
    with op.batch_alter_table("consentlink", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_consentlink_onboarding_id"))

    op.drop_table("consentlink")
    op.drop_table("authvalue")
    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_run_batch_id"))

    op.drop_table("run")
    with op.batch_alter_table("onboarding", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_onboarding_lease",
            sqlite_where=sa.text("lease_token IS NOT NULL"),
            postgresql_where=sa.text("lease_token IS NOT NULL"),
        )
        batch_op.drop_index(
            "ix_onboarding_due",
            sqlite_where=sa.text("due_at IS NOT NULL"),
            postgresql_where=sa.text("due_at IS NOT NULL"),
        )
        batch_op.drop_index(batch_op.f("ix_onboarding_customer_id"))
        batch_op.drop_index("ix_onboarding_batch_stage")
        batch_op.drop_index(
            "ix_onboarding_batch_due",
            sqlite_where=sa.text("due_at IS NOT NULL"),
            postgresql_where=sa.text("due_at IS NOT NULL"),
        )

    op.drop_table("onboarding")
    op.drop_table("customer")
    op.drop_table("catalogueintegration")
    op.drop_table("catalogueapp")
    op.drop_table("capability")
    op.drop_table("batch")
