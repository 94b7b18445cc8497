"""The door through which answers come in: nothing gets past it that a database or a reader could not take."""

import json

import pytest

from flows.alloy.answers import CreatedUser, Credential, OauthLink, read, read_list
from flows.alloy.body import MOST_NESTED, UnreadableAnswer, decode


@pytest.mark.parametrize(
    "content",
    [
        b"", b" ", b"<html>", b'{"a": NaN}', b'{"a": [-Infinity]}', b'{"a": 1e999}', b'{"a": "\xff"}',
        b'{"a": "\xed\xa0\x80"}', b'{"a": 1}{"a": 1}', b"9" * 5000, b"[" * 100_000, b'"\\"\\\\ud800"',
    ],
)  # fmt: skip
def test_what_is_no_json_is_refused(content: bytes) -> None:
    with pytest.raises(UnreadableAnswer):
        decode(content)


@pytest.mark.parametrize("levels", [MOST_NESTED + 1, 500, 900])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"data":', "}"), ('{"message":[', "]}")])
def test_what_is_nested_too_deeply_is_refused(levels: int, opening: str, closing: str) -> None:
    with pytest.raises(UnreadableAnswer):
        decode(f"{opening * levels}0{closing * levels}".encode())


def test_many_brackets_side_by_side_are_not_nested() -> None:
    rows = [{"userId": str(number), "tags": []} for number in range(1000)]

    assert decode(json.dumps({"data": rows}).encode()) == {"data": rows}


@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_every_encoding_that_json_may_have_is_read(coding: str) -> None:
    assert decode('{"größe": "尺寸 🙂"}'.encode(coding)) == {"größe": "尺寸 🙂"}


def test_letters_that_no_database_takes_are_replaced() -> None:
    assert decode(rb'{"a\u0000": ["half \ud83d", "\udc00", "nul \u0000"]}') == {"a�": ["half �", "�", "nul �"]}


def test_an_escaped_emoji_stays_what_it_is() -> None:
    assert decode(rb'{"a": "\ud83d\ude42 \\u0000"}') == {"a": "🙂 \\u0000"}


def test_a_doubly_encoded_answer_gets_through_the_same_door() -> None:
    assert decode(json.dumps('{"a": "\\ud800"}').encode()) == {"a": "�"}
    with pytest.raises(UnreadableAnswer):
        decode(json.dumps('{"a": NaN}').encode())


@pytest.mark.parametrize(
    "found", ["", " ", " u1", "u1\n", "u\0", "\ufeffu", "u\ufffd", "u" * 256, 1.5, True, None, ["u"]]
)
def test_what_cannot_be_an_id_is_none(found: object) -> None:
    with pytest.raises(UnreadableAnswer):
        read(CreatedUser, {"userId": found})  # type: ignore[dict-item]


@pytest.mark.parametrize(("found", "expected"), [("u1", "u1"), ("u" * 255, "u" * 255), ("a/b é", "a/b é"), (7, "7")])
def test_everything_else_is_an_id(found: str | int, expected: str) -> None:
    assert read(CreatedUser, {"userId": found}).user_id == expected


@pytest.mark.parametrize(
    "found",
    ["", 7, "javascript:alert(1)", "https://", "//host/path", "https://a.test/b c", "https://[/", "http:a"],
)
def test_what_no_customer_could_follow_is_no_link(found: str | int) -> None:
    with pytest.raises(UnreadableAnswer):
        read(OauthLink, {"oauthUrl": found})


def test_times_are_told_in_one_zone_and_those_beyond_the_calendar_are_not_given() -> None:
    times = ["2026-01-05T12:00:00+02:00", "2026-01-05T10:00:00", "0001-01-01T00:00:00+14:00", "soon", 10**30]
    rows = [{"credentialId": "c", "updatedAt": time} for time in times]

    told = [row.updated_at for row in read_list(Credential, rows)]  # type: ignore[arg-type]

    assert [time and time.isoformat() for time in told] == [*["2026-01-05T10:00:00+00:00"] * 2, None, None, None]
