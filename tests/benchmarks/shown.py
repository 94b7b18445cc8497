"""Tables as the benchmarks print them: wide enough for a terminal and for the README."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table

_WIDTH = 120


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """Return a table whose first column holds words and whose others hold figures."""
    made = Table(title=title)
    for number, column in enumerate(columns):
        made.add_column(column, justify="right" if number else "left")
    for row in rows:
        made.add_row(*row)
    return made


def show(*tables: Table) -> None:
    """Print them."""
    console = Console(width=_WIDTH)
    for one in tables:
        console.print(one)
