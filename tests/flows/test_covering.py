"""The covering array itself: every pair is in it, nothing forbidden is, and it is small."""

from collections.abc import Mapping
from itertools import combinations

from tests.flows.covering import Row, covering_rows, pairs_of

FACTORS = {"colour": ["red", "green", "blue"], "size": [1, 2, 3, 4], "round": [True, False], "heavy": [True, False]}


def no_heavy_red(row: Mapping[str, object]) -> bool:
    return not (row.get("colour") == "red" and row.get("heavy") is True)


def met(rows: list[Row]) -> set[frozenset[tuple[str, object]]]:
    return {frozenset(pair) for row in rows for pair in combinations(row.items(), 2)}


def test_every_pair_is_covered() -> None:
    rows = covering_rows(FACTORS)

    assert met(rows) == set(pairs_of(FACTORS, lambda _row: True))


def test_a_row_has_a_value_for_every_factor() -> None:
    assert all(list(row) == list(FACTORS) for row in covering_rows(FACTORS))


def test_what_cannot_be_together_is_not_and_every_other_pair_is_covered() -> None:
    rows = covering_rows(FACTORS, no_heavy_red)

    assert all(map(no_heavy_red, rows))
    assert met(rows) == set(pairs_of(FACTORS, no_heavy_red))


def test_thirty_switches_take_few_rows() -> None:
    switches = {f"switch {number}": [True, False] for number in range(30)}

    assert len(covering_rows(switches)) <= 16


def test_the_same_factors_give_the_same_rows() -> None:
    assert covering_rows(FACTORS) == covering_rows(dict(FACTORS))
