"""One heap for all threads of a long run, where GNU's C library would keep one for each.

What one thread's heap has free is no use to another. Python runs one thread at a time, so that heaps of their own save
it nothing; and the threads that work on the database take turns with the same kind of work, so that each heap grows to
hold the most of it. Of a run of 100,000 customers that was a fifth of all memory. Likewise a long list that was read
is given back at once: by itself the library stops doing so after the first one.
"""

import ctypes

_MMAP_THRESHOLD, _ARENA_MAX = -3, -8
"""Parameters of ``mallopt(3)``."""
_LONG = 1 << 20
"""Bytes: about the length at which an answer is decoded in a thread."""


def share_one_heap() -> None:
    """Have all threads that are started from now on share the heap of those that are there.

    Does nothing with any other C library: this one alone has the heaps, and the function.
    """
    try:
        set_parameter = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # without the function; without such a library at all
        return
    set_parameter(_ARENA_MAX, 1)
    set_parameter(_MMAP_THRESHOLD, _LONG)
