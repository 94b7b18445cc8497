"""Where everybody stands, as the one JSON object and as a funnel for people with what to do next.

Everything fits into 80 columns by itself: nothing is cut or folded in a narrow terminal, a log or a mail.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

from deployments.cli.half_in import as_object, how_far, remedies, what_that_means
from deployments.cli.wording import ago, ahead, command, count, in_this_shell, printable
from states.holds import LAST_ATTEMPT, REMEDIES, HoldKind, Reason

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
        **_held_back_object(standing),
        **({"erased": standing.erased} if standing.erased else {}),
    }


def _held_back_object(standing: "Standing") -> dict[str, object]:
    """Return the keys that are there only if somebody is held back."""
    quarantined = [
        {
            "integration": one.integration,
            "stage": one.stage.value,
            "reason": one.reason.value,
            "since": one.since.isoformat(),
            "probe_at": one.probe_at.isoformat(),
            "held_back": one.held_back,
        }
        for one in standing.quarantined
    ]
    paused = [
        {"batch": one.batch, "since": one.since.isoformat(), "why": one.why, "held_back": one.held_back}
        for one in standing.paused
    ]
    shown: dict[str, object] = {
        "quarantined": quarantined,
        "paused": paused,
        "unfinished": [as_object(one) for one in standing.unfinished],
    }
    return {name: held_back for name, held_back in shown.items() if held_back}


def paces_object(standing: "Standing") -> dict[str, object]:
    """Return the key that ``status`` has besides, once an account was called."""
    paces = [
        {
            "calls_per_second": one.rate and round(one.rate, 2),
            "limit": "given" if one.given else "found" if one.limit_met else "searched",
            "paused_until": one.paused_until and one.paused_until.isoformat(),
        }
        for one in standing.paces
    ]
    return {"pace": paces} if paces else {}


def print_json(shown: object) -> None:
    """Print one JSON value on standard output."""
    typer.echo(json.dumps(shown, indent=2, ensure_ascii=False))


def print_standing(database: "Database", standing: "Standing", *, calls: int, seconds: float) -> None:
    """Print the funnel, who waits for what, and the commands that move them on."""
    typer.echo(typer.style(_title(standing), bold=True))
    if standing.total == 0 and not standing.unfinished:
        typer.echo(f"  Nobody is on a list yet. Begin with: {command('run LIST')}")
        return
    most = max(standing.stages.values()) or 1
    for stage, number in standing.stages.items():
        bar = "█" * (round(_BAR_WIDTH * number / most) or 1 if number else 0)
        typer.echo(f"  {stage:<11}{number:>8,}" + (f"  {typer.style(bar, fg='green')}" if bar else ""))
    for group in groups(database, standing):
        _print_group(database, group, standing.batch)
    _print_held_back(standing)
    typer.echo("")
    for line in _what_comes_next(standing):
        typer.echo(line)
    typer.echo(f"{count(calls, 'call')} to Alloy in {seconds:,.1f} seconds.")
    for line in _paces(standing):
        typer.echo(line)


def _paces(standing: "Standing") -> Iterable[str]:
    for one in standing.paces:
        if one.rate is None:
            yield "All workers together: as fast as they can, since nothing was refused."
        else:
            how = (
                "as ALLOY_RATE says"
                if one.given
                else f"the limit is {'found' if one.limit_met else 'searched'} by asking"
            )
            yield f"All workers together: at most {one.rate:,.4g} calls a second, {how}."
        if one.paused_until is not None and one.paused_until > datetime.now(UTC):
            yield f"Alloy has asked to wait: it is called again {ahead(one.paused_until)}."


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
            return in_this_shell(REMEDIES.get(group.reason, f"`onboard redrive --reason {group.reason}`")).replace(
                "`", ""
            )


def asked_names(database: "Database", row: "Waiting") -> list[str]:
    """Return the names of the fields that the row's sentence speaks of."""
    from states.forms import named_fields, parse_form
    from store.standing import form_of

    return named_fields(parse_form(form_of(database, row.username, row.integration)), row.sentence)


def failed_so_often(attempts: int) -> str:
    """Say how many attempts in a row have failed, and how many there are before an operator is asked."""
    return f"{count(attempts, 'attempt')} of {LAST_ATTEMPT} failed"


def quoted(word: str) -> str:
    """Return ``word`` as a shell takes it."""
    from shlex import quote

    return quote(word)


def _title(standing: "Standing") -> str:
    where = f"Batch {printable(standing.batch)}" if standing.batch else "All batches"
    erased = f", and {standing.erased:,} erased" if standing.erased else ""
    return f"{where}: {count(standing.total, 'onboarding')}{erased}"


def _print_group(database: "Database", group: Group, batch: str | None) -> None:
    typer.echo("")
    heading = f"{_TITLES[group.kind]}: {group.number:,} {group.reason}"
    typer.echo(typer.style(heading, bold=True, fg="red" if group.kind is HoldKind.operator else None))
    for row in group.examples:
        typer.echo(f"  {printable(row.username)} · {printable(row.integration)} · {row.stage} for {ago(row.since)}")
        for line in folded(_without_remedy(row), 6):
            typer.echo(line)
        if row.hold is HoldKind.retry and row.due_at is not None:
            typer.echo(f"      {failed_so_often(row.attempts)}, the next {ahead(row.due_at)}")
    if group.number > len(group.examples):
        typer.echo(f"  and {group.number - len(group.examples):,} more")
    if group.kind is not HoldKind.cancelled:
        typer.echo(f"  → {remedy_for(database, group, batch)}")


def _print_held_back(standing: "Standing") -> None:
    for cohort in standing.quarantined:
        _print_why(
            f"Held back: {cohort.held_back:,} of {printable(cohort.label)} at {cohort.stage}",
            f"Most of those who were tried last were refused: {cohort.reason}. A few are tried "
            f"{ahead(cohort.probe_at)}; if one gets past, all go on by themselves. Once it is mended, to try at once:",
            f"redrive --integration {quoted(cohort.integration)} --reason {cohort.reason}",
        )
    for batch in standing.paused:
        _print_why(
            f"Paused: {batch.held_back:,} of batch {printable(batch.batch)}",
            f"Since {ago(batch.since)}: {batch.why}.",
            f"resume --batch {quoted(batch.batch)}",
        )
    for one in standing.unfinished:
        _print_why(f"Half in: {how_far(one)}", what_that_means(one), *remedies(one))


def _print_why(heading: str, sentence: str, *remedies: str) -> None:
    typer.echo("")
    typer.echo(typer.style(heading, bold=True, fg="red"))
    for line in folded(sentence, 2):
        typer.echo(line)
    for remedy in remedies:
        typer.echo(f"  → {command(remedy)}")


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
    held_back = sum(
        one.held_back for why in (standing.quarantined, standing.paused, standing.unfinished) for one in why
    )
    moving = standing.moving - held_back
    if moving > 0:
        yield f"{count(moving, 'onboarding is', 'onboardings are')} on the way: {command('resume')}"
    if standing.next_due_at is not None:
        yield f"The next one falls due {ahead(standing.next_due_at)}: {command('resume')}"
    elif moving <= 0:
        yield "Nothing falls due by itself any more."
    if standing.leftovers:
        yield (
            f"{count(standing.leftovers, 'suspected leftover')} at Alloy, which does no harm: "
            f"{command('leftovers')} lists them."
        )
