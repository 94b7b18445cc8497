"""What the Prefect server shows of a flow run, asked of the server itself: it drops what it cannot keep up with."""

import re
import time
from collections import Counter
from dataclasses import dataclass

from tests.journeys.processes import Prefect

_LONGEST_SECONDS = 120.0
_POLL_SECONDS = 0.5
_OTHERS = re.compile(r" and (\d+) more$")


@dataclass(frozen=True, slots=True)
class Shown:
    """The task runs of one flow run."""

    states: Counter[str]
    """How many are in which state."""
    customers: Counter[str]
    """How many customers the completed ones of each task have moved, by their names."""

    @property
    def recorded(self) -> int:
        """How many there are, in whatever state."""
        return self.states.total()

    def unless_completed(self) -> Counter[str]:
        """Return how many are in any other state."""
        return Counter({state: number for state, number in self.states.items() if state != "COMPLETED"})


def shown(prefect: Prefect, flow_run_id: str) -> Shown:
    """Ask for every task run there is. A page is named by its first customer and the number of the others."""
    states: Counter[str] = Counter()
    customers: Counter[str] = Counter()
    for one in prefect.task_runs(flow_run_id):
        states[one["state_type"]] += 1
        if one["state_type"] == "COMPLETED":
            task, _, page = one["name"].partition(" · ")
            others = _OTHERS.search(page)
            customers[task] += 1 + (int(others[1]) if others else 0)
    return Shown(states, customers)


def latest_flow_run(prefect: Prefect, name: str) -> str:
    """Return the id of the flow run of this name."""
    [found] = prefect.flow_runs(name)
    return str(found["id"])


def await_ended(prefect: Prefect, flow_run_id: str, expected: int) -> int:
    """Wait until so many task runs are recorded as ended, or until no more come; return how many are."""
    deadline, seen = time.monotonic() + _LONGEST_SECONDS, 0
    while seen < expected and time.monotonic() < deadline:
        seen = prefect.ask(
            "task_runs/count",
            flow_runs={"id": {"any_": [flow_run_id]}},
            task_runs={"state": {"type": {"any_": ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"]}}},
        )
        time.sleep(_POLL_SECONDS)
    return seen
