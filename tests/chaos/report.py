"""What a proof found, as tables."""

from rich.console import Console
from rich.table import Table

from tests.chaos.battle import Outcome


def print_report(outcome: Outcome, console: Console) -> None:
    """Print what was done, what the books say, every leftover with its cause, and the recovery times."""
    console.print(_deeds(outcome), _findings(outcome), _leftovers(outcome), _recovery(outcome))
    for words in outcome.crew.complaints:
        console.print(words, markup=False)
    for wrong in outcome.books.wrong[:20]:
        console.print(f"WRONG: {wrong}", markup=False)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="right" if column in ("number", "seconds") else "left")
    return table


def _deeds(outcome: Outcome) -> Table:
    crew, chaos = outcome.crew, outcome.chaos
    table = _table(f"What was done (seed {chaos.seed})", "what", "number")
    ends = ", ".join(f"{code}: {number}" for code, number in sorted(crew.ends.items()))
    for what, number in (
        ("customers", chaos.customers),
        ("workers at a time", chaos.workers),
        ("calls", outcome.books.calls),
        *((f"calls struck by {kind}", number) for kind, number in sorted(outcome.books.faults.items())),
        ("workers killed", len(crew.deaths)),
        ("workers stopped", len(crew.stops)),
        ("of these beyond their lease", outcome.beyond_their_lease),
        (f"Prefect's server (on {outcome.prefect}) killed and restarted", outcome.prefect_restarts),
        ("workers that ended by themselves, by exit code", ends),
        ("onboardings a second", f"{chaos.customers / outcome.seconds:.1f}"),
    ):
        table.add_row(what, str(number))
    return table


def _findings(outcome: Outcome) -> Table:
    books = outcome.books
    table = _table("What the three books say", "what", "number")
    for what, number in (
        ("completed", books.completed),
        ("lost", books.lost),
        ("users doubled", books.doubled_users),
        ("live installations doubled", books.doubled_installations),
        ("records taken over from another worker", books.taken_over),
        ("answers that came when the lease was lost, and were kept", books.late),
        ("of these used by whoever had taken over", books.late_used),
        ("started installations left at Alloy, all of them listed", books.orphans),
        ("unused credentials left at Alloy, all of them listed", books.unused),
        ("anything else that must not be", len(books.wrong)),
    ):
        table.add_row(what, str(number))
    return table


def _leftovers(outcome: Outcome) -> Table:
    table = _table("Leftovers that we list, and why each may exist", "call", "why", "number")
    for (trigger, cause), number in sorted(outcome.books.leftovers.items()):
        table.add_row(trigger, cause, str(number))
    return table


def _recovery(outcome: Outcome) -> Table:
    found, bound = outcome.recovery, outcome.bound.total_seconds()
    table = _table("From a worker's death to the next step of its records, by the database's clock", "what", "seconds")
    for name, share in (("half of them within", 0.5), ("95 of 100 within", 0.95), ("the longest", 1.0)):
        table.add_row(name, f"{found.percentile(share):.2f}")
    table.add_row("the bound: the lease and five seconds", f"{bound:.2f}")
    table.add_row("what 95 of 100 undisturbed claims took to their first step here", f"{found.usual:.2f}")
    table.add_row("records of dead workers", str(len(found.waits)))
    table.add_row("beyond the bound", str(len(found.beyond(outcome.bound))))
    table.add_row("beyond the bound and that", str(len(found.beyond(outcome.bound_here))))
    table.add_row("taken up by a worker that was struck before its first step (not above)", str(found.struck_again))
    table.add_row("never taken up again", str(len(found.forgotten)))
    return table
