"""What Python holds at the worst moment does not grow with the list: all of it passes through row by row.

The marks of what stood in a list before are in a temporary SQLite, which keeps at most 64 MB of them in memory.
"""

import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine

import store.intake.take_in
from store.intake.take_in import take_in
from store.lists.check import check_list, read_rows
from store.vault import Vault

SHORT, LONG = 2_000, 8_000
BYTES_A_ROW = 60
"""Less than half of what the three cells of a row take: what grows by less holds none of them."""


def peak_of(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def write(folder: Path, rows: int, row: str) -> Path:
    path = folder / f"{rows}.csv"
    path.write_text("username,integration,auth.key\n" + "".join(row.format(one) for one in range(rows)))
    return path


@pytest.mark.parametrize(
    "row", ["c{0}@example.test,slack,canary{0}\n", "c{0}@example.test,,canary\n", "ada@example.test,slack,canary\n"]
)
def test_checking_a_longer_list_holds_no_more(tmp_path: Path, row: str) -> None:
    """Good rows, faulty ones, and one row again and again."""
    first, shorter, longer = (write(tmp_path, rows, row) for rows in (10, SHORT, LONG))
    check_list(first)
    short = peak_of(lambda: check_list(shorter))
    long = peak_of(lambda: check_list(longer))

    assert long - short < BYTES_A_ROW * (LONG - SHORT)


def test_taking_in_a_longer_list_holds_no_more(engine: Engine, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(store.intake.take_in, "CHUNK", 200)
    vault = Vault.open(None, tmp_path)

    def take(path: Path) -> None:
        take_in(
            engine,
            path.stem,
            read_rows(path),
            source=path.name,
            templates=None,
            catalogue=None,
            vault=vault,
            now=datetime.now(UTC),
        )

    paths = [write(tmp_path, rows, f"{rows}c{{0}}@example.test,slack,canary\n") for rows in (400, SHORT, LONG)]
    take(paths[0])
    short = peak_of(lambda: take(paths[1]))
    long = peak_of(lambda: take(paths[2]))

    assert long - short < BYTES_A_ROW * (LONG - SHORT)
