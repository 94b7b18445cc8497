"""The table of failures, and what error texts may say."""

import base64
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.parse import quote

import httpx
import pytest
from pydantic import SecretStr

from flows.alloy import errors
from flows.alloy.errors import BY_EXCEPTION, Call, lost, masked, masking, parse_retry_after, refused
from states.failures import Effect, Halted, Rejected, Transient
from states.holds import Reason

READING = Call("GET", "/users/{user}", "/users/u1")
WRITING = Call("POST", "/headless/credentials", "/headless/credentials", secrets=("s3cr3t-consumer-key",))
KEY = SecretStr("canary-api-key-7f3b")
NOW = datetime(2026, 1, 5, 10, 0, tzinfo=UTC)


def test_every_exception_of_httpx_is_in_the_table() -> None:
    exceptions = {
        name for name in httpx.__all__ if isinstance(kind := getattr(httpx, name), type) and issubclass(kind, Exception)
    }

    assert exceptions == set(BY_EXCEPTION)


NEVER_SENT = {"ConnectError", "ConnectTimeout", "PoolTimeout"}


@pytest.mark.parametrize("name", sorted(set(BY_EXCEPTION) - NEVER_SENT))
def test_no_exception_but_those_of_connecting_claims_that_a_post_was_not_sent(name: str) -> None:
    failure = lost(WRITING, name)

    assert not isinstance(failure, Transient) or failure.effect is Effect.unknown


@pytest.mark.parametrize("name", sorted(NEVER_SENT))
def test_an_error_of_connecting_had_no_effect(name: str) -> None:
    failure = lost(WRITING, name)

    assert isinstance(failure, Transient)
    assert (failure.effect, failure.reason) == (Effect.nothing, Reason.unreachable)


def test_an_exception_that_nobody_foresaw_counts_as_sent() -> None:
    failure = lost(WRITING, "BrandNewError")

    assert isinstance(failure, Transient)
    assert failure.effect is Effect.unknown


@pytest.mark.parametrize("name", ["ReadTimeout", "ReadError", "RemoteProtocolError", "DecodingError"])
def test_a_lost_answer_to_a_look_up_had_no_effect(name: str) -> None:
    failure = lost(READING, name)

    assert isinstance(failure, Transient)
    assert failure.effect is Effect.nothing


def judge(call: Call, status: int, **headers: str) -> Exception:
    return refused(call, status, {name.replace("_", "-"): value for name, value in headers.items()}, b"{}", KEY)


@pytest.mark.parametrize("call", [READING, WRITING])
@pytest.mark.parametrize("status", [400, 402, 404, 405, 409, 410, 413, 415, 422, 451])
def test_a_refusal_is_rejected_and_keeps_its_status(call: Call, status: int) -> None:
    failure = judge(call, status)

    assert isinstance(failure, Rejected)
    assert (failure.status, failure.reason) == (status, Reason.rejected)


@pytest.mark.parametrize("call", [READING, WRITING])
@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, Reason.unauthorized),
        (403, Reason.forbidden),
        (301, Reason.wrong_host),
        (302, Reason.wrong_host),
        (307, Reason.wrong_host),
        (308, Reason.wrong_host),
        (407, Reason.wrong_host),
        (421, Reason.wrong_host),
    ],
)
def test_what_no_customer_can_help_halts(call: Call, status: int, reason: Reason) -> None:
    failure = judge(call, status)

    assert isinstance(failure, Halted)
    assert failure.reason is reason


@pytest.mark.parametrize("status", [408, 500, 501, 502, 503, 504, 507, 599, 999])
def test_a_broken_answer_leaves_the_outcome_of_a_post_unknown_and_a_look_up_without_effect(status: int) -> None:
    writing, reading = judge(WRITING, status), judge(READING, status)

    assert isinstance(writing, Transient)
    assert (writing.effect, writing.reason) == (Effect.unknown, Reason.unknown_outcome)
    assert isinstance(reading, Transient)
    assert (reading.effect, reading.reason) == (Effect.nothing, Reason.refused_for_now)


@pytest.mark.parametrize("call", [READING, WRITING])
def test_slowing_down_had_no_effect_and_says_until_when(call: Call) -> None:
    failure = judge(call, 429, retry_after="7")

    assert isinstance(failure, Transient)
    assert (failure.effect, failure.reason) == (Effect.nothing, Reason.rate_limited)
    assert failure.retry_after == timedelta(seconds=7)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("0", timedelta(0)),
        ("7", timedelta(seconds=7)),
        (" 1.5 ", timedelta(seconds=1.5)),
        (format_datetime(NOW + timedelta(minutes=2), usegmt=True), timedelta(minutes=2)),
        (format_datetime(NOW - timedelta(minutes=2), usegmt=True), timedelta(0)),
        ("Mon, 05 Jan 2026 10:00:30", timedelta(seconds=30)),
        ("99999999999", timedelta(days=1)),
        ("9" * 400, timedelta(days=1)),
        (format_datetime(NOW + timedelta(days=900), usegmt=True), timedelta(days=1)),
        ("", None),
        ("-5", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("Mon, 99 Foo 2026 10:00:30 GMT", None),
        ("Mon, 05 Jan 99999999999999999999 10:00:30 GMT", None),
        ("Mon, 05 Jan 2026 10:00:30 +99999999999999", None),
        ("٣", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_never_more_than_a_day(header: str, expected: timedelta | None) -> None:
    assert parse_retry_after(header, NOW) == expected


@pytest.mark.parametrize("body", [b'{"message": ' + b"[" * 900 + b'"no"' + b"]" * 900 + b"}", b'{"error": NaN}'])
def test_a_body_that_cannot_be_read_adds_no_words(body: bytes) -> None:
    assert str(refused(READING, 400, {}, body, KEY)).endswith("was answered 400")


@pytest.mark.parametrize("letter", ["\\ud800", "\\u0000", "\\u202e", "\\u001b"])
def test_the_vendors_words_hold_no_letter_that_cannot_be_kept_or_shown(letter: str) -> None:
    shown = str(refused(READING, 400, {}, f'{{"message": "no{letter}pe"}}'.encode(), KEY))

    assert shown.isprintable()
    assert shown.encode()


SECRET = 'Consumer/Secret+4567 "é"&<x>'


@pytest.mark.parametrize(
    "echoed",
    [
        SECRET,
        SECRET.upper(),
        quote(SECRET, safe=""),
        base64.b64encode(SECRET.encode()).decode(),
        "Consumer/Secret+4567 \\u00e9",
        "Consumer/Secret+4567 &quot;é&quot;&amp;&lt;x&gt;",
        SECRET[:12],
        SECRET[5:],
    ],
)
def test_a_secret_that_the_vendor_echoes_is_masked_however_it_is_spelt_or_cut(echoed: str) -> None:
    shown = masked(f"the value {echoed} is wrong", [SECRET])

    assert shown.startswith("the value ")
    assert shown.endswith(" is wrong")
    for part in ("Consumer", "CONSUMER", "Secret", "SECRET", "4567", base64.b64encode(SECRET.encode()).decode()[:8]):
        assert part not in shown


def test_short_secrets_are_masked_as_a_whole() -> None:
    assert masked("realm 123 is unknown, 12 are known", ["123"]) == "realm *** is unknown, 12 are known"


def test_nothing_is_masked_for_an_empty_secret() -> None:
    assert masked("all of it", ["", "  "]) == "all of it"


def test_an_error_text_carries_method_template_status_request_id_and_message() -> None:
    failure = refused(READING, 400, {"x-request-id": "req-1"}, b'{"message": "userId must be a valid ID"}', KEY)

    assert str(failure) == "GET /users/{user} was answered 400 (request req-1): userId must be a valid ID"


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b'{"message": ["a is wrong", "b is wrong"]}', "a is wrong, b is wrong"),
        (b'{"error": {"message": "no"}}', "no"),
        (b'{"errors": [{"message": "no"}]}', "no"),
        (b'{"message": "two\\nlines\\u0000"}', "two lines"),
        (b'{"message": 5}', ""),
        (b"{}", ""),
        (b"", ""),
        (b"<html>canary</html>", ""),
        (b"[" * 100_000, ""),
    ],
)
def test_only_the_vendors_own_words_are_taken_from_a_body(body: bytes, shown: str) -> None:
    failure = refused(READING, 400, {}, body, KEY)

    assert str(failure).removeprefix("GET /users/{user} was answered 400") == (f": {shown}" if shown else "")


def test_a_long_message_is_cut_and_masked_before_it_is_cut() -> None:
    message = "x" * 190 + " s3cr3t-consumer-key is wrong"

    failure = refused(WRITING, 400, {}, f'{{"message": "{message}"}}'.encode(), KEY)

    assert "s3cr3t" not in str(failure)
    assert len(str(failure)) < 280


def test_the_key_the_values_of_the_record_and_the_queries_of_urls_are_never_shown() -> None:
    said = (
        f"key {KEY.get_secret_value()} may not, s3cr3t-consumer-key neither, shop canary-shop-name,"
        " see https://x.test/a?shop=hidden&b=1 and /headless/oauthUrl?userId=hidden"
    )
    with masking([SecretStr("canary-shop-name")]):
        failure = refused(WRITING, 422, {"x-request-id": "canary-shop-name"}, f'{{"message": "{said}"}}'.encode(), KEY)

    assert str(failure) == (
        "POST /headless/credentials was answered 422 (request ***): key *** may not, *** neither, shop ***,"
        " see https://x.test/a?… and /headless/oauthUrl?…"
    )


def test_a_request_id_that_is_no_id_is_left_out() -> None:
    failure = refused(READING, 400, {"x-request-id": "<script>"}, b"{}", KEY)

    assert str(failure) == "GET /users/{user} was answered 400"


def test_masking_ends_with_its_block() -> None:
    with masking(["canary"]):
        pass

    assert errors._MASKED.get() == ()
