"""The sandbox as a server: in the running event loop, or in a thread of its own.

Tests of the asynchronous client use `Sandbox`, everything synchronous uses `running_sandbox`, and
`python -m deployments.sandbox` gives it a process.
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self

from aiohttp import web

from deployments.sandbox.account import Account, Credential
from deployments.sandbox.admin import Admin
from deployments.sandbox.browser import Browser
from deployments.sandbox.catalogue import Catalogue
from deployments.sandbox.faults import FaultBook
from deployments.sandbox.gateway import Gateway
from deployments.sandbox.knobs import KeyName, Knobs
from deployments.sandbox.ledger import Ledger
from deployments.sandbox.persistence import load, save
from deployments.sandbox.reception import read_target
from deployments.sandbox.reply import Reply, Request
from deployments.sandbox.request_log import RequestLog
from deployments.sandbox.settings import SandboxSettings
from deployments.sandbox.world import World

__all__ = ["Sandbox", "SandboxSettings", "running_sandbox"]

CLOSING_GRACE_S = 0.2


class Sandbox:
    """A local Alloy. Enter it to make it listen."""

    def __init__(self, settings: SandboxSettings | None = None) -> None:
        self.settings = settings or SandboxSettings()
        self._world = World(self.settings)
        self._gateway = Gateway(self._world, committed=self._save_at_once)
        self._browser = Browser(self._world, committed=self._save_at_once)
        self._admin = Admin(self._world, self.settings.admin_token)
        self._runner: web.ServerRunner | None = None
        self._saver: asyncio.Task[None] | None = None
        self._saved_writes = 0

    # --- what tests look at

    @property
    def url(self) -> str:
        """Where it listens, without a trailing slash."""
        return self._world.base_url

    @property
    def account(self) -> Account:
        """The truth about the development key's space."""
        return self._world.accounts["dev"]

    @property
    def prod_account(self) -> Account:
        """The truth about the production key's space."""
        return self._world.accounts["prod"]

    @property
    def knobs(self) -> Knobs:
        """The knobs; assign a new value to turn them."""
        return self._world.knobs

    @knobs.setter
    def knobs(self, knobs: Knobs) -> None:
        self._world.knobs = knobs

    @property
    def catalogue(self) -> Catalogue:
        """Apps and integrations; assign a new value to release others."""
        return self._world.catalogue

    @catalogue.setter
    def catalogue(self, catalogue: Catalogue) -> None:
        self._world.catalogue = catalogue

    @property
    def faults(self) -> FaultBook:
        """The faults that are set."""
        return self._world.faults

    @property
    def requests(self) -> RequestLog:
        """What was asked."""
        return self._world.requests

    def ledger(self, space: KeyName = "dev") -> Ledger:
        """Count a space as it stands."""
        return self._world.ledger(space)

    def grant(self, user: str, app: str, properties: dict[str, str] | None = None) -> Credential:
        """Let a user grant what they were last asked about an app, or what `properties` say."""
        return self._world.grant(user, app, properties)

    def deny(self, user: str, app: str, properties: dict[str, str] | None = None) -> None:
        """Let a user decline."""
        self._world.deny(user, app, properties)

    def advance(self, milliseconds: int) -> int:
        """Advance the clock, which must be a manual one, and return the time."""
        return self._world.advance(milliseconds)

    def reset(self) -> None:
        """Go back to empty spaces and to what the settings say."""
        self._world.reset()

    # --- life

    async def __aenter__(self) -> Self:
        if self.settings.state_file is not None:
            load(self._world, self.settings.state_file)
        server = web.Server(self._answer, access_log=None)
        self._runner = web.ServerRunner(server, shutdown_timeout=CLOSING_GRACE_S)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.settings.host, self.settings.port, backlog=1024)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self._world.base_url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        self._world.desk.base_url = self._world.base_url
        if self.settings.state_file is not None and self.settings.snapshot_every_ms:
            self._saver = asyncio.create_task(self._save_now_and_then())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._saver is not None:
            self._saver.cancel()
            with suppress(asyncio.CancelledError):
                await self._saver
        if self._runner is not None:
            await self._runner.cleanup()
        self._save()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        segments, query = read_target(request.raw_path)
        if segments[0] == "_sandbox" and self._admin.is_open:
            return await self._admin.answer(request, segments[1:], query)
        if [segment.lower() for segment in segments[:2]] == ["api", "strategy"]:
            return await self._browser.answer(request, segments[2:], query)
        body = await request.read()
        reply = await self._gateway.answer(Request(request.method, segments, query, request.headers, body))
        return await _sent(request, reply)

    # --- memory

    def _save(self) -> None:
        if self.settings.state_file is not None and self._saved_writes != self._world.writes:
            self._saved_writes = self._world.writes
            save(self._world, self.settings.state_file)

    def _save_at_once(self) -> None:
        if not self.settings.snapshot_every_ms:
            self._save()

    async def _save_now_and_then(self) -> None:
        loop = asyncio.get_running_loop()
        pause = self.settings.snapshot_every_ms / 1000
        while True:
            await asyncio.sleep(pause)
            began = loop.time()
            self._save()
            # A large state takes long to write: spend at most a twentieth of the time on it.
            pause = max(self.settings.snapshot_every_ms / 1000, 20 * (loop.time() - began))


async def _sent(request: web.BaseRequest, reply: Reply) -> web.StreamResponse:
    """Put a reply on the wire, or end its connection early; what is returned then finds it closed and goes nowhere."""
    if reply.ending == "whole":
        return web.Response(status=reply.status, headers=reply.headers, body=reply.body)
    response = web.StreamResponse(status=reply.status, headers=reply.headers)
    if reply.ending == "cut":
        await response.prepare(request)
        await response.write(reply.body)
    if request.transport is not None:
        if reply.ending == "reset":
            request.transport.abort()
        else:
            request.transport.close()
    return response if reply.ending == "cut" else web.Response(status=reply.status)


@contextmanager
def running_sandbox(settings: SandboxSettings | None = None) -> Iterator[Sandbox]:
    """Run a sandbox in a background thread, for callers without an event loop."""
    sandbox = Sandbox(settings)
    ready = threading.Event()
    failures: list[BaseException] = []
    stops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def live() -> None:
        stop = asyncio.Event()
        stops.append((asyncio.get_running_loop(), stop))
        async with sandbox:
            ready.set()
            await stop.wait()

    def run() -> None:
        try:
            asyncio.run(live())
        except BaseException as failure:  # handed to the thread that waits
            failures.append(failure)
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="sandbox", daemon=True)
    thread.start()
    ready.wait()
    try:
        if failures:
            raise failures[0]
        yield sandbox
    finally:
        for loop, stop in stops:
            if not loop.is_closed():
                loop.call_soon_threadsafe(stop.set)
        thread.join()
    if failures:
        raise failures[0]
