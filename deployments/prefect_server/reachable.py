"""Wait for a Prefect that was configured: it may be starting again at this moment, which takes it some ten seconds."""

import asyncio
from collections.abc import Callable

from deployments.prefect_server.process import PrefectUnavailable

POLL_SECONDS = 1.0
START_AGAIN_SECONDS = 30.0


async def await_reachable(
    api_url: str, *, on_wait: Callable[[str], None], timeout: float = START_AGAIN_SECONDS
) -> None:
    """Return when the configured Prefect answers, whatever it answers.

    Raises PrefectUnavailable, which names its address, when it does not do so within ``timeout`` seconds.
    """
    from prefect.client.orchestration import get_client  # importing Prefect takes seconds

    told = False
    try:
        async with asyncio.timeout(timeout), get_client() as client:
            while (error := await client.api_healthcheck()) is not None and not hasattr(error, "response"):
                if not told:
                    on_wait(f"waiting for the Prefect server at {api_url}")
                told = True
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        raise PrefectUnavailable(f"The Prefect server at {api_url} does not answer: check PREFECT_API_URL") from None
