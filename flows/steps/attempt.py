"""One try at moving one record: what a step is given, and what it leaves behind for the books."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from flows.resources import Resources
from store.journal import Close, Unknown
from store.records import Record
from store.writes import Begin, Issue, Learn, TakeTurn


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a step found out: the values with which its record moves, and a note for its history."""

    values: Mapping[str, object]
    note: str = ""


@dataclass(slots=True)
class Attempt:
    """A record, what to work with, and how its intent stands."""

    record: Record
    resources: Resources
    closes: Close | None = None
    """What is certain about the record's intent, whether the step succeeds or fails."""
    unknown: Unknown | None = None
    """The call that was sent, if its outcome is not known."""
    absent: int | None = None
    """The intent whose effect was looked for in vain for the first time."""

    together: Callable[[], Awaitable["Evidence"]] | None = None
    """What came of the record's part in a call that was made for several records at once."""

    remembers: dict[str, object] = field(default_factory=dict)
    """What was found out and goes into the database with the next intent, or with the hold if there is none."""

    async def begin(self, begin: Begin) -> int:
        """Write an intent; return its id. Raises :class:`store.writes.LeaseLost`."""
        intent_id = await self.resources.recorder.write(begin)
        self.remembers = {}
        if intent_id is None:
            raise RuntimeError("an intent was written without an id")
        return intent_id

    def remember(self, **values: object) -> None:
        """Keep what was found out for the next intent or hold, which is written before anything is built on it."""
        self.remembers |= values
        self._take_over(values)

    async def learn(self, note: str = "", **values: object) -> None:
        """Write down what was found out about the record, before anything is built on it."""
        await self.resources.recorder.write(Learn(self.record, values, note))
        self._take_over(values)

    def _take_over(self, values: Mapping[str, object]) -> None:
        for name, value in values.items():
            if hasattr(self.record, name):
                setattr(self.record, name, value)

    async def take_turn(self, others: Sequence[int]) -> None:
        """Have ``others`` of the customer, which stand still half-way, begin anew when their turn comes."""
        if others:
            await self.resources.recorder.write(TakeTurn(self.record, others))

    async def issue_link(self, url: str) -> None:
        """Keep a consent link, sealed."""
        await self.resources.recorder.write(Issue(self.record, self.resources.vault.seal(url)))
        self.record.link_issued_at = self.resources.clock.now()
