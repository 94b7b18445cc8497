"""What is written into an onboarding's history by those who work on it."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, insert

from states.holds import Hold
from states.stage import Trigger
from states.transitions import BY_TRIGGER
from store.models import HISTORY
from store.records import Record


def entry(
    record: Record,
    now: datetime,
    worker: str,
    *,
    trigger: Trigger | None = None,
    hold: Hold | None = None,
    sentence: str = "",
) -> dict[str, object]:
    """Return what the history says of ``record``: it moved by ``trigger``, is held by ``hold``, or ``sentence``."""
    return {
        "onboarding_id": record.id,
        "at": now,
        "stage": BY_TRIGGER[trigger].dest if trigger else record.stage,
        "trigger": trigger,
        "hold": hold.kind if hold else None,
        "reason": hold.reason if hold else None,
        "sentence": hold.sentence if hold else sentence,
        "worker": worker,
    }


def remember(connection: Connection, rows: Sequence[dict[str, object]]) -> None:
    """Write entries down."""
    if rows:
        connection.execute(insert(HISTORY), list(rows))
