"""Bad luck on our own side, drawn as things happen: what strikes a worker at its next call of the store or of Alloy."""

from collections import Counter
from enum import StrEnum, auto
from random import Random

from tests.simulation.plan import Misfortunes


class Blow(StrEnum):
    """What can strike a process at one moment."""

    kill = auto()
    """SIGKILL: nothing of it runs again."""
    freeze = auto()
    """SIGSTOP, and SIGCONT some time later, perhaps past its lease."""
    oversleep = auto()
    """The same at the worst moment, with a call about to be sent, and until others have given its outcome up."""
    stop = auto()
    """SIGTERM: it is asked to end."""


class StoreTrouble(StrEnum):
    """What can go wrong with one transaction."""

    none = auto()
    locked = auto()
    """It cannot begin for a moment."""
    lost_commit = auto()
    """It is committed, and reported as failed because the connection broke: it may be tried again."""
    failed_commit = auto()
    """It is committed, and reported as failed for good."""
    broken = auto()
    """It is rolled back, and the connection is gone."""


class Fate:
    """Draws misfortunes while there are to be any, and counts them."""

    def __init__(self, random: Random, chances: Misfortunes, lease: float) -> None:
        self._random = random
        self._chances = chances
        self._lease = lease
        self.kind = False
        """Once it is kind nothing goes wrong any more."""
        self.struck: Counter[str] = Counter()

    def _happens(self, chance: float, name: str) -> bool:
        if self.kind or self._random.random() >= chance:
            return False
        self.struck[name] += 1
        return True

    def blow(self) -> Blow | None:
        """Draw what happens to a process now."""
        chances = self._chances
        for blow, chance in ((Blow.kill, chances.kill), (Blow.freeze, chances.freeze), (Blow.stop, chances.stop)):
            if self._happens(chance, blow):
                return blow
        return None

    def late_call(self) -> Blow | None:
        """Draw whether a process is frozen between its intent to make a call and the first byte."""
        return Blow.oversleep if self._happens(self._chances.late_call, Blow.oversleep) else None

    def store_trouble(self) -> StoreTrouble:
        """Draw what happens to a transaction."""
        if self._happens(self._chances.locked, StoreTrouble.locked):
            return StoreTrouble.locked
        if self._happens(self._chances.lost_commit, "commit"):
            kinds = (StoreTrouble.lost_commit, StoreTrouble.failed_commit, StoreTrouble.broken)
            trouble = self._random.choice(kinds)
            self.struck["commit"] -= 1
            self.struck[trouble] += 1
            return trouble
        return StoreTrouble.none

    def refuses_connection(self) -> bool:
        """Draw whether Alloy cannot be reached now."""
        return self._happens(self._chances.refused_connection, "refused connection")

    def frozen_seconds(self, blow: Blow) -> float:
        """Draw how long a process is frozen: for a moment, or well past its lease."""
        if blow is Blow.oversleep:
            return self._lease * (2 + 6 * self._random.random())
        return self._random.choice((0.2, 1.0, 2.0, 6.0)) * self._lease * self._random.random()

    def store_seconds(self) -> float:
        """Draw how long a piece of the store takes to begin, or to be heard of."""
        if self._happens(self._chances.stalled_store, "stalled store"):
            return self._random.random() * 1.5 * self._lease
        return self._random.choice((0.001, 0.004, 0.02)) * (0.5 + self._random.random())

    def network_seconds(self) -> float:
        """Draw how long a request or an answer is on its way."""
        return self._random.choice((0.002, 0.01, 0.05)) * (0.5 + self._random.random())

    def moment(self, longest: float) -> float:
        """Draw how long somebody takes their time."""
        return self._random.random() * longest
