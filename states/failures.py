"""The four ways in which a step can fail to move its record, whoever finds out.

::

    Failure
      x Transient   not sent, refused or unknown: we try again by ourselves
      x Waiting     a person outside has to do something: we look again
      x Rejected    somebody must mend it: an operator decides
      x Halted      nothing can work until it is mended: the run stops, no record is blamed
"""

from datetime import timedelta
from enum import StrEnum, auto
from typing import ClassVar

from states.holds import HoldKind, Reason


class Effect(StrEnum):
    """What a failed call may have done at Alloy."""

    nothing = auto()
    unknown = auto()


class Failure(Exception):
    """Why a step did not move its record: a reason code, and a sentence without any secret in it."""

    hold: ClassVar[HoldKind]

    def __init__(self, reason: Reason, sentence: str) -> None:
        super().__init__(reason, sentence)
        self.reason = reason
        self.sentence = sentence

    def __str__(self) -> str:
        return self.sentence


class Transient(Failure):
    """It may work later. ``effect`` says whether the call may have been carried out all the same."""

    hold = HoldKind.retry

    def __init__(
        self,
        reason: Reason,
        sentence: str,
        *,
        effect: Effect = Effect.nothing,
        retry_after: timedelta | None = None,
    ) -> None:
        super().__init__(reason, sentence)
        self.effect = effect
        self.retry_after = retry_after


class Waiting(Failure):
    """Somebody outside is awaited: a consent, or an answer."""

    hold = HoldKind.customer


class Rejected(Failure):
    """Alloy, or a rule of ours, refused this record as it is.

    ``status`` is the HTTP status where a call was refused; a step uses it to tell a duplicate from a fault.
    """

    hold = HoldKind.operator

    def __init__(self, reason: Reason, sentence: str, *, status: int | None = None) -> None:
        super().__init__(reason, sentence)
        self.status = status


class Halted(Failure):
    """The key, the host or the set-up is wrong: no call of any customer can succeed."""

    hold = HoldKind.operator
