"""A configured Prefect that is away for a moment is waited for; one that stays away is named."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from deployments.prefect_server import PrefectUnavailable, await_reachable
from deployments.prefect_server.environment import prefect_environment

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # Prefect's client, half begun
]


class Refusing(BaseHTTPRequestHandler):
    """A server that is there, and does not let us in."""

    def do_GET(self) -> None:
        self.send_response(401)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


@contextmanager
def serving(port: int = 0) -> Iterator[HTTPServer]:
    server = HTTPServer(("127.0.0.1", port), Refusing)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def silent_port() -> int:
    """A port at which nobody listens."""
    with serving() as server:
        return server.server_port


async def test_a_server_that_stays_away_is_named(silent_port: int):
    url = f"http://127.0.0.1:{silent_port}/api"

    with prefect_environment({"PREFECT_API_URL": url}), pytest.raises(PrefectUnavailable, match=url):
        await await_reachable(url, on_wait=lambda _: None, timeout=0.5)


async def test_a_server_that_comes_back_was_waited_for(silent_port: int):
    url = f"http://127.0.0.1:{silent_port}/api"
    said: list[str] = []

    with ExitStack() as later, prefect_environment({"PREFECT_API_URL": url}):

        def come_back(words: str) -> None:
            said.append(words)
            later.enter_context(serving(silent_port))

        await await_reachable(url, on_wait=come_back, timeout=60)

    assert said == [f"waiting for the Prefect server at {url}"]


async def test_a_server_that_refuses_us_is_there():
    said: list[str] = []

    with serving() as server:
        url = f"http://127.0.0.1:{server.server_port}/api"
        with prefect_environment({"PREFECT_API_URL": url}):
            await await_reachable(url, on_wait=said.append, timeout=60)

    assert said == []
