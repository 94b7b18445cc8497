"""SIGTERM ends a command as Ctrl-C does: with a clean-up, a word, and exit code 130."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def sigterm_like_ctrl_c() -> Iterator[None]:
    """Let SIGTERM raise KeyboardInterrupt in the block, wherever it is; only for a process's main thread."""
    # By default SIGTERM ends Python on the spot: a server that was started would be left behind, and nothing be said.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
