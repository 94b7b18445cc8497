"""Whom an operator means, as it is typed on a command line or into a form: the one list of conditions for both.

Importing this imports no SQLAlchemy, which takes longer than most commands run.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from states.holds import HoldKind, Reason
from states.stage import Stage

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from store.choosing import Chosen


@dataclass(frozen=True, slots=True)
class Wanted:
    """The conditions as they were typed; every one that is set must hold."""

    username: str | None = None
    batch: str | None = None
    reason: Reason | None = None
    hold: HoldKind | None = None
    stage: Stage | None = None
    integration: str | None = None
    older_than: timedelta | None = None

    @property
    def is_everybody(self) -> bool:
        """Tell whether nothing was said, which means everybody there is."""
        return self == Wanted()

    def look_up(self, engine: "Engine", now: datetime) -> "Chosen":
        """Return whom that means. Raises :class:`store.finding.NotFound` for a batch or customer that is not there."""
        from store.choosing import Chosen
        from store.finding import find_batch, find_customer

        if self.username is not None:
            find_customer(engine, self.username)
        return Chosen(
            username=self.username,
            integration=self.integration,
            batch_id=find_batch(engine, self.batch) if self.batch is not None else None,
            stage=self.stage,
            hold=self.hold,
            reason=self.reason,
            since=now - self.older_than if self.older_than is not None else None,
        )

    def __str__(self) -> str:
        """Say it in words, for the name of a run."""
        said = [
            str(value)
            for value in (self.username, self.batch, self.integration, self.stage, self.hold, self.reason)
            if value is not None
        ]
        return ", ".join([*said, *([f"for {self.older_than} or longer"] if self.older_than is not None else [])])
