"""Group commit: writes are handed in one by one as answers arrive, and reach the database many at a time.

While one group is being written in a worker thread the next one gathers, so the busier we are the larger the groups;
when we are not busy, a group is a single write that waits for nobody. Whoever hands in a write waits until it is
committed.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from typing import Self

from store.work import LeaseLost, Write

RecordGroup = Callable[[Sequence[Write]], list[int | LeaseLost | None]]

_LARGEST_GROUP = 500


class Recorder:
    """Takes writes from many coroutines and records them in groups, in the order in which they came."""

    def __init__(self, record_group: RecordGroup, executor: Executor) -> None:
        self._record_group = record_group
        self._executor = executor
        self._waiting: list[tuple[Write, asyncio.Future[int | None]]] = []
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
            await recorder._drain()
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)

    async def write(self, write: Write) -> int | None:
        """Hand ``write`` in and wait until it is committed; return the id of the intent if it began one.

        Raises :class:`store.work.LeaseLost` if the record is no longer ours, and whatever the database raises.
        """
        written: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((write, written))
        self._arrived.set()
        return await written

    async def _write_groups(self) -> None:
        while True:
            await self._arrived.wait()
            await self._write_one_group()

    async def _write_one_group(self) -> None:
        group, self._waiting = self._waiting[:_LARGEST_GROUP], self._waiting[_LARGEST_GROUP:]
        if not self._waiting:
            self._arrived.clear()
        if not group:
            return
        try:
            results = await asyncio.get_running_loop().run_in_executor(
                self._executor, self._record_group, [write for write, _ in group]
            )
        except Exception as error:
            for _, written in group:
                if not written.done():
                    written.set_exception(error)
        else:
            for (_, written), result in zip(group, results, strict=True):
                if written.done():
                    continue
                if isinstance(result, LeaseLost):
                    written.set_exception(result)
                else:
                    written.set_result(result)
        self.changed.set()

    async def _drain(self) -> None:
        pending = [written for _, written in self._waiting]
        if pending:
            await asyncio.wait(pending, timeout=30)
