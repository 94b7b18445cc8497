"""What came of a page, counted, and said the way an operator reads it."""

from collections import Counter
from enum import StrEnum, auto

from states.holds import HoldKind


class Verdict(StrEnum):
    """What came of one record in one task run."""

    moved = auto()
    retry = auto()
    waiting = auto()
    operator = auto()
    lost = auto()
    released = auto()


Tally = Counter[Verdict]

VERDICT_OF = {
    HoldKind.retry: Verdict.retry,
    HoldKind.customer: Verdict.waiting,
    HoldKind.operator: Verdict.operator,
    HoldKind.cancelled: Verdict.operator,
}

_WORDS = {
    Verdict.moved: "moved",
    Verdict.waiting: "waiting",
    Verdict.retry: "to be tried again",
    Verdict.operator: "for an operator",
    Verdict.lost: "taken over",
    Verdict.released: "given back",
}


def describe(tally: Tally) -> str:
    """Say a tally in words: "48 moved, 2 waiting"."""
    return ", ".join(f"{tally[verdict]} {word}" for verdict, word in _WORDS.items() if tally[verdict]) or "nothing due"
