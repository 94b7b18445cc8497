"""How a list that is only half in is spoken of: how far it is, and the two commands that end that."""

from shlex import quote
from typing import TYPE_CHECKING

from deployments.cli.wording import ago, printable

if TYPE_CHECKING:
    from store.intake.unfinished import Unfinished


def how_far(half_in: "Unfinished") -> str:
    """Say how much of a list is in."""
    what = f"{printable(half_in.source)} in batch {printable(half_in.batch)}"
    if half_in.discarded:
        return f"{what}, of which {half_in.held_back:,} onboardings are left to be taken out"
    of = f" of {half_in.rows_in_list:,}" if half_in.rows_in_list is not None else ""
    return f"{half_in.rows:,}{of} rows of {what}"


def what_that_means(half_in: "Unfinished") -> str:
    """Say what becomes of it, before :func:`remedies`."""
    begun = f"Begun {ago(half_in.began_at)} ago. Nobody works on what it has added until the rest is in."
    choice = "To take out what is left:" if half_in.discarded else "To take in the rest, or to take out what is in:"
    return f"{begun} {choice}"


def remedies(half_in: "Unfinished") -> list[str]:
    """Return the commands that take in the rest, where that is still possible, and that take out what is in."""
    of_batch = f"--batch {quote(half_in.batch)}"
    discard = f"discard {of_batch}"
    return [discard] if half_in.discarded else [f"run {quote(half_in.source)} {of_batch}", discard]


def as_object(half_in: "Unfinished") -> dict[str, object]:
    """Return it as ``--json`` shows it."""
    return {
        "batch": half_in.batch,
        "source": half_in.source,
        "rows": half_in.rows,
        "rows_in_list": half_in.rows_in_list,
        "began_at": half_in.began_at.isoformat(),
        "held_back": half_in.held_back,
        "discarded": half_in.discarded,
    }
