"""Many seeds, on several processes, and the table of what they came to."""

import gc
import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context

from tests.simulation.simulation import Outcome, simulate

_CHUNK = 5


@dataclass
class Sum:
    """What all seeds so far came to together."""

    seeds: int = 0
    steps: int = 0
    events: int = 0
    checks: int = 0
    calls: int = 0
    created_together: int = 0
    onboardings: int = 0
    completed: int = 0
    leftovers: int = 0
    virtual_hours: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    misfortunes: Counter[str] = field(default_factory=Counter)
    broken: list[Outcome] = field(default_factory=list)

    def add(self, one: Outcome) -> None:
        """Add what one seed came to."""
        self.seeds += 1
        self._add(one)
        self.virtual_hours += one.virtual_seconds / 3600
        if one.broken:
            self.broken.append(one)

    def join(self, other: "Sum") -> None:
        """Add what other seeds came to."""
        self.seeds += other.seeds
        self._add(other)
        self.virtual_hours += other.virtual_hours
        self.broken += other.broken

    def _add(self, counted: "Outcome | Sum") -> None:
        for name in ("steps", "events", "checks", "calls", "created_together", "onboardings", "completed", "leftovers"):
            setattr(self, name, getattr(self, name) + getattr(counted, name))
        self.faults += counted.faults
        self.misfortunes += counted.misfortunes


def simulate_many(seeds: Iterable[int], jobs: int) -> Iterator[Outcome]:
    """Play every seed, on ``jobs`` processes, and yield what came of each as it ends."""
    if jobs == 1:
        yield from map(quietly, seeds)
        return
    # Spawned, not forked: a process begins like one that replays a single seed.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_begin) as pool:
        yield from pool.map(quietly, seeds, chunksize=_CHUNK)


def _begin() -> None:
    """Take what was imported out of the collector's way: it would be looked through with every seed."""
    gc.freeze()


def quietly(seed: int) -> Outcome:
    """Play one seed without its log of retries."""
    logging.disable(logging.WARNING)
    try:
        return simulate(seed)
    finally:
        logging.disable(logging.NOTSET)


def table(of: Sum, seconds: float | None = None) -> str:
    """Return the sum as text, with the time that it took if that was measured."""
    rows = {
        "seeds": f"{of.seeds:,}",
        "steps": f"{of.steps:,}",
        "events": f"{of.events:,}",
        "checks of the books": f"{of.checks:,}",
        "calls at Alloy": f"{of.calls:,}",
        "of them for several users": f"{of.created_together:,}",
        "virtual hours": f"{of.virtual_hours:,.0f}",
        "onboardings": f"{of.onboardings:,}",
        "completed": f"{of.completed:,}",
        "rightly refused": f"{of.onboardings - of.completed:,}",
        "inert leftovers, listed": f"{of.leftovers:,}",
    }
    if seconds is not None:
        rows["seconds"] = f"{seconds:,.0f}"
    lines = [f"{name:<26}{value:>14}" for name, value in rows.items()]
    lines += ["", "faults of Alloy"] + [f"  {name:<24}{n:>14,}" for name, n in sorted(of.faults.items())]
    lines += ["", "misfortunes of workers"]
    lines += [f"  {name:<24}{n:>14,}" for name, n in sorted((str(name), n) for name, n in of.misfortunes.items() if n)]
    return "\n".join(lines)


def account(broken: Outcome) -> str:
    """Return what is known about a seed that broke a promise, and how to see it again."""
    return "\n".join(
        [
            f"seed {broken.seed} broke a promise: {broken.broken}",
            *broken.last_events,
            f"replay: uv run python -m tests.simulation --seed {broken.seed}",
        ]
    )
