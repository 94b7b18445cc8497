"""Onboardings as they stand half-way through a long list, with their history: most completed, some waiting.

One statement for each table, in SQL that both databases know: Python would take minutes.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, TextClause, bindparam, insert, text

from states.stage import Stage
from states.transitions import TRANSITIONS
from store.engine import writing
from store.models import BATCH, CUSTOMER

_BATCHES = 8
FIRST_BATCH, FIRST_CUSTOMER = "batch 1", "customer.number.0@example.test"
_COLUMNS = '[{"name": "map.channel", "value": "C0123456789", "workflow_id": null, "block": null}]'
_FORM = (
    '[{"workflowId": "64f0000000000000000000aa", "blockId": "64f0000000000000000000bb", "app": "slack", "fields": ['
    '{"name": "channel", "displayName": "Which channel is to hear of it", "type": "dropdown", "required": true, '
    '"options": [{"displayName": "general", "value": "C0123456789"}, {"displayName": "random", "value": "C01234567"}]},'
    '{"name": "greeting", "displayName": "How customers are to be greeted", "type": "string", "required": false}]}]'
)
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
    SELECT n + 1, 'customer.number.' || n || '@example.test', 'Customer Number ' || n, :no, :began
    FROM number WHERE n < :total
"""  # noqa: S608
# Every so many wait: of four, one for a consent, one for an answer, one for an operator, one for another attempt.
_WAITS = "n % (:total / :waiting) = 0 AND n < :total / :waiting * :waiting"
_KIND = "(n / (:total / :waiting)) % 4"
_ONBOARDINGS = f"""
    INSERT INTO onboarding (
        id, batch_id, customer_id, line, columns, integration, integration_key, integration_id, app, stage, stage_since,
        hold, reason, sentence, due_at, attempts, nudged, version, given, answered, auth_names, auth_digest, form,
        answers, was_installed, created_at
    )
    {_NUMBERS}
    SELECT
        n + 1, 1 + n % {_BATCHES}, n + 1, n + 2, '{_COLUMNS}', 'Shopify order sync', '64f000000000000000000001',
        '64f000000000000000000001', 'shopify',
        CASE WHEN NOT ({_WAITS}) THEN 'completed' WHEN {_KIND} = 0 THEN 'created' WHEN {_KIND} = 1 THEN 'installing'
        WHEN {_KIND} = 2 THEN 'created' ELSE 'mapped' END,
        CASE WHEN n % 2 = 0 THEN :lately ELSE :before END,
        CASE WHEN NOT ({_WAITS}) THEN NULL WHEN {_KIND} <= 1 THEN 'customer' WHEN {_KIND} = 2 THEN 'operator'
        ELSE 'retry' END,
        CASE WHEN NOT ({_WAITS}) THEN NULL WHEN {_KIND} = 0 THEN 'awaiting_consent'
        WHEN {_KIND} = 1 THEN 'awaiting_answer' WHEN {_KIND} = 2 THEN 'rejected' ELSE 'unreachable' END,
        CASE WHEN {_WAITS} THEN 'no answer yet for channel (Which channel is to hear of it), as Alloy has told us in a '
        || 'message of some length, such as vendors write' END,
        CASE WHEN {_WAITS} AND {_KIND} <> 2 THEN :later END,
        3, :no, 9, '{_COLUMNS}', '[]', '["apiKey"]', '0123456789abcdef0123456789abcdef', '{_FORM}', '{_FORM}', :no,
        :began
    FROM number WHERE n < :total
"""  # noqa: S608
_HISTORY = """
    INSERT INTO history (onboarding_id, at, stage, trigger, sentence, worker)
    SELECT id, :at, '{stage}', {trigger}, '', 'machine:1234:abcdef' FROM onboarding WHERE stage IN ({further})
"""


def fill(engine: Engine, total: int, waiting: int, now: datetime) -> None:
    """Put ``total`` onboardings into empty tables, ``waiting`` of which stand still, with all their history."""
    began = now - timedelta(days=2)
    same: dict[str, Any] = {"total": total, "waiting": waiting, "no": False}
    times = {"began": began, "before": now - timedelta(hours=9), "lately": now - timedelta(minutes=20)}
    times["later"] = now + timedelta(hours=1)
    with writing(engine) as connection:
        connection.execute(
            insert(BATCH),
            [
                {"id": one, "name": f"batch {one}", "source": "", "templates": [], "erased": 0, "created_at": began}
                for one in range(1, _BATCHES + 1)
            ],
        )
        for statement in (_CUSTOMERS, _ONBOARDINGS):
            connection.execute(_bound(statement, same, times))
        moves = [(Stage.new, "NULL"), *((one.dest, f"'{one.trigger}'") for one in TRANSITIONS)]
        stages = list(Stage)
        for number, (stage, trigger) in enumerate(moves):
            further = ", ".join(f"'{one}'" for one in stages[stages.index(stage) :])
            statement = _HISTORY.format(stage=stage, trigger=trigger, further=further)
            connection.execute(_bound(statement, same, {"at": began + timedelta(hours=3 * number)}))
    if engine.dialect.name == "postgresql":  # as it does by itself in time
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))


def _bound(statement: str, same: dict[str, Any], times: dict[str, datetime]) -> TextClause:
    kind = CUSTOMER.c.created_at.type
    known = [bindparam(name, value, kind) for name, value in times.items() if f":{name}" in statement]
    return text(statement).bindparams(
        *known, **{name: value for name, value in same.items() if f":{name}" in statement}
    )
