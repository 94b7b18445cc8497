"""Where everybody stands, as the one JSON object and as a funnel for people with what to do next.

Everything fits into 80 columns by itself: nothing is cut or folded in a narrow terminal, a log or a mail.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from deployments.cli.wording import ago, ahead, command, count, in_this_shell, printable
from states.holds import REMEDIES, HoldKind, Reason

if TYPE_CHECKING:
    from store.read_only import Database
    from store.standing import Standing, Waiting

_BAR_WIDTH = 40
_EXAMPLES = 3
_LOOKED_AT = 200
"""How many of each kind of hold are read to find examples for every reason."""

_TITLES = {
    HoldKind.operator: "Waiting for you",
    HoldKind.customer: "Waiting for the customer",
    HoldKind.retry: "Tried again by itself",
    HoldKind.cancelled: "Cancelled",
}


@dataclass(frozen=True, slots=True)
class Group:
    """Those who stand still for one reason, and the first of them."""

    kind: HoldKind
    reason: Reason
    number: int
    examples: Sequence["Waiting"]


def counts_object(standing: "Standing", *, calls: int, seconds: float) -> dict[str, object]:
    """Return the object that ``run``, ``resume`` and ``status`` print with ``--json``."""
    return {
        "batch": standing.batch,
        "total": standing.total,
        "stages": {stage.value: number for stage, number in standing.stages.items()},
        "holds": {kind.value: number for kind, number in standing.holds.items()},
        "reasons": {reason.value: number for reason, number in standing.reasons.items()},
        "calls": calls,
        "seconds": round(seconds, 3),
    }


def print_json(shown: object) -> None:
    """Print one JSON value on standard output."""
    typer.echo(json.dumps(shown, indent=2, ensure_ascii=False))


def print_standing(database: "Database", standing: "Standing", *, calls: int, seconds: float) -> None:
    """Print the funnel, who waits for what, and the commands that move them on."""
    typer.echo(typer.style(_title(standing), bold=True))
    if standing.total == 0:
        typer.echo(f"  Nobody is on a list yet. Begin with: {command('run LIST')}")
        return
    most = max(standing.stages.values())
    for stage, number in standing.stages.items():
        bar = "█" * (round(_BAR_WIDTH * number / most) or 1 if number else 0)
        typer.echo(f"  {stage:<11}{number:>8,}" + (f"  {typer.style(bar, fg='green')}" if bar else ""))
    for group in groups(database, standing):
        _print_group(database, group, standing.batch)
    typer.echo("")
    for line in _what_comes_next(standing):
        typer.echo(line)
    typer.echo(f"{count(calls, 'call')} to Alloy in {seconds:,.1f} seconds.")


def groups(database: "Database", standing: "Standing") -> list[Group]:
    """Return everybody who stands still, by whom they wait for and why; whom an operator must help come first."""
    from store.standing import waiting

    found: list[Group] = []
    for kind in _TITLES:
        if not standing.holds.get(kind):
            continue
        rows = waiting(database, batch=standing.batch, kind=kind, limit=_LOOKED_AT)
        reasons = dict.fromkeys(row.reason for row in rows)
        for reason in reasons:
            of_reason = [row for row in rows if row.reason is reason]
            exact = len(reasons) == 1 and len(rows) < _LOOKED_AT
            number = len(of_reason) if exact or len(rows) < _LOOKED_AT else standing.reasons.get(reason, 0)
            found.append(Group(kind, reason, number, of_reason[:_EXAMPLES]))
    return found


def remedy_for(database: "Database", group: Group, batch: str | None) -> str:
    """Return the command that moves the group's first one on, or what has to be done before one can."""
    first = group.examples[0]
    of_batch = f" --batch {batch}" if batch else ""
    if group.kind is HoldKind.retry:
        return command(f"resume{of_batch}")
    match group.reason:
        case Reason.awaiting_consent:
            return command(f"links{of_batch}")
        case Reason.awaiting_answer | Reason.invalid_answer:
            names = asked_names(database, first) or ["FIELD"]
            return command(f"answer {first.username} " + " ".join(f"{quoted(name)}=VALUE" for name in names))
        case _:
            return in_this_shell(REMEDIES.get(group.reason, f"`onboard redrive --reason {group.reason}`")).strip("`")


def asked_names(database: "Database", row: "Waiting") -> list[str]:
    """Return the names of the fields that the row's sentence speaks of."""
    from states.forms import parse_form
    from store.standing import form_of

    form = parse_form(form_of(database, row.username, row.integration))
    names = dict.fromkeys(asked.name for block in form for asked in block.fields)
    return [name for name in names if f" {name} " in f" {row.sentence.replace(':', ' ').replace(',', ' ')} "]


def quoted(word: str) -> str:
    """Return ``word`` as a shell takes it."""
    from shlex import quote

    return quote(word)


def _title(standing: "Standing") -> str:
    where = f"Batch {printable(standing.batch)}" if standing.batch else "All batches"
    return f"{where}: {count(standing.total, 'onboarding')}"


def _print_group(database: "Database", group: Group, batch: str | None) -> None:
    typer.echo("")
    heading = f"{_TITLES[group.kind]}: {group.number:,} {group.reason}"
    typer.echo(typer.style(heading, bold=True, fg="red" if group.kind is HoldKind.operator else None))
    for row in group.examples:
        typer.echo(f"  {printable(row.username)} · {printable(row.integration)} · {row.stage} for {ago(row.since)}")
        for line in folded(_without_remedy(row), 6):
            typer.echo(line)
    if group.number > len(group.examples):
        typer.echo(f"  and {group.number - len(group.examples):,} more")
    if group.kind is not HoldKind.cancelled:
        typer.echo(f"  → {remedy_for(database, group, batch)}")


def _without_remedy(row: "Waiting") -> str:
    remedy = REMEDIES.get(row.reason)
    return row.sentence.removesuffix(f"; {remedy}") if remedy else row.sentence


def folded(text: str, indent: int, width: int = 79) -> Iterable[str]:
    """Yield ``text`` in lines of ``width``, indented; a word that is longer stays whole, so that it can be copied."""
    from textwrap import wrap

    margin = " " * indent
    return wrap(
        printable(in_this_shell(text)),
        width,
        initial_indent=margin,
        subsequent_indent=margin,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _what_comes_next(standing: "Standing") -> Iterable[str]:
    if standing.moving:
        yield f"{count(standing.moving, 'onboarding is', 'onboardings are')} on the way: {command('resume')}"
    if standing.next_due_at is not None:
        yield f"The next one falls due {ahead(standing.next_due_at)}: {command('resume')}"
    elif not standing.moving:
        yield "Nothing falls due by itself any more."
    if standing.leftovers:
        yield (
            f"{count(standing.leftovers, 'suspected leftover')} at Alloy, which does no harm: "
            f"{command('show USERNAME')} lists the calls."
        )
