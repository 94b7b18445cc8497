"""Whose turn it is to be consented to: one that stood still half-way while another began has to begin anew.

What is granted from then on is the other's; by a snapshot from before, it would be taken for its own.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, exists, insert, null, update

from states.stage import Stage
from store.models import CONSENT_LINK, HISTORY, INTENT, ONBOARDING

_PASSED = "its turn has passed to another onboarding on the same app; when it comes again, it is begun anew"


def pass_turns_of(connection: Connection, ids: Sequence[int], worker: str, now: datetime) -> None:
    """Have the onboardings ``ids``, which the caller has locked, begin anew when their turn comes.

    One whose call may have been carried out keeps its snapshot, or what that call did could not be told from the rest.
    """
    in_doubt = exists().where(INTENT.c.onboarding_id == ONBOARDING.c.id, INTENT.c.closed_at.is_(None))
    begun = (ONBOARDING.c.stage == Stage.created, ONBOARDING.c.snapshot.is_not(None))
    passed = connection.execute(
        update(ONBOARDING)
        .where(ONBOARDING.c.id.in_(ids), *begun, ~in_doubt)
        .values(snapshot=null(), link_issued_at=null())
        .returning(ONBOARDING.c.id)
    ).scalars()
    rows = [
        {"onboarding_id": passed_by, "at": now, "stage": Stage.created, "sentence": _PASSED, "worker": worker}
        for passed_by in passed
    ]
    if rows:
        connection.execute(
            delete(CONSENT_LINK).where(CONSENT_LINK.c.onboarding_id.in_([row["onboarding_id"] for row in rows]))
        )
        connection.execute(insert(HISTORY), rows)
