"""From a request to an answer: reception, faults, the endpoint, and what the client gets to see of it.

The order is the point: delay, then whatever fails *before* an effect, then the effect (which never waits and is
therefore atomic), then the delay and the failures *after* it.
"""

import asyncio
import json
import time
from collections.abc import Callable
from email.utils import formatdate

from aiohttp import web

from deployments.sandbox.call import Answer, Call
from deployments.sandbox.faults import Fault, Strikes
from deployments.sandbox.knobs import KeyName, RetryAfter
from deployments.sandbox.reception import admit, choose_route, note_unknown, read_body, strip_version
from deployments.sandbox.refusal import Refused
from deployments.sandbox.request_log import RequestRecord
from deployments.sandbox.routes import Route
from deployments.sandbox.world import World

HTML_ERROR = "<html><head><title>{0}</title></head><body><h1>{0}</h1><hr>nginx</body></html>"
HUGE_RETRY_AFTER_S = 31_536_000

Headers = dict[str, str]


class Gateway:
    """Answers the API's requests."""

    def __init__(self, world: World, *, committed: Callable[[], None]) -> None:
        self._world = world
        self._committed = committed

    async def answer(self, request: web.BaseRequest, segments: list[str], query: dict[str, str]) -> web.StreamResponse:
        """Answer one request, or close its socket."""
        world = self._world
        record = world.requests.begin(request.method, world.clock.now())
        try:
            raw = await request.read()
            await _pause(world.knobs.latency_ms)
            try:
                route, call, key = self._receive(request, record, segments, query, raw)
            except Refused as refused:
                return self._refusal(record, refused)
            return await self._carry_out(request, record, route, call, key)
        finally:
            world.requests.end()

    def _receive(
        self,
        request: web.BaseRequest,
        record: RequestRecord,
        segments: list[str],
        query: dict[str, str],
        raw: bytes,
    ) -> tuple[Route, Call, KeyName]:
        world, knobs = self._world, self._world.knobs
        warnings = record.warnings
        key = admit(request.headers.get("Authorization"), world.settings.keys, knobs, warnings)
        record.key = key
        segments = strip_version(segments, request.headers.get("x-api-version"), knobs)
        route, path = choose_route(request.method, segments, knobs)
        record.route, record.template = route.name, route.template
        world.requests.by_route[route.name] += 1
        body = read_body(raw, route, knobs, warnings)
        if route.query is not None:
            note_unknown(query.keys() - route.query, knobs, warnings)
        world.settle()
        now = world.clock.now()
        call = Call(
            account=world.accounts[key],
            catalogue=world.catalogue,
            desk=world.desk,
            knobs=knobs,
            random=world.random,
            now=now,
            as_of=now,
            path=path,
            query=query,
            body=body,
            warnings=warnings,
        )
        return route, call, key

    async def _carry_out(
        self, request: web.BaseRequest, record: RequestRecord, route: Route, call: Call, key: KeyName
    ) -> web.StreamResponse:
        world = self._world
        is_read = route.is_read
        record.user, names = _about(call)
        strikes = world.faults.strikes(route.name, names, is_read=is_read)
        record.faults = strikes.kinds
        if strikes.delay_before:
            await _pause(strikes.delay_before)
        spoiled = self._before(request, record, strikes.disaster) or self._limited(record, key)
        if spoiled is not None:
            return spoiled
        try:
            with world.lock:
                # Waiting took time: the effect has the time at which it happens.
                world.settle()
                call.now = world.clock.now()
                call.as_of = call.now - strikes.stale_ms
                payload = route.answer(call)
                if not is_read:
                    world.writes += 1
            record.committed = True
        except Refused as refused:
            await _pause(world.knobs.latency_after_ms + strikes.delay_after)
            return self._refusal(record, refused)
        self._committed()
        await _pause(world.knobs.latency_after_ms + strikes.delay_after)
        return await self._after(request, record, payload, strikes)

    def _before(
        self, request: web.BaseRequest, record: RequestRecord, fault: Fault | None
    ) -> web.StreamResponse | None:
        """Return the answer of a fault that comes before any effect, if it is one."""
        if fault is None:
            return None
        if fault.kind == "err_before":
            return self._refusal(record, Refused(fault.status or 503, "Service unavailable"))
        if fault.kind == "drop_before":
            return _dropped(request, fault)
        if fault.kind == "html" and not fault.after_commit:
            return _html(record, 502, "502 Bad Gateway")
        if fault.kind == "429":
            headers = _retry_after(fault.retry_after, fault.retry_after_s)
            return self._refusal(record, Refused(429, "Too many requests"), headers)
        if fault.kind == "auth_flip":
            return self._refusal(record, Refused(401, "Unauthorized"))
        return None

    def _limited(self, record: RequestRecord, key: KeyName) -> web.StreamResponse | None:
        """Return a 429 if the key has used up its rate."""
        knobs, world = self._world.knobs, self._world
        if knobs.rate_limit_per_s is None:
            return None
        wait = world.buckets[key].wait_for_token(
            world.clock.now(), per_second=knobs.rate_limit_per_s, burst=knobs.rate_limit_burst
        )
        if not wait:
            return None
        record.faults = (*record.faults, "429")
        headers = _retry_after(knobs.retry_after, max(1, int(wait + 0.999)))
        return self._refusal(record, Refused(429, "Too many requests"), headers)

    async def _after(
        self, request: web.BaseRequest, record: RequestRecord, payload: Answer, strikes: Strikes
    ) -> web.StreamResponse:
        """Send the answer, or what a fault makes of it."""
        fault = strikes.disaster
        if fault is None:
            return _json(record, 200, payload)
        if fault.kind == "err_after":
            return self._refusal(record, Refused(fault.status or 500, "Internal server error"))
        if fault.kind == "drop_after":
            return _dropped(request, fault)
        if fault.kind == "html":
            return _html(record, 502, "502 Bad Gateway")
        if fault.kind == "empty":
            return _raw(record, 200, b"")
        if fault.kind == "truncate":
            return await _truncated(request, record, payload, fault)
        return _json(record, 200, payload)

    def _refusal(self, record: RequestRecord, refused: Refused, headers: Headers | None = None) -> web.StreamResponse:
        style = self._world.knobs.error_body
        if style == "html":
            return _html(record, refused.status, f"Error {refused.status}", headers)
        message = refused.message if style == "message" else None
        return _json(record, refused.status, {} if message is None else {"message": message}, headers)


def _about(call: Call) -> tuple[str | None, frozenset[str]]:
    """Return the name of the user whom a call is about, and all names that a fault may know them by."""
    named = call.path.get("user") or call.query.get("userId") or call.body.get("userId") or call.body.get("username")
    if named is None and "installationId" in call.body:
        named = _owner(call, call.body["installationId"])
    elif named is None and "installation" in call.path:
        named = _owner(call, call.path["installation"])
    if not isinstance(named, str):
        return None, frozenset()
    user = call.account.find_user(named)
    if user is None:
        return named, frozenset({named})
    names = {named, user.user_id, user.username or named}
    return user.username or user.user_id, frozenset(names)


def _owner(call: Call, installation_id: object) -> str | None:
    installation = call.account.installations.get(installation_id) if isinstance(installation_id, str) else None
    return installation.user_id if installation is not None else None


async def _pause(milliseconds: float) -> None:
    if milliseconds > 0:
        await asyncio.sleep(milliseconds / 1000)


def _encode(payload: Answer) -> bytes:
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()


def _json(record: RequestRecord, status: int, payload: Answer, headers: Headers | None = None) -> web.StreamResponse:
    return _raw(record, status, _encode(payload), headers)


def _raw(record: RequestRecord, status: int, body: bytes, headers: Headers | None = None) -> web.StreamResponse:
    record.status = status
    return web.Response(
        status=status,
        body=body,
        headers={
            "Content-Type": "application/json; charset=utf-8",
            "x-request-id": record.request_id,
            **(headers or {}),
        },
    )


def _html(record: RequestRecord, status: int, title: str, headers: Headers | None = None) -> web.StreamResponse:
    html = {"Content-Type": "text/html; charset=utf-8"}
    return _raw(record, status, HTML_ERROR.format(title).encode(), html | (headers or {}))


def _dropped(request: web.BaseRequest, fault: Fault) -> web.StreamResponse:
    """Close the socket; the response that is returned finds it closed and goes nowhere."""
    transport = request.transport
    if transport is not None:
        if fault.reset:
            transport.abort()
        else:
            transport.close()
    return web.Response(status=500)


async def _truncated(
    request: web.BaseRequest, record: RequestRecord, payload: Answer, fault: Fault
) -> web.StreamResponse:
    whole = _encode(payload)
    part = whole[: len(whole) // 2]
    if not fault.full_length:
        return _raw(record, 200, part)
    record.status = 200
    response = web.StreamResponse(
        headers={
            "Content-Type": "application/json; charset=utf-8",
            "Content-Length": str(len(whole)),
            "x-request-id": record.request_id,
        }
    )
    await response.prepare(request)
    await response.write(part)
    if request.transport is not None:
        request.transport.close()
    return response


def _retry_after(form: RetryAfter, seconds: int) -> Headers:
    if form == "absent":
        return {}
    values = {
        "seconds": str(seconds),
        "date": formatdate(time.time() + seconds, usegmt=True),
        "zero": "0",
        "huge": str(HUGE_RETRY_AFTER_S),
    }
    return {"Retry-After": values[form]}
