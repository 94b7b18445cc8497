"""From a request to a reply: reception, faults, the endpoint, and what the client gets to see of it.

The order is the point: delay, then whatever fails *before* an effect, then the effect (which never waits and is
therefore atomic), then the delay and the failures *after* it. A connection that breaks is part of a reply, so nothing
here knows of sockets.
"""

import asyncio
import json
import time
from collections.abc import Callable
from email.utils import formatdate

from deployments.sandbox.call import Answer, Call
from deployments.sandbox.faults import Fault, Strikes
from deployments.sandbox.knobs import KeyName, RetryAfter
from deployments.sandbox.reception import admit, choose_route, note_unknown, read_body, strip_version
from deployments.sandbox.refusal import Refused
from deployments.sandbox.reply import Reply, Request
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

    async def answer(self, request: Request) -> Reply:
        """Answer one request, or break its connection."""
        world = self._world
        record = world.requests.begin(request.method, world.clock.now())
        try:
            await _pause(world.knobs.latency_ms)
            try:
                route, call, key = self._receive(request, record)
            except Refused as refused:
                return self._refusal(record, refused)
            return await self._carry_out(record, route, call, key)
        finally:
            world.requests.end()

    def _receive(self, request: Request, record: RequestRecord) -> tuple[Route, Call, KeyName]:
        world, knobs = self._world, self._world.knobs
        warnings = record.warnings
        key = admit(request.headers.get("Authorization"), world.settings.keys, knobs, warnings)
        record.key = key
        segments = strip_version(request.segments, request.headers.get("x-api-version"), knobs)
        route, path = choose_route(request.method, segments, knobs)
        record.route, record.template = route.name, route.template
        world.requests.by_route[route.name] += 1
        body = read_body(request.body, route, knobs, warnings)
        if route.query is not None:
            note_unknown(request.query.keys() - route.query, knobs, warnings)
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
            query=request.query,
            body=body,
            warnings=warnings,
        )
        return route, call, key

    async def _carry_out(self, record: RequestRecord, route: Route, call: Call, key: KeyName) -> Reply:
        world = self._world
        is_read = route.is_read
        record.user, names = _about(call)
        strikes = world.faults.strikes(route.name, names, is_read=is_read)
        record.faults = strikes.kinds
        if strikes.delay_before:
            await _pause(strikes.delay_before)
        spoiled = self._before(record, strikes.disaster) or self._limited(record, key)
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
        return self._after(record, payload, strikes)

    def _before(self, record: RequestRecord, fault: Fault | None) -> Reply | None:
        """Return the answer of a fault that comes before any effect, if it is one."""
        if fault is None:
            return None
        if fault.kind == "err_before":
            return self._refusal(record, Refused(fault.status or 503, "Service unavailable"))
        if fault.kind == "drop_before":
            return _dropped(fault)
        if fault.kind == "html" and not fault.after_commit:
            return _html(record, 502, "502 Bad Gateway")
        if fault.kind == "429":
            headers = _retry_after(fault.retry_after, fault.retry_after_s)
            return self._refusal(record, Refused(429, "Too many requests"), headers)
        if fault.kind == "auth_flip":
            return self._refusal(record, Refused(401, "Unauthorized"))
        return None

    def _limited(self, record: RequestRecord, key: KeyName) -> Reply | None:
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

    def _after(self, record: RequestRecord, payload: Answer, strikes: Strikes) -> Reply:
        """Send the answer, or what a fault makes of it."""
        fault = strikes.disaster
        if fault is None:
            return _json(record, 200, payload)
        if fault.kind == "err_after":
            return self._refusal(record, Refused(fault.status or 500, "Internal server error"))
        if fault.kind == "drop_after":
            return _dropped(fault)
        if fault.kind == "html":
            return _html(record, 502, "502 Bad Gateway")
        if fault.kind == "empty":
            return _raw(record, 200, b"")
        if fault.kind == "truncate":
            return _truncated(record, payload, fault)
        return _json(record, 200, payload)

    def _refusal(self, record: RequestRecord, refused: Refused, headers: Headers | None = None) -> Reply:
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


def _json(record: RequestRecord, status: int, payload: Answer, headers: Headers | None = None) -> Reply:
    return _raw(record, status, _encode(payload), headers)


def _raw(record: RequestRecord, status: int, body: bytes, headers: Headers | None = None) -> Reply:
    record.status = status
    return Reply(
        status,
        {
            "Content-Type": "application/json; charset=utf-8",
            "x-request-id": record.request_id,
            **(headers or {}),
        },
        body,
    )


def _html(record: RequestRecord, status: int, title: str, headers: Headers | None = None) -> Reply:
    html = {"Content-Type": "text/html; charset=utf-8"}
    return _raw(record, status, HTML_ERROR.format(title).encode(), html | (headers or {}))


def _dropped(fault: Fault) -> Reply:
    return Reply(500, ending="reset" if fault.reset else "closed")


def _truncated(record: RequestRecord, payload: Answer, fault: Fault) -> Reply:
    whole = _encode(payload)
    part = _raw(record, 200, whole[: len(whole) // 2])
    if fault.full_length:
        part.headers["Content-Length"] = str(len(whole))
        part.ending = "cut"
    return part


def _retry_after(form: RetryAfter, seconds: int) -> Headers:
    if form == "absent":
        return {}
    if form == "date":
        # With the time that it is reckoned from, to the second: whoever reads it may have another clock.
        now = time.time()
        return {"Date": formatdate(now, usegmt=True), "Retry-After": formatdate(now + seconds, usegmt=True)}
    return {"Retry-After": {"seconds": str(seconds), "zero": "0", "huge": str(HUGE_RETRY_AFTER_S)}[form]}
