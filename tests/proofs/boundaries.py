"""The boundaries between our processes and the world, numbered as they are crossed, and the misfortunes at them.

A boundary lies just before and just after every transaction that writes, and just before every request to Alloy and
just after Alloy has answered it. Between two boundaries nothing leaves a process, so to be killed anywhere is to be
killed at the next boundary.

Transactions are caught by the events of SQLAlchemy's engines and requests by a transport, whatever functions of ours
begin them. Who is crossing is told by a context variable: tasks inherit it, and :class:`Threads` hand it on to the
store's threads.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field
from enum import StrEnum
from threading import Lock
from typing import Any, TypeVar

import httpx
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import OperationalError

T = TypeVar("T")


class Kind(StrEnum):
    """Where a boundary lies."""

    before_commit = "before a commit"
    after_commit = "after a commit"
    before_request = "before a request"
    after_answer = "after an answer"


@dataclass(frozen=True, slots=True)
class Boundary:
    """One boundary, and what it is a boundary of: the tables that are written, or the request."""

    kind: Kind
    what: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.what}"


class Killed(BaseException):
    """The process is dead. No Exception: nothing in the process can take it for a failure and go on."""


@dataclass(slots=True)
class Way:
    """What one customer's processes crossed, one process after the other, and what befell them there.

    Boundaries are numbered from 1, and the count goes on from a process to the next.
    """

    kills: Collection[int] = ()
    """Where the process is killed."""
    disconnections: Collection[int] = ()
    """After which commits the connection is lost before the database has said that it was done."""
    faults: Collection[int] = ()
    """After which commits the database says that it failed, for a reason that does not pass by itself."""
    crossed: list[Boundary] = field(default_factory=list)

    def numbers(self, *kinds: Kind) -> list[int]:
        """Return the numbers of the boundaries of ``kinds`` that were crossed."""
        return [number for number, boundary in enumerate(self.crossed, start=1) if boundary.kind in kinds]

    def count(self, numbers: Collection[int]) -> str:
        """Say how many boundaries ``numbers`` are, by kind."""
        of_kind = Counter(self.crossed[number - 1].kind for number in numbers)
        return f"{len(numbers)} boundaries ({', '.join(f'{of_kind[kind]} {kind}' for kind in Kind if of_kind[kind])})"

    def describe(self) -> str:
        """Return what was crossed and what befell, for whoever has to find out what went wrong."""
        befell = dict.fromkeys(self.kills, "killed")
        befell |= dict.fromkeys((*self.disconnections, *self.faults), "it never learns that this was done")
        return "\n".join(
            f"{number:4} {boundary}{f'  <- {befell[number]}' if number in befell else ''}"
            for number, boundary in enumerate(self.crossed, start=1)
        )


class Process:
    """One process on the way: alive until it is killed, and from then on shut out of the database and of Alloy."""

    def __init__(self, way: Way) -> None:
        self.died = asyncio.Event()
        self._way = way
        self._loop = asyncio.get_running_loop()
        self._dead = False
        self._one_at_a_time = Lock()
        self._committing = Lock()

    def assert_alive(self) -> None:
        """Raise :class:`Killed` if it is not."""
        if self._dead:
            raise Killed

    def cross(self, kind: Kind, what: str) -> int:
        """Cross a boundary and return its number. Raises :class:`Killed` if the process ends there, or is dead."""
        with self._one_at_a_time:
            self.assert_alive()
            self._way.crossed.append(Boundary(kind, what))
            number = len(self._way.crossed)
            if number in self._way.kills:
                self._dead = True
                self._loop.call_soon_threadsafe(self.died.set)
                raise Killed
        return number

    def commit(self, connection: Connection, what: str) -> None:
        """Commit what was written on ``connection``, over both boundaries.

        They are crossed together: SQLite clears its WAL away after it has let the next one write, and may take long.
        """
        with self._committing:
            self.cross(Kind.before_commit, what)
            connection.dialect.do_commit(connection.connection)
            number = self.cross(Kind.after_commit, what)
        if number in self._way.disconnections or number in self._way.faults:
            passes = number in self._way.disconnections
            error: Any = connection.dialect.loaded_dbapi.OperationalError("disk I/O error")
            error.sqlstate = "08007" if passes else "58030"  # transaction resolution unknown; I/O error
            raise OperationalError("COMMIT", None, error, connection_invalidated=passes)


PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)
"""Whose code this is; None for the proof's own."""


class Threads(ThreadPoolExecutor):
    """A process's threads, which know for which process they work."""

    def __init__(self, process: Process, number: int) -> None:
        super().__init__(number)
        self._process = process

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Run ``fn`` in the context of whoever asks for it. Raises :class:`Killed` if the process is dead."""
        self._process.assert_alive()
        return super().submit(copy_context().run, fn, *args, **kwargs)


class Watched(httpx.AsyncBaseTransport):
    """Carries a process's requests over their boundaries."""

    def __init__(self, process: Process, inner: httpx.AsyncBaseTransport) -> None:
        self._process = process
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request unless the process is killed before; return the answer unless it is killed after."""
        what = f"{request.method} {request.url.path}"
        self._process.cross(Kind.before_request, what)
        response = await self._inner.handle_async_request(request)
        self._process.cross(Kind.after_answer, what)
        return response

    async def aclose(self) -> None:
        """Close every connection."""
        await self._inner.aclose()


@contextmanager
def watched_databases() -> Iterator[None]:
    """Take the transactions of every :class:`Process` over their boundaries, whatever engine they are on."""
    hooks: dict[str, Callable[..., None]] = {"begin": _begin, "before_cursor_execute": _execute, "commit": _commit}
    for name, hook in hooks.items():
        event.listen(Engine, name, hook)
    try:
        yield
    finally:
        for name, hook in hooks.items():
            event.remove(Engine, name, hook)


_WRITTEN = "tables written"
_WRITING = re.compile(r"\s*(INSERT INTO|UPDATE|DELETE FROM) (\w+)", re.IGNORECASE)


def _begin(connection: Connection) -> None:
    if (process := PROCESS.get()) is not None:
        process.assert_alive()
        connection.info[_WRITTEN] = []


def _execute(connection: Connection, _cursor: object, statement: str, *_: object) -> None:
    if PROCESS.get() is not None and (writing := _WRITING.match(statement)) is not None:
        connection.info[_WRITTEN].append(" ".join(writing.groups()).lower())


def _commit(connection: Connection) -> None:
    """Commit in SQLAlchemy's place, which tells nobody when it has committed, and then has nothing left to commit."""
    if (process := PROCESS.get()) is None:
        return
    process.assert_alive()
    if written := dict.fromkeys(connection.info[_WRITTEN]):  # else it found nothing to do
        process.commit(connection, ", ".join(written))
