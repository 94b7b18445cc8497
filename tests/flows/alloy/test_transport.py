"""What comes of every way in which a connection can fail, over real sockets."""

import asyncio
import datetime as dt
import gzip
import logging
import socket
import ssl
import struct
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import SecretStr

from flows.alloy import transport
from flows.alloy.client import AlloyClient
from flows.pacing import Pacing
from states.failures import Effect, Failure, Halted, Transient
from states.holds import Reason
from tests.flows.alloy.vendor import (
    KEY,
    RawServer,
    Vendor,
    answer,
    answers,
    connected_to,
    listening,
    sends,
    speaking_to,
)


async def post(client: AlloyClient) -> object:
    return await client.create_user("ada@example.test", "Ada")


async def get(client: AlloyClient) -> object:
    return await client.some_user()


async def failure_of(call: object) -> Failure:
    with pytest.raises(Failure) as raised:
        await call  # type: ignore[misc]
    return raised.value


async def closes(writer: asyncio.StreamWriter) -> None:
    writer.close()


async def resets(writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def stalls(_: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


async def trickles(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(1000):
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.05)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
ZIPPED = gzip.compress(b'{"userId": "u1", "data": []}' * 50)

LOSSES = {
    "closes without an answer": closes,
    "resets the connection": resets,
    "stalls": stalls,
    "trickles": trickles,
    "closes within the head": sends(b"HTTP/1.1 200 OK\r\nContent-Le"),
    "closes within the body": sends(HEAD + b'Content-Length: 100\r\n\r\n{"userId": "u1"'),
    "closes within a chunk": sends(HEAD + b'Transfer-Encoding: chunked\r\n\r\n50\r\n{"userId"'),
    "sends a wrong chunk": sends(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzzz\r\n{}\r\n0\r\n\r\n"),
    "sends garbage": sends(b"\x16\x03\x01 garbage \xff\xfe\r\n\r\n"),
    "sends no status": sends(b"HTTP/1.1 OK\r\n\r\n"),
    "sends two lengths": sends(HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
    "sends a length that is none": sends(HEAD + b"Content-Length: many\r\n\r\n{}"),
    "sends an endless header": sends(HEAD + b"X: " + b"x" * 100_000 + b"\r\n\r\n"),
    "sends an empty body": sends(HEAD + b"Content-Length: 0\r\n\r\n"),
    "sends a page": answers(b"<html>canary</html>"),
    "sends text that is cut": answers(b'{"userId": "u'),
    "sends a null": answers(b"null"),
    "sends bytes that are no text": answers(b"\xff\xfe\x00"),
    "sends a number too long to read": answers(b"1" * 10_000),
    "sends brackets without end": answers(b"[" * 100_000),
    "sends something else": answers(b'{"ok": true}'),
    "sends an id that is empty": answers(b'{"userId": ""}'),
    "sends an id that is null": answers(b'{"userId": null, "data": [{"userId": null}]}'),
    "says that it is zipped and is not": answers(b'{"userId": "u1"}', "200 OK", "Content-Encoding: gzip"),
    "sends a zipped body that is cut": answers(ZIPPED[:-20], "200 OK", "Content-Encoding: gzip"),
    "breaks": answers(b"{}", "500 Internal Server Error"),
    "is overloaded": answers(b"<html>", "503 Service Unavailable"),
    "waits no longer": answers(b"{}", "408 Request Timeout"),
}


@pytest.mark.parametrize("behaviour", LOSSES.values(), ids=LOSSES.keys())
async def test_a_post_whose_answer_is_lost_has_an_unknown_outcome_and_is_never_sent_again(behaviour) -> None:
    async with RawServer(answers(), behaviour) as server, connected_to(server.url, deadline=0.4) as client:
        await get(client)
        failure = await failure_of(post(client))
        await asyncio.sleep(0.02)

    assert isinstance(failure, Transient)
    assert failure.effect is Effect.unknown
    assert server.received.count("POST /users") == 1
    assert "canary" not in str(failure)


@pytest.mark.parametrize("behaviour", LOSSES.values(), ids=LOSSES.keys())
async def test_a_look_up_whose_answer_is_lost_had_no_effect(behaviour) -> None:
    understood = answers(b'{"userId": "u1"}')
    async with RawServer(understood, behaviour) as server, connected_to(server.url, deadline=0.3) as client:
        await post(client)
        failure = await failure_of(get(client))

    assert isinstance(failure, Transient)
    assert failure.effect is Effect.nothing


async def test_a_look_up_is_asked_again_for_a_while() -> None:
    broken = answers(b"{}", "502 Bad Gateway")
    async with RawServer(closes, closes, broken, answers()) as server, connected_to(server.url) as client:
        assert await get(client) is None


async def test_a_read_timeout_ends_a_call_before_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "READ_SECONDS", 0.1)
    async with RawServer(stalls) as server, connected_to(server.url, deadline=30) as client:
        failure = await failure_of(post(client))

    assert isinstance(failure, Transient)
    assert failure.effect is Effect.unknown
    assert "ReadTimeout" in str(failure)


async def test_a_post_on_a_connection_that_the_server_closed_while_it_was_idle_is_sent_once() -> None:
    async def answers_and_closes(writer: asyncio.StreamWriter) -> None:
        await answers()(writer)
        writer.close()

    async with RawServer(answers_and_closes, answers()) as server, connected_to(server.url) as client:
        await get(client)
        await asyncio.sleep(0.05)

        assert await post(client) == "u1"

    assert server.received == ["GET /users", "POST /users"]


async def test_a_connection_is_kept_for_the_next_call() -> None:
    async with RawServer(answers()) as server, connected_to(server.url) as client:
        for _ in range(5):
            await post(client)

    assert server.connections == 1


async def test_a_refused_connection_halts_until_something_has_answered() -> None:
    async with RawServer(answers()) as server:
        url = server.url
    async with connected_to(url) as client:
        failure = await failure_of(post(client))

    assert isinstance(failure, Halted)
    assert failure.reason is Reason.wrong_host
    assert "127.0.0.1 cannot be reached" in str(failure)
    assert "ALLOY_BASE_URL" in str(failure)


async def test_a_refused_connection_is_transient_once_something_has_answered() -> None:
    once = answers(b'{"userId": "u1"}', "200 OK", "Connection: close")
    async with RawServer(once) as server, connected_to(server.url) as client:
        await post(client)
        await server.__aexit__()
        failure = await failure_of(post(client))

    assert isinstance(failure, Transient)
    assert (failure.effect, failure.reason) == (Effect.nothing, Reason.unreachable)
    assert client.calls == 5


async def test_a_name_that_does_not_exist_halts() -> None:
    async with connected_to("http://nowhere.invalid") as client:
        failure = await failure_of(get(client))

    assert isinstance(failure, Halted)
    assert "nowhere.invalid cannot be reached" in str(failure)


async def test_a_server_without_tls_where_tls_is_spoken_halts() -> None:
    async with listening(sends(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as url, connected_to(url) as client:
        failure = await failure_of(post(client))

    assert isinstance(failure, Halted)
    assert failure.reason is Reason.wrong_host


async def test_a_tls_handshake_that_never_ends_was_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "CONNECT_SECONDS", 0.1)

    async def says_nothing(_: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.6)

    async with listening(says_nothing) as url, connected_to(url) as client:
        client._channel._answered = True
        failure = await failure_of(post(client))

    assert isinstance(failure, Transient)
    assert failure.effect is Effect.nothing
    assert "ConnectTimeout" in str(failure)


async def test_a_certificate_that_nobody_vouches_for_halts(tmp_path: Path) -> None:
    async with listening(closes, tls=_self_signed(tmp_path)) as url, connected_to(url) as client:
        failure = await failure_of(post(client))

    assert isinstance(failure, Halted)
    assert "certificate is not trusted" in str(failure)


def _self_signed(folder: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = folder / "self-signed.pem"
    file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


async def test_a_zipped_answer_is_read() -> None:
    zipped = answers(gzip.compress(b'{"userId": "u1"}'), "200 OK", "Content-Encoding: gzip")
    async with RawServer(zipped) as server, connected_to(server.url) as client:
        assert await post(client) == "u1"


async def test_cookies_are_not_sent_back() -> None:
    with_cookie = answers(b'{"userId": "u1"}', "200 OK", "Set-Cookie: a=b; Path=/")
    async with RawServer(with_cookie) as server, connected_to(server.url) as client:
        await post(client)
        await post(client)

    assert not any("cookie" in head for head in server.heads)


async def test_as_many_connections_are_open_as_calls_are_allowed_in_flight() -> None:
    at_once = asyncio.Event()

    async def answers_when_all_are_there(writer: asyncio.StreamWriter) -> None:
        if len(server.received) == 150:
            at_once.set()
        await at_once.wait()
        await answers()(writer)

    async with RawServer(answers_when_all_are_there) as server, connected_to(server.url, concurrency=150) as client:
        async with asyncio.timeout(5):
            await asyncio.gather(*(post(client) for _ in range(150)))

    assert server.connections == 150


async def test_no_more_calls_are_in_flight_than_allowed() -> None:
    in_flight = most = 0

    async def counts(writer: asyncio.StreamWriter) -> None:
        nonlocal in_flight, most
        in_flight += 1
        most = max(most, in_flight)
        await asyncio.sleep(0.01)
        in_flight -= 1
        await answers()(writer)

    async with RawServer(counts) as server, connected_to(server.url, concurrency=3) as client:
        await asyncio.gather(*(post(client) for _ in range(12)))

    assert most == 3


async def test_a_cancelled_call_gives_its_slot_back() -> None:
    async with RawServer(stalls, answers()) as server, connected_to(server.url, concurrency=1) as client:
        call = asyncio.create_task(post(client))
        await asyncio.sleep(0.05)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

        assert await post(client) == "u1"


async def test_what_was_slowed_down_is_sent_again_and_then_answered() -> None:
    vendor = Vendor(answer(status=429), answer(status=429, retry_after="0"), answer({"userId": "u1"}))
    async with speaking_to(vendor) as client:
        assert await post(client) == "u1"

    assert client.calls == len(vendor.requests) == 3


async def test_what_is_slowed_down_again_and_again_is_handed_back() -> None:
    vendor = Vendor(answer(status=429))
    async with speaking_to(vendor) as client:
        failure = await failure_of(post(client))

    assert len(vendor.requests) == 4
    assert isinstance(failure, Transient)
    assert (failure.reason, failure.effect) == (Reason.rate_limited, Effect.nothing)


async def test_a_long_wait_is_handed_back_at_once_and_stops_everybody_for_a_while() -> None:
    vendor = Vendor(answer(status=429, retry_after="3600"))
    async with speaking_to(vendor) as client:
        failure = await failure_of(post(client))
        other = await failure_of(get(client))

        assert 59 < client.pacing.paused_for() <= 60

    assert len(vendor.requests) == 1
    assert isinstance(failure, Transient)
    assert failure.retry_after == dt.timedelta(hours=1)
    assert isinstance(other, Transient)
    assert (other.reason, other.effect) == (Reason.rate_limited, Effect.nothing)
    assert other.retry_after is not None
    assert other.retry_after <= dt.timedelta(minutes=1)


async def test_a_short_wait_is_waited_for_by_everybody() -> None:
    waited: list[float] = []
    now = 0.0

    async def sleep(seconds: float) -> None:
        nonlocal now
        waited.append(seconds)
        now += seconds

    pacing = Pacing(rate=100_000, clock=lambda: now, sleep=sleep)
    vendor = Vendor(answer(status=429, retry_after="3"), answer({"userId": "u1", "data": []}))
    async with speaking_to(vendor, pacing=pacing) as client:
        await asyncio.gather(post(client), get(client))

    assert 3.0 in waited


@pytest.mark.parametrize("status", [400, 401, 404, 409, 302])
async def test_what_was_answered_is_not_asked_again(status: int) -> None:
    vendor = Vendor(answer(status=status))
    async with speaking_to(vendor) as client:
        await failure_of(post(client))

    assert len(vendor.requests) == 1


async def test_a_redirect_is_not_followed() -> None:
    vendor = Vendor(answer(status=302, location="https://elsewhere.test/users"))
    async with speaking_to(vendor) as client:
        failure = await failure_of(get(client))

    assert isinstance(failure, Halted)
    assert len(vendor.requests) == 1


@pytest.mark.parametrize("status", [200, 404, 405])
async def test_a_web_site_in_place_of_alloy_halts(status: int) -> None:
    vendor = Vendor(httpx.Response(status, html="<html>Welcome</html>"))
    async with speaking_to(vendor) as client:
        failure = await failure_of(post(client))

    assert isinstance(failure, Halted)
    assert failure.reason is Reason.wrong_host


async def test_a_web_page_in_place_of_an_answer_is_a_bad_moment_once_alloy_was_understood() -> None:
    vendor = Vendor(answer({"userId": "u1"}), httpx.Response(200, html="<html>Maintenance</html>"))
    async with speaking_to(vendor) as client:
        await post(client)
        failure = await failure_of(post(client))

    assert isinstance(failure, Transient)
    assert failure.effect is Effect.unknown


@pytest.mark.parametrize("key", ["", " ", "two\nlines", "kéy", " padded "])
async def test_a_key_that_no_header_can_hold_halts_before_anything_is_sent(key: str) -> None:
    with pytest.raises(Halted, match="ALLOY_API_KEY"):
        async with AlloyClient.open(base_url="https://x.test", api_key=SecretStr(key)):
            pass


@pytest.mark.parametrize(
    "url", ["", "embedded.runalloy.com", "ftp://x.test", "https://", "https://k@x.test", "http://x?a"]
)
async def test_an_address_that_is_none_halts_before_anything_is_sent(url: str) -> None:
    with pytest.raises(Halted, match="ALLOY_BASE_URL"):
        async with AlloyClient.open(base_url=url, api_key=SecretStr(KEY)):
            pass


async def test_an_unknown_dialect_halts() -> None:
    with pytest.raises(Halted, match="ALLOY_API_VERSION '1999-01' is not one of seed, 2024-03, 2025-09"):
        async with AlloyClient.open(base_url="https://x.test", api_key=SecretStr(KEY), dialect="1999-01"):
            pass


async def test_nothing_is_logged_of_a_call(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    link = answers(b'{"oauthUrl": "https://x.test/canary-link"}')
    async with RawServer(link) as server, connected_to(server.url) as client:
        await client.oauth_url("u1", "shopify", {"shopSubdomain": "canary-shop"})

    assert "canary" not in caplog.text


async def test_no_error_of_any_kind_shows_what_was_sent() -> None:
    """Neither its text, nor what it was raised from, nor its pickled arguments."""
    secret = "canary-secret-value"
    echo = b'{"message": "canary-secret-value is wrong, see http://x.test?v=canary-secret-value"}'
    for behaviour in (*LOSSES.values(), answers(echo, "400 Bad Request"), answers(echo, "401 Unauthorized")):
        async with RawServer(answers(), behaviour) as server, connected_to(server.url, deadline=0.1) as client:
            await get(client)
            for call in (
                client.create_credential("u1", "netsuite", {"consumerSecret": SecretStr(secret)}),
                client.oauth_url("u1", "shopify", {"shopSubdomain": secret}),
            ):
                failure = await failure_of(call)

                assert secret not in f"{failure!r} {failure} {failure.__cause__!r} {failure.__dict__}"
                assert failure.__suppress_context__ or failure.__context__ is None
