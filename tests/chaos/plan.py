"""What is done to the workers, and when: drawn from a seed, so that a run that fails can be told to another."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Literal


@dataclass(frozen=True, slots=True)
class Blow:
    """A worker that is at work is killed, or stopped for a while."""

    pause: float
    """Seconds since the blow before."""
    kind: Literal["kill", "stop"]
    seconds: float
    """How long it is stopped."""
    whom: float
    """In [0, 1): which of those that are at work."""

    def __str__(self) -> str:
        return "SIGKILL" if self.kind == "kill" else f"SIGSTOP for {self.seconds:.1f} s"


def blows(seed: int, *, every: float, lease: float) -> Iterator[Blow]:
    """Draw blows without end, ``every`` so many seconds on average.

    Of the stops, two of three are longer than the lease: others take over, and the stopped one wakes to what is no
    longer its own. The others are shorter, and nobody should notice.
    """
    random = Random(seed)  # noqa: S311 - repeatable
    while True:
        kill = random.random() < 0.5
        beyond = random.random() < 2 / 3
        yield Blow(
            pause=every * (0.5 + random.random()),
            kind="kill" if kill else "stop",
            seconds=lease + 1 + 3 * random.random() if beyond else (0.2 + 0.5 * random.random()) * lease,
            whom=random.random(),
        )
