"""Who stands still: by whom they wait for and why, those who have waited longest, and what moves them on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deployments.cli.tables import Row, tabulated
from deployments.cli.terminal import folded, styled
from deployments.cli.wording import ago, command, count, in_this_shell, quoted, soon
from states.holds import LAST_ATTEMPT, REMEDIES, HoldKind, Reason

if TYPE_CHECKING:
    from store.read_only import Database
    from store.standing import Standing, Waiting

_EXAMPLES = 3
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


def held(database: "Database", standing: "Standing") -> Iterator[str]:
    """Yield the lines about everybody who stands still."""
    for group in groups(database, standing):
        yield ""
        heading = f"{_TITLES[group.kind]}: {group.number:,} {group.reason}"
        yield styled(heading, bold=True, colour="red" if group.kind is HoldKind.operator else None)
        yield from _examples(group)
        if group.kind is not HoldKind.cancelled:
            yield f"  → {remedy_for(database, group, standing.batch)}"


def groups(database: "Database", standing: "Standing") -> list[Group]:
    """Return everybody who stands still; whom an operator must help come first, then the largest groups."""
    from store.standing import waiting

    numbers: dict[tuple[HoldKind, Reason], int] = {}
    for (_, kind, reason), number in standing.parts.items():
        if kind is not None and reason is not None:
            numbers[kind, reason] = numbers.get((kind, reason), 0) + number
    order = list(_TITLES)
    found: list[Group] = []
    for (kind, reason), number in sorted(numbers.items(), key=lambda one: (order.index(one[0][0]), -one[1])):
        rows = waiting(database, batch=standing.batch, kind=kind, reason=reason, limit=_EXAMPLES)
        if rows:  # they may all have moved on just now
            found.append(Group(kind, reason, number, rows))
    return found


def remedy_for(database: "Database", group: Group, batch: str | None) -> str:
    """Return the command that moves the group's first one on, or what has to be done before one can."""
    first = group.examples[0]
    of_batch = f" --batch {quoted(batch)}" if batch else ""
    if group.kind is HoldKind.retry:
        return command(f"resume{of_batch}")
    match group.reason:
        case Reason.awaiting_consent:
            return command(f"links{of_batch}")
        case Reason.awaiting_answer | Reason.invalid_answer:
            names = asked_names(database, first) or ["FIELD"]
            return command(f"answer {quoted(first.username)} " + " ".join(f"{quoted(name)}=VALUE" for name in names))
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


def _examples(group: Group) -> Iterator[str]:
    sentences = {_without_remedy(row) for row in group.examples}
    alike = len(sentences) == 1
    rows = [
        Row(
            (
                row.username,
                row.integration,
                row.stage,
                ago(row.since),
                f"{row.attempts} of {LAST_ATTEMPT}" if group.kind is HoldKind.retry else "",
                soon(row.due_at) if row.due_at is not None else "",
            ),
            () if alike else (_without_remedy(row),),
        )
        for row in group.examples
    ]
    last = "next try" if group.kind is HoldKind.retry else "next look"
    yield from tabulated(("customer", "integration", "stage", "for", "failed", last), rows)
    if group.number > len(group.examples):
        yield f"  and {group.number - len(group.examples):,} more"
    if alike:
        yield from folded(sentences.pop(), 2)


def _without_remedy(row: "Waiting") -> str:
    remedy = REMEDIES.get(row.reason)
    return row.sentence.removesuffix(f"; {remedy}") if remedy else row.sentence
