"""The demo's Alloy, and the customers who answer its consent links; a browser and a mail program stand for no more."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from deployments.cli.demo_home import state_file
from deployments.sandbox.knobs import Knobs
from deployments.sandbox.refusal import Refused as NotAsked
from deployments.sandbox.server import Sandbox, SandboxSettings, running_sandbox

if TYPE_CHECKING:
    from sqlalchemy import Engine

_LOOK_EVERY_SECONDS = 0.5
_ONE_BY_ONE = 2


@contextmanager
def running_demo_alloy(home: Path, port: int) -> Iterator[Sandbox]:
    """Run the demo's Alloy in a thread of this process; it remembers its account from one time to the next."""
    # With `verify_secret` an auth value that begins with `refused-` is refused: one customer on the list has one.
    knobs = Knobs(verify_secret=True, latency_ms=30)
    with running_sandbox(SandboxSettings(port=port, state_file=state_file(home), knobs=knobs)) as alloy:
        yield alloy


@contextmanager
def consenting_customers(alloy: Sandbox, engine: "Engine", *, but_not: str) -> Iterator[None]:
    """Let customers follow their links, a few at a time, while the block runs; all but one."""
    from store.consent_links import links

    done = threading.Event()
    consented: set[tuple[str, str]] = set()

    def follow_links() -> None:
        while not done.wait(_LOOK_EVERY_SECONDS):
            waiting = [(link.username, link.integration) for link in links(engine) if link.username != but_not]
            for username, app in [one for one in waiting if one not in consented][:_ONE_BY_ONE]:
                with suppress(NotAsked):
                    alloy.grant(username, app)
                    consented.add((username, app))

    thread = threading.Thread(target=follow_links, name="customers", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
