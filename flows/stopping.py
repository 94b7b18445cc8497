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
def stopped_by_signals(stop: asyncio.Event) -> Iterator[None]:
    """Let the first SIGTERM or Ctrl-C set ``stop``; the next one does what it would have done before.

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
        give_back()
        loop.call_soon_threadsafe(stop.set)

    before.update({number: signal.signal(number, ask) for number in _ENDING_SIGNALS})
    try:
        yield
    finally:
        give_back()
