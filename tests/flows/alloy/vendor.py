"""Vendors for the tests: one that answers from a list without a socket, and one that misbehaves on a real one."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import httpx
from pydantic import SecretStr

from flows.alloy.client import AlloyClient
from flows.alloy.dialects import DIALECTS, Capabilities
from flows.alloy.transport import Channel
from flows.pacing import Pacing

KEY = "canary-api-key-7f3b"


class Vendor:
    """Answers each call with the next of ``answers`` (the last one again and again), and remembers what was asked."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content, request=request)

    @property
    def asked(self) -> list[tuple[str, str]]:
        return [(request.method, request.url.raw_path.decode()) for request in self.requests]

    def body(self, number: int = -1) -> Any:
        return json.loads(self.requests[number].content)

    def query(self, number: int = -1) -> list[tuple[str, str]]:
        return parse_qsl(self.requests[number].url.query.decode(), keep_blank_values=True)


class Routes:
    """Answers by method and path; whatever is not there gets a 404 of a web framework."""

    def __init__(self, **answers: object) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        asked = f"{request.method} {request.url.path}"
        self.asked.append(asked)
        if asked not in self.answers:
            return httpx.Response(404, html=f"<pre>Cannot {asked}</pre>")
        answer = self.answers[asked]
        return answer if isinstance(answer, httpx.Response) else httpx.Response(200, json=answer)


def answer(body: object = None, status: int = 200, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, json={} if body is None else body, headers=named)


@asynccontextmanager
async def speaking_to(
    vendor: Callable[[httpx.Request], httpx.Response],
    *,
    dialect: str = "seed",
    base_url: str = "https://embedded.runalloy.com",
    capabilities: Capabilities | None = None,
    pacing: Pacing | None = None,
    concurrency: int = 20,
) -> AsyncIterator[AlloyClient]:
    """A client whose calls go to ``vendor`` without a socket."""
    spoken = DIALECTS[dialect]
    async with Channel.open(
        base_url=spoken.base_url(base_url),
        api_key=SecretStr(KEY),
        headers=spoken.headers,
        concurrency=concurrency,
        pacing=pacing or Pacing(rate=100_000),
        deadline=5.0,
        send_within=timedelta(seconds=10),
        now=lambda: datetime.now(UTC),
        transport=httpx.MockTransport(vendor),
    ) as channel:
        yield AlloyClient(channel, spoken, capabilities or Capabilities())


@asynccontextmanager
async def connected_to(url: str, *, deadline: float = 5.0, concurrency: int = 20) -> AsyncIterator[AlloyClient]:
    """A client that really connects."""
    async with AlloyClient.open(
        base_url=url, api_key=SecretStr(KEY), pacing=Pacing(rate=100_000), deadline=deadline, concurrency=concurrency
    ) as client:
        yield client


Behaviour = Callable[[asyncio.StreamWriter], Awaitable[None]]


class RawServer:
    """Reads each whole request from its socket, remembers it, and then does as the next behaviour says."""

    def __init__(self, *behaviours: Behaviour) -> None:
        self.behaviours = list(behaviours)
        self.received: list[str] = []
        self.heads: list[str] = []
        self.connections = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []
        self.url = ""

    async def __aenter__(self) -> "RawServer":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_exception: object) -> None:
        self._server.close()
        for writer in self._writers:
            # Whatever is still to be written has nobody left to read it.
            writer.transport.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.append(writer)
        self.connections += 1
        try:
            while not writer.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = next(
                    (line[16:] for line in head.splitlines() if line.lower().startswith("content-length: ")), 0
                )
                await reader.readexactly(int(length))
                self.received.append(head.splitlines()[0].removesuffix(" HTTP/1.1"))
                self.heads.append(head.lower())
                behave = self.behaviours.pop(0) if len(self.behaviours) > 1 else self.behaviours[0]
                await behave(writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            await _closed(writer)


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError, asyncio.CancelledError):
        await writer.wait_closed()


@asynccontextmanager
async def listening(
    handle: Behaviour, *, tls: ssl.SSLContext | None = None, scheme: str = "https"
) -> AsyncIterator[str]:
    """A server that does as ``handle`` says with every connection, before anything is read; gives its address."""

    handling: list[asyncio.Task[None] | None] = []

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handling.append(asyncio.current_task())
        await handle(writer)
        await _closed(writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()
        await asyncio.gather(*filter(None, handling))
        # The transports of a handshake that failed close themselves, a little later.
        await asyncio.sleep(0.05)


def sends(content: bytes, *, then_closes: bool = True) -> Behaviour:
    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.write(content)
        await writer.drain()
        if then_closes:
            writer.close()

    return behave


def answers(body: bytes = b'{"userId": "u1", "data": []}', status: str = "200 OK", *headers: str) -> Behaviour:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return sends("\r\n".join(lines).encode() + b"\r\n\r\n" + body, then_closes=False)
