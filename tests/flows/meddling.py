"""A recorder beside which something happens at the worst moment."""

from collections.abc import Callable

from flows.recorder import Recorder
from store.writes import Write

Act = Callable[[], None]


def nothing() -> None:
    """Let nothing happen."""


class Meddling(Recorder):
    """A recorder beside which something happens: just before it records, or just after it has recorded, one kind."""

    def __init__(self, recorder: Recorder, kind: type, *, before: Act = nothing, after: Act = nothing) -> None:
        self._recorder = recorder
        self._kind = kind
        self._before = [before]
        self._after = [after]
        self.changed = recorder.changed

    async def write(self, write: Write) -> int | None:
        if isinstance(write, self._kind) and self._before:
            self._before.pop()()
        written = await self._recorder.write(write)
        if isinstance(write, self._kind) and self._after:
            self._after.pop()()
        return written
