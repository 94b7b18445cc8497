"""one user, one customer: no two customers have one user at Alloy; what was installed before us is remembered"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_SENTENCE = (
    "another customer on record has the same user at Alloy, and had it before that was refused; "
    "`onboard cancel` it if they are one person, or `onboard redrive` if it is to be installed for this one too"
)
_HELD = {"hold": "operator", "reason": "user_of_another_customer", "sentence": _SENTENCE}
_CUSTOMER = sa.table("customer", sa.column("id"), sa.column("alloy_user_id"), sa.column("shares_user", sa.Boolean()))
_ONBOARDING = sa.table(
    "onboarding",
    *(sa.column(name) for name in ("id", "customer_id", "stage", "hold", "reason", "sentence", "due_at", "version")),
    *(sa.column(name) for name in ("lease_token", "lease_owner", "lease_until")),
    sa.column("nudged", sa.Boolean()),
)
_HISTORY = sa.table(
    "history",
    *(sa.column(name) for name in ("onboarding_id", "at", "stage", "hold", "reason", "sentence", "worker")),
)


def upgrade() -> None:
    op.add_column("customer", sa.Column("shares_user", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("onboarding", sa.Column("was_installed", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.execute(
        "UPDATE onboarding SET was_installed = true "
        "WHERE id IN (SELECT onboarding_id FROM history WHERE reason = 'already_installed')"
    )
    op.add_column("intent", sa.Column("reported_at", sa.DateTime(timezone=True), nullable=True))
    _hold_those_who_share_a_user()
    op.create_index(
        "ix_customer_alloy_user_id",
        "customer",
        ["alloy_user_id"],
        unique=True,
        sqlite_where=sa.text("NOT shares_user"),
        postgresql_where=sa.text("NOT shares_user"),
    )


def downgrade() -> None:
    op.drop_index("ix_customer_alloy_user_id", table_name="customer")
    op.drop_column("intent", "reported_at")
    op.drop_column("onboarding", "was_installed")
    op.drop_column("customer", "shares_user")


def _hold_those_who_share_a_user() -> None:
    """Of customers with one user the first keeps it; what the others have under way waits for an operator."""
    has_user = _CUSTOMER.c.alloy_user_id.is_not(None)
    by_user = sa.select(_CUSTOMER.c.alloy_user_id).where(has_user).group_by(_CUSTOMER.c.alloy_user_id)
    twice = by_user.having(sa.func.count() > 1)
    first = twice.with_only_columns(sa.func.min(_CUSTOMER.c.id))
    op.execute(
        sa.update(_CUSTOMER)
        .where(_CUSTOMER.c.alloy_user_id.in_(twice), _CUSTOMER.c.id.not_in(first))
        .values(shares_user=sa.true())
    )
    theirs = (
        _ONBOARDING.c.customer_id.in_(sa.select(_CUSTOMER.c.id).where(_CUSTOMER.c.shares_user)),
        _ONBOARDING.c.stage != "completed",
        _ONBOARDING.c.hold.is_distinct_from("cancelled"),
    )
    told = {"at": sa.func.current_timestamp(), **{name: sa.literal(value) for name, value in _HELD.items()}}
    op.execute(
        sa.insert(_HISTORY).from_select(
            ["onboarding_id", "stage", "worker", *told],
            sa.select(_ONBOARDING.c.id, _ONBOARDING.c.stage, sa.literal(""), *told.values()).where(*theirs),
        )
    )
    op.execute(
        sa.update(_ONBOARDING)
        .where(*theirs)
        .values(
            **_HELD,
            due_at=sa.null(),
            nudged=sa.false(),
            lease_token=sa.null(),
            lease_owner=sa.null(),
            lease_until=sa.null(),
            version=_ONBOARDING.c.version + 1,
        )
    )
