"""How many calls a piece of work has sent, whoever of those at work on it sends them.

A list that many look into together counts for whoever asked for it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class Sent:
    """So many calls so far."""

    calls: int = 0


_SENT: ContextVar[Sent | None] = ContextVar("sent", default=None)


@contextmanager
def counted() -> Iterator[Sent]:
    """Count the calls that are sent inside the block, also by the tasks that are begun in it."""
    sent = Sent()
    token = _SENT.set(sent)
    try:
        yield sent
    finally:
        _SENT.reset(token)


def count_call() -> None:
    """Count one, if anybody wants to know."""
    sent = _SENT.get()
    if sent is not None:
        sent.calls += 1
