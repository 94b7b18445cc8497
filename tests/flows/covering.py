"""A covering array of pairs: few rows in which every two positions of every two factors meet at least once.

Most faults that need more than one setting need two, and all pairs of thirty factors fit into a few dozen rows. Greedy
and without chance: the same factors give the same rows.
"""

from collections.abc import Callable, Container, Mapping, Sequence
from itertools import combinations, product

Position = tuple[str, object]
"""A factor's name, and one of its values."""
Pair = frozenset[Position]
Row = dict[str, object]
Allowed = Callable[[Mapping[str, object]], bool]
"""Tells whether a row, or a part of one, can be; a part that can be must have a whole that can."""


def pairs_of(factors: Mapping[str, Sequence[object]], allowed: Allowed) -> list[Pair]:
    """Return every two positions of different factors that can be together, in a fixed order."""
    positions = [[(name, value) for value in values] for name, values in factors.items()]
    every = (pair for one, other in combinations(positions, 2) for pair in product(one, other))
    return [frozenset(pair) for pair in every if allowed(dict(pair))]


def covering_rows(factors: Mapping[str, Sequence[object]], allowed: Allowed = lambda _row: True) -> list[Row]:
    """Return rows, each with a value for every factor, in which every allowed pair occurs.

    They are fewest if the factors with most values come first.
    """
    missing = dict.fromkeys(pairs_of(factors, allowed))
    rows: list[Row] = []
    while missing:
        row: Row = dict(sorted(next(iter(missing))))
        for name in sorted(factors.keys() - row.keys(), key=list(factors).index):
            row[name] = _best(name, _turned(factors[name], by=len(rows)), row, missing, allowed)
        rows.append({name: row[name] for name in factors})
        for pair in combinations(row.items(), 2):
            missing.pop(frozenset(pair), None)
    return rows


def _best(name: str, values: Sequence[object], row: Row, missing: Container[Pair], allowed: Allowed) -> object:
    """Return the value that brings most of the missing pairs into the row; of equals the first."""
    possible = [value for value in values if allowed({**row, name: value})]
    return max(possible, key=lambda value: sum(frozenset({(name, value), one}) in missing for one in row.items()))


def _turned(values: Sequence[object], *, by: int) -> list[object]:
    """Begin with another value in every row: with the same one, equals would be settled alike and rows wasted."""
    first = by % len(values)
    return [*values[first:], *values[:first]]
