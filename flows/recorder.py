"""Group commit: writes are handed in one by one as answers arrive, and reach the database many at a time.

While one group is being written in a worker thread the next one gathers, so the busier we are the larger the groups;
when we are not busy, a group is a single write that waits for nobody. Whoever hands in a write waits until it is
committed.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor
from contextlib import asynccontextmanager, suppress
from typing import Any, Self

from sqlalchemy.exc import IntegrityError

from store.writes import LeaseLost, Write

RecordGroup = Callable[[Sequence[Write]], list[int | LeaseLost | None]]

Handed = tuple[Write, asyncio.Future[int | None]]

_LARGEST_GROUP = 500
_LONGEST_DRAIN_SECONDS = 30


class Recorder:
    """Takes writes from many coroutines and records them in groups, in the order in which they came."""

    def __init__(self, record_group: RecordGroup, executor: Executor) -> None:
        self._record_group = record_group
        self._executor = executor
        self._waiting: list[Handed] = []
        self._unanswered: set[asyncio.Future[int | None]] = set()
        self._arrived = asyncio.Event()
        self.changed = asyncio.Event()
        """Set after every group: what was not due before may be due now."""

    @classmethod
    @asynccontextmanager
    async def open(cls, record_group: RecordGroup, executor: Executor) -> AsyncIterator[Self]:
        """Run a recorder; at the end of the block what was handed in is still written."""
        recorder = cls(record_group, executor)
        writer = asyncio.create_task(recorder._write_groups(), name="recorder")
        try:
            yield recorder
        finally:
            try:
                await recorder._drain(writer)
            finally:
                writer.cancel()
                await asyncio.gather(writer, return_exceptions=True)

    async def write(self, write: Write) -> int | None:
        """Hand ``write`` in and wait until it is committed; return the id of the intent if it began one.

        Raises :class:`store.writes.LeaseLost` if the record is no longer ours, and whatever the database raises.
        """
        written: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((write, written))
        self._unanswered.add(written)
        written.add_done_callback(self._answered)
        self._arrived.set()
        # Whoever is cancelled waits no longer; what it handed in may be the only copy of an id, and is still written.
        return await asyncio.shield(written)

    def _answered(self, written: asyncio.Future[int | None]) -> None:
        self._unanswered.discard(written)
        if not written.cancelled():
            written.exception()  # nobody may be left to hear of it, and asyncio would complain

    async def _write_groups(self) -> None:
        while True:
            await self._arrived.wait()
            group, self._waiting = self._waiting[:_LARGEST_GROUP], self._waiting[_LARGEST_GROUP:]
            if not self._waiting:
                self._arrived.clear()
            await self._write_group(group)
            self.changed.set()

    async def _write_group(self, group: Sequence[Handed]) -> None:
        try:
            results = await asyncio.get_running_loop().run_in_executor(
                self._executor, self._record_group, [write for write, _ in group]
            )
        except IntegrityError as error:
            if len(group) == 1:
                _answer(group[0], error)
            for one in group if len(group) > 1 else ():  # what the database refuses of one must not fail the others
                await self._write_group([one])
        except Exception as error:
            for one in group:
                _answer(one, error)
        else:
            for one, result in zip(group, results, strict=True):
                _answer(one, result)

    async def _drain(self, writer: asyncio.Task[None]) -> None:
        """Wait until everything that was handed in is answered, for as long as there is a writer to answer it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LONGEST_DRAIN_SECONDS):
                while self._unanswered and not writer.done():
                    waited_for: list[asyncio.Future[Any]] = [*self._unanswered, writer]
                    await asyncio.wait(waited_for, return_when=asyncio.FIRST_COMPLETED)


def _answer(handed: Handed, result: int | Exception | None) -> None:
    _, written = handed
    if isinstance(result, Exception):
        written.set_exception(result)
    else:
        written.set_result(result)
