"""What a claim must leave alone although it is due: cohorts in quarantine, but for a few probes, and paused batches.

What a claim meets of them it sets aside, with a later due time or with none, so that the next claim does not meet it
again: finding due work costs the same however many are held back.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Self

from sqlalchemy import Connection, bindparam, null, or_, update

from states.stage import Stage
from store.models import ONBOARDING
from store.pausing import paused_batches
from store.quarantine import Cohort, Quarantined

_AT_ONCE = 500
_LOOKS = 20
"""So often a claim looks on when all that it found was to be set aside: a transaction must end in good time."""


class Candidate(NamedTuple):
    """A due onboarding, as far as a claim has to know it."""

    id: int
    customer_id: int
    batch_id: int
    integration: str


@dataclass(frozen=True, slots=True)
class Gates:
    """What is closed for the length of one claim, and locked so that it neither opens nor closes meanwhile."""

    connection: Connection
    now: datetime
    quarantined: dict[Cohort, Quarantined]
    """By each name that an integration goes by."""
    paused: Collection[int]

    @classmethod
    def at(cls, connection: Connection, now: datetime) -> Self:
        """Return the gates as they are."""
        quarantined = {(name, one.stage): one for one in Quarantined.all_open(connection) for name in one.names}
        return cls(connection, now, quarantined, paused_batches(connection))

    def let_through(self, stage: Stage, look: Callable[[int], Sequence[Candidate]], limit: int) -> Sequence[Candidate]:
        """Return up to ``limit`` of what ``look`` finds due at ``stage`` and may be claimed; set the others aside."""
        if not self.paused and all(stage is not closed for _, closed in self.quarantined):
            return look(limit)
        for _ in range(_LOOKS):
            found = look(max(limit, _AT_ONCE))
            free: list[Candidate] = []
            aside: dict[datetime | None, list[int]] = defaultdict(list)
            for one in found:
                held = self.quarantined.get((one.integration, stage))
                if one.batch_id in self.paused:
                    aside[None].append(one.id)
                elif held is None or held.admits(one.id, self.now):
                    free.append(one)
                else:
                    aside[held.held_until].append(one.id)
            for until, ids in aside.items():
                self.connection.execute(_SET_ASIDE, {"ids": ids, "now": self.now, "until": until})
            if free or not found:
                return free[:limit]
        return []

    def keep(self, taken: Collection[int]) -> None:
        """Write down who was taken as a probe."""
        for held in {held.id: held for held in self.quarantined.values()}.values():
            held.keep(self.connection, taken)


_NOW = bindparam("now", type_=ONBOARDING.c.due_at.type)
# A lease that ran out goes with it: a run must not wait for somebody who is not going to be claimed.
_SET_ASIDE = (
    update(ONBOARDING)
    .where(
        ONBOARDING.c.id.in_(bindparam("ids", expanding=True)),
        ONBOARDING.c.due_at <= _NOW,
        or_(ONBOARDING.c.lease_until.is_(None), ONBOARDING.c.lease_until <= _NOW),
    )
    .values(
        due_at=bindparam("until", type_=ONBOARDING.c.due_at.type),
        lease_token=null(),
        lease_owner=null(),
        lease_until=null(),
        version=ONBOARDING.c.version + 1,
    )
)
