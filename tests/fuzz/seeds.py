"""Which seeds to run: those that CI runs, or those that ``FUZZ_SEED`` names (``FUZZ_SEED=7``, ``FUZZ_SEED=0-499``)."""

import os


def seeds(by_default: range) -> range:
    chosen = os.environ.get("FUZZ_SEED")
    if chosen is None:
        return by_default
    first, _, last = chosen.partition("-")
    return range(int(first), int(last or first) + 1)
