"""Whom a verb is meant for: the options by which operators choose, and what is said before anything is done."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from deployments.cli.exits import ExitCode, Refused
from deployments.cli.wording import count
from states.holds import HoldKind, Reason
from states.stage import Stage

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from store.choosing import Chosen, Preview

_AGE = re.compile(r"(\d{1,6})\s*(w|d|h|min|s)")
_UNITS = {
    "w": timedelta(weeks=1),
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "min": timedelta(minutes=1),
    "s": timedelta(seconds=1),
}


def read_age(text: str) -> timedelta:
    """Read an age such as ``30d``, ``12h`` or ``90min``."""
    found = _AGE.fullmatch(text.strip())
    if found is None:
        raise typer.BadParameter(f"{text!r} is no age: write 30d, 12h, 90min or 2w")
    return int(found[1]) * _UNITS[found[2]]


Username = Annotated[str | None, typer.Option("--username", help="Only this customer.")]
Batch = Annotated[str | None, typer.Option("--batch", help="Only this batch.")]
OfReason = Annotated[Reason | None, typer.Option("--reason", help="Only those held for this.")]
OfHold = Annotated[HoldKind | None, typer.Option("--hold", help="Only those who are held by this kind of hold.")]
AtStage = Annotated[Stage | None, typer.Option("--stage", help="Only at this stage.")]
Integration = Annotated[str | None, typer.Option("--integration", help="Only this integration.")]
OlderThan = Annotated[
    timedelta | None,
    typer.Option("--older-than", parser=read_age, metavar="AGE", help="Only at their stage for longer, such as 30d."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask first.")]
Json = Annotated[
    bool, typer.Option("--json", help="One JSON object on standard output; without --yes nothing is done.")
]


@dataclass(frozen=True, slots=True)
class Wanted:
    """The conditions as they were typed."""

    username: str | None = None
    batch: str | None = None
    reason: Reason | None = None
    hold: HoldKind | None = None
    stage: Stage | None = None
    integration: str | None = None
    older_than: timedelta | None = None

    def require_some(self, verb: str) -> None:
        """Refuse to do ``verb`` to everybody there is only because nothing was said."""
        if self == Wanted():
            raise Refused(
                ExitCode.bad_input,
                "usage",
                f"say who is to be {verb}: --username, --batch, --stage, --hold, --reason, --integration or "
                "--older-than",
            )

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


def say_what_would_be_done(preview: "Preview", what: str) -> None:
    """Say on standard error whom a verb would reach."""
    stages = ", ".join(f"{number:,} {stage}" for stage, number in preview.stages.items())
    typer.echo(f"{count(preview.total, 'onboarding')} would be {what}: {stages}.", err=True)
    if preview.leased:
        typer.echo(
            f"{preview.leased:,} of them {'is' if preview.leased == 1 else 'are'} in a worker's hands, "
            "which finishes the call that is under way first.",
            err=True,
        )


def as_object(verb: str, preview: "Preview", *, done: int | None) -> dict[str, object]:
    """Return what a verb prints with ``--json``: whom it would reach, and how many it reached if it was done."""
    return {
        "verb": verb,
        "total": preview.total,
        "stages": {stage.value: number for stage, number in preview.stages.items()},
        "holds": {hold.value: number for hold, number in preview.holds.items() if hold is not None},
        "in_hand": preview.leased,
        "done": done,
    }
