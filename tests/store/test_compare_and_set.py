"""Under the fence lies a compare-and-set: what has changed since it was claimed is not written, whoever thinks it may.

The fence looks at all writes of a group at once, so of two for one record it passes both; only the compare-and-set
sees that the first has changed what the second was about.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine, select

from states.holds import Hold, HoldKind, Reason
from states.stage import Stage, Trigger
from store.engine import reading
from store.leases import claim
from store.models import ONBOARDING
from store.records import Record, Scope
from store.work import record_group
from store.writes import Held, Moved, Released, Write
from tests.store.conftest import LEASE, Add

HOLD = Hold(HoldKind.operator, Reason.rejected, "refused", None)
LATER = Hold(HoldKind.retry, Reason.unreachable, "tried again by itself", timedelta(hours=1))


def moved(record: Record) -> Write:
    return Moved(record, Trigger.create_user, {"alloy_user_id": "user-1", "adopted": False})


def outcomes(record: Record) -> list[tuple[Write, Write]]:
    return [
        (moved(record), Held(record, HOLD, 1)),
        (Held(record, LATER, 1), Held(record, HOLD, 1)),
        (moved(record), Released(record)),
    ]


@pytest.mark.parametrize("which", range(3), ids=["moved and held", "held twice", "moved and given back"])
def test_a_record_that_was_claimed_once_has_one_outcome(engine: Engine, add: Add, now: datetime, which: int) -> None:
    add()
    page = claim(engine, Scope(), worker="w1", limit=1, lease=LEASE, now=now)
    assert page is not None
    group: Sequence[Write] = outcomes(page.records[0])[which]

    with pytest.raises(RuntimeError, match="could be written"):
        record_group(engine, group, worker="w1", now=now)

    with reading(engine) as connection:
        row = connection.execute(select(ONBOARDING)).one()
    assert (row.stage, row.hold, row.lease_token) == (Stage.new, None, page.token)
