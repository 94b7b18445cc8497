"""The one module that speaks HTTP: httpx in front, aiohttp's connections behind, one judgement for every way to fail.

httpx's own connection pool is what limits a bulk run, so aiohttp carries the requests, and its client would spend a
sixth of a call on redirects, cookies and authentication flows that no call of ours has, so the transport is driven
directly. What matters most here is to tell "certainly never sent" from "may have been carried out". In aiohttp, a
connection that breaks after the request was sent has the same base class as one that was never made; so only the
errors of making one count as not sent.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Self
from urllib.parse import urlencode

import aiohttp
import httpx
from pydantic import JsonValue, SecretStr
from yarl import URL

from flows.alloy.body import UnreadableAnswer, decode
from flows.alloy.counted import count_call
from flows.alloy.errors import (
    BY_EXCEPTION,
    NOT_SENT,
    WRONG_HOST,
    Call,
    judged,
    lost,
    refused,
    unreadable,
)
from flows.alloy.patience import LONGEST_WAIT, patiently
from flows.alloy.permit import PERMIT, Permit
from flows.pacing import Pacing, Turn
from states.failures import Failure, Halted, Rejected, Transient
from states.holds import Reason

CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
PERMITS_PER_SLOT = 3
"""Calls that may stand between their turn and their answer, for each that may be in flight: intents take their time."""
DECODED_AT_ONCE = 1_000_000
"""Bytes; a longer answer is decoded in a thread."""
_IDLE_SECONDS = 4.0
"""Less than Node's five seconds: a POST on a connection that the server is just closing has an unknown outcome."""


Transport = httpx.AsyncBaseTransport
"""What carries requests: by default :class:`AiohttpTransport`."""


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Carries httpx's requests over aiohttp, whole bodies at a time, and never sends a POST twice."""

    def __init__(self, *, secure: bool) -> None:
        # Calls in flight are bounded by whoever sends; a second bound here could only make calls wait unseen.
        self._connector = aiohttp.TCPConnector(
            limit=0, keepalive_timeout=_IDLE_SECONDS, ssl=httpx.create_ssl_context() if secure else True
        )
        self._session = aiohttp.ClientSession(
            connector=self._connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS),
        )
        # A client has two sets of headers, with a body and without. Not kept by the module: the key is among them.
        self._as_text = lru_cache(maxsize=8)(_as_text)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request and read its whole answer."""
        try:
            async with self._session.request(
                request.method,
                URL(str(request.url), encoded=True),
                headers=self._as_text(tuple(request.headers.raw)),
                data=request.content or None,
                allow_redirects=False,
            ) as answer:
                content = await answer.read()
        except Exception as error:
            # Texts of aiohttp quote whole URLs: nothing of them may get into a traceback.
            raise _mapped(error) from None
        return httpx.Response(answer.status, headers=answer.raw_headers, content=content, request=request)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._session.close()


def _as_text(headers: tuple[tuple[bytes, bytes], ...]) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]


def _mapped(error: Exception) -> httpx.TransportError:
    """Translate an error of aiohttp; what is not known to precede sending counts as sent."""
    match error:
        case aiohttp.ClientConnectorError():
            return httpx.ConnectError(_why(error))
        case aiohttp.ConnectionTimeoutError():
            return httpx.ConnectTimeout(f"no connection within {CONNECT_SECONDS:g} s")
        case TimeoutError():
            return httpx.ReadTimeout(f"nothing within {READ_SECONDS:g} s")
        case aiohttp.ClientConnectionError() | OSError():
            return httpx.ReadError("the connection broke")
        case _:
            return httpx.RemoteProtocolError(type(error).__name__)


def _all_of_it(thing: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Keep an object as it is: the decoder is C and lets no other thread run, but where it calls Python."""
    return thing


def _why(error: aiohttp.ClientConnectorError) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "its certificate is not trusted"
    return error.os_error.strerror or type(error.os_error).__name__


# Four of six calls go to the same few addresses, and reading one costs as much as the rest of a request.
_url = lru_cache(maxsize=256)(httpx.URL)


class Channel:
    """One HTTP client to one host: every call goes through :meth:`send`, and every failure comes out judged."""

    def __init__(
        self,
        transport: Transport,
        *,
        base_url: str,
        api_key: SecretStr,
        headers: Mapping[str, str],
        concurrency: int,
        pacing: Pacing,
        deadline: float,
        send_within: timedelta,
        now: Callable[[], datetime],
    ) -> None:
        self._transport = transport
        self._base_url = base_url
        self._key = api_key
        self._headers = httpx.Headers(
            {
                "Authorization": f"Bearer {api_key.get_secret_value()}",
                "Accept": "application/json",
                "User-Agent": "headless-onboarding",
                **headers,
            }
        )
        self._headers_with_body = httpx.Headers({**self._headers, "Content-Type": "application/json"})
        self._slots = asyncio.Semaphore(concurrency)
        self._line = asyncio.Lock()
        self._permits = asyncio.Semaphore(PERMITS_PER_SLOT * concurrency)
        self._deadline = deadline
        self._send_within = send_within
        self._now = now
        self._stopping = False
        self._answered = False
        self._understood = False
        self.pacing = pacing
        self.calls = 0

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        *,
        base_url: str,
        api_key: SecretStr,
        headers: Mapping[str, str],
        concurrency: int,
        pacing: Pacing,
        deadline: float,
        send_within: timedelta,
        now: Callable[[], datetime],
        transport: Transport | None = None,
    ) -> AsyncIterator[Self]:
        """Open the connections and close them with the block. Raises :class:`Halted` for a key that cannot be sent."""
        key = api_key.get_secret_value()
        if not key or not key.isascii() or not key.isprintable() or key != key.strip():
            raise Halted(Reason.unauthorized, "ALLOY_API_KEY is missing, or holds what no header may hold")
        # Both log whole URLs at INFO, with the customers' data in their queries.
        for name in ("httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.WARNING)
        async with transport or AiohttpTransport(secure=base_url.startswith("https:")) as opened:
            yield cls(
                opened,
                base_url=base_url,
                api_key=api_key,
                headers=headers,
                concurrency=concurrency,
                pacing=pacing,
                deadline=deadline,
                send_within=send_within,
                now=now,
            )

    @asynccontextmanager
    async def permit(self) -> AsyncIterator[Permit]:
        """Wait for the turn of one call that changes something; the first one made in this block has it.

        Raises ``Transient``, with nothing done, if Alloy wants nobody to call for longer than is worth waiting here.
        """
        async with self._permits:
            permit = Permit(await self._turn(), self._now, self._send_within)
            token = PERMIT.set(permit)
            try:
                yield permit
            finally:
                PERMIT.reset(token)

    def stop(self) -> None:
        """Give turns only to calls that belong to an intent from now on; whatever else waits raises ``NotWanted``."""
        self._stopping = True

    async def send(self, call: Call) -> JsonValue:
        """Make a call and return its answer, read as JSON; raises one of the four failures."""
        return await patiently(lambda: self._attempt(call))

    async def _attempt(self, call: Call) -> JsonValue:
        permit = PERMIT.get() if call.method == "POST" else None
        async with self._slot_and_turn(permit) as turn:
            await self.pacing.depart()
            if permit is not None:
                await permit.confirm()
            response = await self._exchange(call)
        if response.status_code != httpx.codes.TOO_MANY_REQUESTS:
            self.pacing.succeeded(turn)
        if self._is_web_page(call, response):
            raise judged(call, WRONG_HOST, f"was answered {response.status_code} with a web page")
        if response.is_success:
            return await self._decoded(call, response)
        failure = refused(call, response.status_code, response.headers, response.content, self._key)
        if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
            asked = failure.retry_after if isinstance(failure, Transient) else None
            self.pacing.refused(turn, asked.total_seconds() if asked else None)
        raise failure

    @asynccontextmanager
    async def _slot_and_turn(self, permit: Permit | None) -> AsyncIterator[Turn]:
        """Hold one of the slots for a call, once it has its turn.

        Who has no turn waits in a line whose first alone holds a slot: else those who have theirs would wait for slots,
        and the holders of these for turns, which the others are to have before them.
        """
        if permit is not None and (turn := permit.take_turn()) is not None:
            async with self._slots:
                if not self.pacing.paused_for():
                    yield turn
                    return
        self._refuse_a_long_wait()
        async with AsyncExitStack() as stack:
            async with self._line:
                # The slot comes first: a turn that waits for one would start its call at some later, crowded time.
                await stack.enter_async_context(self._slots)
                turn = await self._turn()
            yield turn

    async def _turn(self) -> Turn:
        self._refuse_a_long_wait()
        begun = PERMIT.get() is not None
        return await self.pacing.turn(lambda: begun or not self._stopping)

    def _refuse_a_long_wait(self) -> None:
        if (left := self.pacing.paused_for()) > LONGEST_WAIT:
            # Judged, not slept through: the run can end, and say when it goes on.
            raise Transient(
                Reason.rate_limited, "nothing was sent: Alloy asked us to wait", retry_after=timedelta(seconds=left)
            )

    async def _exchange(self, call: Call) -> httpx.Response:
        try:
            request = self._request(call)
        except (ValueError, httpx.InvalidURL):
            raise Rejected(Reason.invalid_answer, f"{call} cannot be sent: a value in it cannot be written") from None
        self.calls += 1
        count_call()
        try:
            # A deadline on top of the read timeout: an answer may trickle for ever.
            async with asyncio.timeout(self._deadline):
                response = await self._transport.handle_async_request(request)
                await response.aread()
        except TimeoutError:
            raise lost(call, "ReadTimeout", f"nothing within {self._deadline:g} s") from None
        except httpx.HTTPError as error:
            raise self._judged(call, error) from None
        self._answered = True
        return response

    def _request(self, call: Call) -> httpx.Request:
        address = self._base_url + call.path
        url = httpx.URL(f"{address}?{urlencode(call.query)}") if call.query else _url(address)
        headers, content = self._headers, b""
        if call.body is not None:
            headers = self._headers_with_body
            content = json.dumps(call.body, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        # Of a stream httpx works out no Host and no length, which the connection below does anyhow.
        request = httpx.Request(call.method, url, headers=headers, stream=httpx.ByteStream(content))
        request.read()
        return request

    def _judged(self, call: Call, error: httpx.HTTPError) -> Failure:
        failure = lost(call, type(error).__name__, str(error))
        if self._answered or BY_EXCEPTION.get(type(error).__name__) is not NOT_SENT:
            return failure
        # Nothing has ever answered: more likely a wrong address than a bad moment, and true for every customer.
        host = httpx.URL(self._base_url).host
        return Halted(Reason.wrong_host, f"{host} cannot be reached ({error}): check ALLOY_BASE_URL and the network")

    async def _decoded(self, call: Call, response: httpx.Response) -> JsonValue:
        try:
            if len(response.content) <= DECODED_AT_ONCE:
                answer = decode(response.content, call.keep)
            else:  # everything else that is in flight would wait for it
                answer = await asyncio.to_thread(decode, response.content, call.keep or _all_of_it)
        except UnreadableAnswer as fault:
            raise unreadable(call, str(fault)) from None
        self._understood = True
        return answer

    def _is_web_page(self, call: Call, response: httpx.Response) -> bool:
        """Tell a web site from Alloy: until something was understood, HTML where an answer belongs is no bad moment."""
        if self._understood or not response.headers.get("content-type", "").startswith("text/html"):
            return False
        return response.is_success or (call.everywhere and response.status_code in (404, 405))
