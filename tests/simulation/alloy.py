"""The local Alloy without a socket, and the network between it and the workers.

What was sent arrives, whatever becomes of its sender; what is answered arrives if there is still somebody to hear it.
"""

import asyncio
from collections import Counter
from collections.abc import Callable

import httpx

from deployments.sandbox.account import Account
from deployments.sandbox.gateway import Gateway
from deployments.sandbox.reception import read_target
from deployments.sandbox.reply import Reply, Request
from deployments.sandbox.settings import SandboxSettings
from deployments.sandbox.world import World
from tests.simulation.catalogue import simulated_catalogue
from tests.simulation.misfortune import Blow, Fate
from tests.simulation.plan import Plan
from tests.simulation.trace import Trace
from tests.simulation.virtual_time import Party, VirtualLoop, context_of

KEY = "sandbox-dev-key"
BASE_URL = "http://alloy.test"
_BEGINNING_MS = 1_767_000_000_000


class AlloysClock:
    """Virtual time, as told by a clock that nobody else's agrees with."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def now(self) -> int:
        return _BEGINNING_MS + int(self._loop.time() * 1000)


class SimulatedAlloy:
    """The local Alloy's own logic, with its faults, knobs and books."""

    def __init__(self, plan: Plan, loop: VirtualLoop, trace: Trace, committed: Callable[[], None]) -> None:
        settings = SandboxSettings(
            dev_key=KEY, seed=plan.seed, knobs=plan.knobs, catalogue=simulated_catalogue(), clock=AlloysClock(loop)
        )
        self.world = World(settings)
        self.world.base_url = self.world.desk.base_url = BASE_URL
        self.world.faults.add(*plan.faults)
        self.faults: Counter[str] = Counter()
        self.calls = 0
        self.created_together = 0
        self._gateway = Gateway(self.world, committed=committed)
        self._trace = trace
        self._loop = loop
        self._party = Party("alloy")
        self._under_way: set[asyncio.Task[None]] = set()

    @property
    def account(self) -> Account:
        """The truth."""
        return self.world.accounts["dev"]

    def receive(self, sender: str, request: Request, answered: Callable[[Reply], None], delay: float) -> None:
        """Let a request arrive after ``delay``; ``answered`` is called when it has been handled."""
        task = self._loop.create_task(self._handle(sender, request, answered, delay), context=context_of(self._party))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _handle(self, sender: str, request: Request, answered: Callable[[Reply], None], delay: float) -> None:
        await asyncio.sleep(delay)
        self.calls += 1
        number = self.world.requests.total + 1
        self._trace.note(sender, f"#{number} {request.method} /{'/'.join(request.segments)} arrives")
        reply = await self._gateway.answer(request)
        record = next(one for one in self.world.requests if one.number == number)
        self.faults.update(record.faults)
        self.created_together += record.route == "create_users" and record.committed
        said = reply.status if reply.ending == "whole" else reply.ending
        did = " had an effect," if record.committed and request.method != "GET" else ""
        self._trace.note("alloy", f"#{number} {record.route} of {record.user}:{did} {said} {' '.join(record.faults)}")
        answered(reply)


class Wire(httpx.AsyncBaseTransport):
    """One process's connections to Alloy. It may be struck just before or just after it has sent."""

    def __init__(self, sender: str, alloy: SimulatedAlloy, fate: Fate, strike: Callable[[Blow | None], None]) -> None:
        self._sender = sender
        self._alloy = alloy
        self._fate = fate
        self._strike = strike

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._fate.refuses_connection():
            await asyncio.sleep(self._fate.network_seconds())
            raise httpx.ConnectError("Connection refused")
        replied: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        segments, query = read_target(request.url.raw_path.decode())
        received = Request(request.method, segments, query, request.headers, request.content)

        self._strike(self._fate.late_call() if request.method == "POST" else None)
        await asyncio.sleep(0)

        def answered(reply: Reply) -> None:
            if not replied.done():
                replied.set_result(reply)

        self._alloy.receive(self._sender, received, answered, self._fate.network_seconds())
        self._strike(self._fate.blow())
        reply = await replied
        await asyncio.sleep(self._fate.network_seconds())
        if reply.ending in ("closed", "reset"):
            raise httpx.ReadError("the connection broke")
        if reply.ending == "cut":
            raise httpx.RemoteProtocolError("ClientPayloadError")
        return httpx.Response(reply.status, headers=reply.headers, content=reply.body, request=request)
