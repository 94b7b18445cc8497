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
from contextlib import asynccontextmanager
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
from flows.alloy.departures import Departures
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
from flows.alloy.patience import patiently
from flows.alloy.permit import PERMIT
from flows.pacing import Pacing
from states.failures import Failure, Halted, Rejected, Transient
from states.holds import Reason

CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
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
        pacing: Pacing,
        departures: Departures,
        deadline: float,
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
        self._deadline = deadline
        self._answered = False
        self._understood = False
        self.pacing = pacing
        self.departures = departures
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
                pacing=pacing,
                departures=Departures(pacing, concurrency, send_within=send_within, now=now),
                deadline=deadline,
            )

    async def send(self, call: Call) -> JsonValue:
        """Make a call and return its answer, read as JSON; raises one of the four failures."""
        return await patiently(lambda: self._attempt(call))

    async def _attempt(self, call: Call) -> JsonValue:
        permit = PERMIT.get() if call.method == "POST" else None
        async with self.departures.leave(permit) as turn:
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
