"""The worker threads of one process, pretended: a piece of the store runs at one moment, is heard of at a later one.

In between the process may be frozen or killed, so a transaction may have happened of which nobody ever hears. A
database that fails is pretended beneath SQLAlchemy, so that the store meets what it would meet.
"""

import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import OperationalError

from store.writes import Begin
from tests.simulation.misfortune import Blow, Fate, StoreTrouble
from tests.simulation.spared import Spared
from tests.simulation.virtual_time import Naps, VirtualLoop

T = TypeVar("T")
P = ParamSpec("P")

_TROUBLE: ContextVar[list[StoreTrouble]] = ContextVar("trouble")
"""The trouble that the transaction under way is still to meet: one or none."""


class _Locked(sqlite3.OperationalError):
    sqlite_errorname = "SQLITE_BUSY"


class _ConnectionLost(sqlite3.OperationalError):
    sqlstate = "08006"


def _meet(connection: Connection, *troubles: StoreTrouble) -> StoreTrouble:
    waiting = _TROUBLE.get([])
    return waiting.pop() if waiting and waiting[0] in troubles else StoreTrouble.none


def _on_begin(connection: Connection) -> None:
    if _meet(connection, StoreTrouble.locked) is StoreTrouble.locked:
        raise OperationalError("BEGIN", None, _Locked("database is locked"))


def _on_commit(connection: Connection) -> None:
    trouble = _meet(connection, StoreTrouble.lost_commit, StoreTrouble.failed_commit, StoreTrouble.broken)
    if trouble is StoreTrouble.none:
        return
    driver: Any = connection.connection.driver_connection
    driver.execute("ROLLBACK" if trouble is StoreTrouble.broken else "COMMIT")
    if trouble is StoreTrouble.failed_commit:
        raise OperationalError("COMMIT", None, sqlite3.OperationalError("disk I/O error"))
    raise OperationalError("COMMIT", None, _ConnectionLost("the connection was lost"))


class _Statements(dict[Any, Any]):
    """Compiled statements, whichever process compiled them first: without it a third of the time goes into this."""

    def get(self, key: Any, default: Any = None) -> Any:
        _dialect, *statement = key
        return super().get(tuple(statement), default)

    def __setitem__(self, key: Any, compiled: Any) -> None:
        _dialect, *statement = key
        super().__setitem__(tuple(statement), compiled)


_STATEMENTS = _Statements()


def _on_connect(connection: Connection) -> None:
    connection.execution_options(compiled_cache=_STATEMENTS)


_HOOKS: dict[str, Callable[[Connection], None]] = {
    "begin": _on_begin,
    "commit": _on_commit,
    "engine_connect": _on_connect,
}


@contextmanager
def failing_databases() -> Iterator[None]:
    """Let transactions of pretended threads meet the trouble that was drawn for them."""
    for name, hook in _HOOKS.items():
        event.listen(Engine, name, hook)
    try:
        yield
    finally:
        for name, hook in _HOOKS.items():
            event.remove(Engine, name, hook)


class ProcessGone(Exception):
    """Whoever asks belongs to a process that no longer exists."""


def _begins(work: "partial[Any]") -> bool:
    """Tell whether an intent was written, so that a call is about to be sent."""
    writes = work.args[0] if work.args and isinstance(work.args[0], list) else []
    return any(isinstance(write, Begin) for write in writes)


class StoreThread(Executor):
    """Runs the store for one process. ``strike`` may kill or freeze it; ``happened`` is told after each piece."""

    def __init__(
        self,
        loop: VirtualLoop,
        naps: Naps,
        fate: Fate,
        spared: Spared,
        *,
        strike: Callable[[Blow | None], None],
        happened: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._naps = naps
        self._fate = fate
        self._spared = spared
        self._strike = strike
        self._happened = happened
        self.gone = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        if self.gone:
            future.set_exception(ProcessGone())
        else:
            # What asyncio or the store wrapped before is unwrapped: partial objects do not nest.
            self._loop.call_later(self._fate.store_seconds(), self._run, future, partial(fn, *args, **kwargs))
        return future

    def _run(self, future: Future[T], work: "partial[T]") -> None:
        if self.gone:
            future.cancel()
            return
        if not future.set_running_or_notify_cancel():
            return
        trouble = self._fate.store_trouble()
        answer: Callable[[], None]
        try:
            answer = partial(future.set_result, self._carry_out(work, trouble))
        except Exception as error:
            answer = partial(future.set_exception, error)
        self._loop.call_later(self._naps.take() + self._fate.store_seconds(), answer)
        self._happened()
        self._strike(self._fate.late_call() if _begins(work) else self._fate.blow())

    def _carry_out(self, work: "partial[Any]", trouble: StoreTrouble) -> Any:
        if trouble is StoreTrouble.none and self._spared.knows(work):
            return self._spared.answer(work)
        token = _TROUBLE.set([] if trouble is StoreTrouble.none else [trouble])
        try:
            result = work()
        finally:
            _TROUBLE.reset(token)
        self._spared.learn(work, result)
        return result
