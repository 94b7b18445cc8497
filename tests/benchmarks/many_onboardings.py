"""A million onboardings put straight into the tables, as they would stand after some months; few of them due.

One statement for each table, in SQL that both databases know: Python would take minutes.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine, bindparam, insert, select, text, update

from states.holds import HoldKind
from states.stage import Stage
from store.engine import writing
from store.models import BATCH, CUSTOMER, ONBOARDING

BATCHES = 8

_NUMBERS = """
    WITH RECURSIVE digit(d) AS (SELECT 0 UNION ALL SELECT d + 1 FROM digit WHERE d < 9),
    number(n) AS (
        SELECT a.d + 10 * b.d + 100 * c.d + 1000 * d.d + 10000 * e.d + 100000 * f.d
        FROM digit a, digit b, digit c, digit d, digit e, digit f
    )
"""
_CUSTOMERS = f"""
    INSERT INTO customer (id, username, full_name, adopted, created_at)
    {_NUMBERS}
    SELECT n + 1, 'c' || n || '@example.test', '', :no, :now FROM number WHERE n < :total
"""  # noqa: S608
# Of ten, six are completed, one waits for a consent and two for a retry, all of them due much later; one waits for an
# operator. Those that may still move stand at every stage.
_ONBOARDINGS = f"""
    INSERT INTO onboarding (
        id, batch_id, customer_id, line, columns, integration, integration_key, stage, stage_since, hold, reason,
        due_at, attempts, nudged, version, given, answered, auth_names, auth_digest, was_installed, created_at
    )
    {_NUMBERS}
    SELECT
        n + 1, 1 + n % {BATCHES}, n + 1, n + 2, '{{}}', 'Klaviyo', 'klaviyo',
        CASE WHEN n % 10 < 6 THEN 'completed' ELSE (
            CASE n / 10 % 5 WHEN 0 THEN 'new' WHEN 1 THEN 'created' WHEN 2 THEN 'authed' WHEN 3 THEN 'installing'
            ELSE 'mapped' END
        ) END,
        :now,
        CASE WHEN n % 10 < 6 THEN NULL WHEN n % 10 = 6 THEN 'operator' WHEN n % 10 = 7 THEN 'customer'
        ELSE 'retry' END,
        CASE WHEN n % 10 < 6 THEN NULL WHEN n % 10 = 6 THEN 'rejected' WHEN n % 10 = 7 THEN 'awaiting_consent'
        ELSE 'unreachable' END,
        CASE WHEN n % 10 < 7 THEN NULL ELSE :later END,
        0, :no, 0, '[]', '[]', '[]', '', :no, :now
    FROM number WHERE n < :total
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Many:
    """A database full of onboardings."""

    engine: Engine
    now: datetime
    due: tuple[int, ...]
    """The ids of those that are due, at several stages and in several batches."""


def fill(engine: Engine, total: int, due: int, now: datetime) -> Many:
    """Put ``total`` onboardings into empty tables, ``due`` of which are due."""
    with writing(engine) as connection:
        connection.execute(
            insert(BATCH),
            [
                {"id": one, "name": f"batch {one}", "source": "", "templates": [], "erased": 0, "created_at": now}
                for one in range(1, BATCHES + 1)
            ],
        )
        times = [bindparam(name, value, CUSTOMER.c.created_at.type) for name, value in _times(now).items()]
        for statement, used in ((_CUSTOMERS, times[:1]), (_ONBOARDINGS, times)):
            connection.execute(text(statement).bindparams(*used), {"total": total, "no": False})
        chosen = _make_due(connection, total, due, now)
    _take_stock(engine)
    return Many(engine, now, chosen)


def _times(now: datetime) -> dict[str, datetime]:
    return {"now": now - timedelta(days=30), "later": now + timedelta(days=1)}


def _make_due(connection: Connection, total: int, due: int, now: datetime) -> tuple[int, ...]:
    """Make some due that are spread over the whole table."""
    waiting = select(ONBOARDING.c.id).where(ONBOARDING.c.hold == HoldKind.retry).order_by(ONBOARDING.c.id)
    ids = list(connection.scalars(waiting))
    # One more than evenly spaced: so that they stand at different stages.
    chosen = tuple(ids[:: len(ids) // due + 1][:due])
    assert len(chosen) == due, f"{total} are too few to have {due} due"
    connection.execute(
        update(ONBOARDING).where(ONBOARDING.c.id.in_(chosen)).values(due_at=now - timedelta(seconds=1), hold=None)
    )
    stages = set(connection.scalars(select(ONBOARDING.c.stage).where(ONBOARDING.c.id.in_(chosen))))
    assert stages <= set(Stage)
    return chosen


def _take_stock(engine: Engine) -> None:
    """Let the database learn what it holds, as PostgreSQL does by itself in time."""
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
