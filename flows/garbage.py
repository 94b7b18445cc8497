"""Fewer and cheaper garbage collections while a run is busy, a long list is taken in, or a command starts.

Once Prefect is imported every full collection walks a million objects that live as long as the process, which was
measured to take a fifth of a bulk run. They are set aside, and the collector is made to look less often; memory stays
bounded, since what a page leaves behind is collected all the same. Of a short command's time, nearly all of which it
spends importing, collections were a twelfth.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_YOUNG, _MIDDLE, _OLD = 20_000, 20, 5


@contextmanager
def calm_collector() -> Iterator[None]:
    """Set aside what is there now, and collect less often, for as long as the block lasts."""
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.collect()  # of nothing, so quick: until it has, the collector waits for a quarter of what is now set aside
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()
