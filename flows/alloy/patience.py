"""Seconds of patience: what is certain not to have happened is tried again here, and nothing else is."""

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from states.failures import Effect, Transient
from store.retries import retry_context

ATTEMPTS = 4
LONGEST_IN_ALL = 15.0
LONGEST_WAIT = 10.0
"""What is to wait longer than this many seconds waits in the store, where it survives us."""

T = TypeVar("T")


async def patiently(attempt: Callable[[], Awaitable[T]]) -> T:
    """Make an attempt, and some more if it failed without any effect; the last failure comes through."""
    began = time.monotonic()

    def wait(error: Exception) -> bool | float:
        if not isinstance(error, Transient) or error.effect is not Effect.nothing:
            return False
        seconds = error.retry_after.total_seconds() if error.retry_after else 0.0
        if seconds > LONGEST_WAIT or time.monotonic() - began + seconds > LONGEST_IN_ALL:
            return False
        return seconds or True

    # A retry context costs over a tenth of a good call: it is entered with a failure in hand, and begins with that.
    try:
        return await attempt()
    except Transient as failure:
        first: Transient | None = failure
    async for again in retry_context(
        on=wait, attempts=ATTEMPTS, timeout=LONGEST_IN_ALL, wait_initial=0.25, wait_max=4.0, wait_jitter=0.5
    ):
        with again:
            if first is not None:
                known, first = first, None
                raise known
            return await attempt()
    raise AssertionError("a retry context ends with an answer or an error")
