"""A run that is asked to end by a signal finishes what is in flight: for runs that nobody in this process watches.

Prefect's own handler raises in the middle of whatever is going on, so that calls under way would be cut off with their
outcomes unknown. Whoever ends a run gives it thirty seconds, which is more than the loop takes.
"""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from types import FrameType
from typing import Any

_ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stopped_by_signals(stop: asyncio.Event, *, one_request: float = 1.0) -> Iterator[None]:
    """Let the first SIGTERM or Ctrl-C set ``stop``; a later one does what it would have done before.

    Those within ``one_request`` seconds are one: Ctrl-C reaches a whole group, and who started us passes it on.
    Signals reach a process's main thread; in any other nothing is changed.
    """
    if current_thread() is not main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before: dict[int, Any] = {}

    def give_back() -> None:
        while before:
            signal.signal(*before.popitem())

    def ask(_signal: int, _frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(begin)

    def begin() -> None:
        if not stop.is_set():
            stop.set()
            loop.call_later(one_request, give_back)

    before.update({number: signal.signal(number, ask) for number in _ENDING_SIGNALS})
    try:
        yield
    finally:
        give_back()
