"""Wait until Prefect has written down what a run did.

Task runs reach the server as events, in the background, and the server writes them in batches: a flow that has ended
may be seconds ahead of its own record, and an overloaded server drops events without a word. Only counting tells.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

POLL_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Recorded:
    """How many of a flow run's task runs the server has recorded to their end, of how many."""

    recorded: int
    expected: int

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return self.recorded >= self.expected


async def await_recorded(flow_run_id: UUID, expected: int, timeout: float) -> Recorded:
    """Wait until ``expected`` task runs of this flow run are recorded as ended, or ``timeout`` seconds are over.

    Never raises for a server that is slow or gone for a while: the answer then says what was last seen.
    """
    from prefect.client.orchestration import get_client  # importing Prefect takes seconds

    seen = Recorded(0, expected)
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout), get_client() as client:
            while not seen.complete:
                # The errors are those of Prefect's HTTP library, which only flows.alloy may import; all mean "later".
                with suppress(Exception):
                    response = await client.request("POST", "/task_runs/count", json=_ended_task_runs(flow_run_id))
                    seen = Recorded(response.json(), expected)
                if not seen.complete:
                    await asyncio.sleep(POLL_SECONDS)
    return seen


async def await_logged(timeout: float) -> None:
    """Have what was written into the logs of runs sent at once, and wait until it is, or until ``timeout`` seconds."""
    from prefect.logging.handlers import APILogHandler  # importing Prefect takes seconds

    with suppress(TimeoutError):
        async with asyncio.timeout(timeout):
            await APILogHandler.aflush()


def _ended_task_runs(flow_run_id: UUID) -> dict[str, object]:
    # A task run whose last event was dropped stays Running for good: it counts as not recorded.
    return {
        "flow_runs": {"id": {"any_": [str(flow_run_id)]}},
        "task_runs": {"state": {"type": {"any_": ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"]}}},
    }
