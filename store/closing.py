"""The words for how a call ended; of its own, so that whoever only reads them needs no tables."""

from enum import StrEnum, auto


class Closing(StrEnum):
    """How an intent ended."""

    answered = auto()
    """Alloy's answer arrived and moved the record."""
    found = auto()
    """The answer was lost; what it did was found at Alloy and moved the record."""
    late = auto()
    """The answer arrived after the lease was lost; whoever claims the record next uses it."""
    nothing = auto()
    """It certainly had no effect: not sent, or refused."""
    absent = auto()
    """Its effect was looked for, twice and late enough, and is not there."""
    leftover = auto()
    """Its effect may be there but cannot be found; a suspected leftover, which does no harm."""
