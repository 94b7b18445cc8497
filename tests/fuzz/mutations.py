"""Answers of the API made wrong in every way that we can think of, repeatably.

Two menus. ``ANYTHING`` breaks an answer however it likes: whoever reads it must end in an answer of the right type or
in a failure. ``UNMISTAKABLE`` leaves out the plausible lies, which nobody can tell from the truth: another well-formed
id, a list with a row missing, a form or a status that a healthy Alloy might have sent as well. Whoever reads it must
never take it for something that it is not.
"""

import gzip
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import httpx

HTML = b"<!doctype html><html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
JSON_TYPE = "application/json; charset=utf-8"


@dataclass(frozen=True)
class Answer:
    """What comes back over the wire."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": JSON_TYPE})
    body: bytes = b"{}"

    def said(self, **headers: str) -> "Answer":
        return replace(self, headers={**self.headers, **{name.replace("_", "-"): v for name, v in headers.items()}})


def response_of(answer: Answer, request: httpx.Request) -> httpx.Response:
    """Hand ``answer`` over as a transport does. Raises what httpx raises for a body that is not encoded as it says."""
    headers = [(name.encode(), value.encode("latin-1", "replace")) for name, value in answer.headers.items()]
    return httpx.Response(answer.status, headers=headers, content=answer.body, request=request)


Mutation = Callable[[Answer, Random], Answer]
Place = tuple[Any, Any]
"""A container and the key or index of one value in it."""

_ILL_TYPED: tuple[object, ...] = (None, True, [], {}, [[]], [{}], {"value": {}}, [None, None], {"$oid": []}, "")
_STRANGE: tuple[object, ...] = (
    0, -1, 1.5, 10**30, 1e308, False, "0", " ", "\0", "\ud800", "\ufeff", "\u202e", "\x1b[2J", "None", "undefined",
    "../..", "..", "é" * 9, "a/b?c=d#e", "x" * 70_000, "1e999", "2026-13-45T99:99:99Z", "9999-12-31T23:59:59+00:00",
    "0001-01-01T00:00:00+14:00", "javascript:alert(1)", "https://", "[object Object]",
)  # fmt: skip
_STATUSES_OF_A_BROKEN_HOST = (201, 202, 204, 206, 226, 299, 301, 302, 304, 307, 408, 500, 501, 502, 503, 504, 599, 999)
_ALL_STATUSES = (
    *_STATUSES_OF_A_BROKEN_HOST,
    100,
    199,
    400,
    401,
    402,
    403,
    404,
    405,
    407,
    409,
    410,
    415,
    418,
    421,
    422,
    429,
)
RETRY_AFTERS = (
    "0", "1", "5", "-5", "1.5", "86400", "9" * 400, "1e9", "nan", "inf", "soon", "", " ", "٣", "0x10", "10, 20",
    "Wed, 21 Oct 2015 07:28:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "Mon, 05 Jan 99999999999999999999 10:00:30 GMT",
    "Mon, 05 Jan 2026 10:00:30 +99999999999999", "Mon, 05 Jan 2026 10:00:30 +9999", "Mon, 99 Foo 2026 10:00:30 GMT",
    "Thu, 01 Jan 0000 00:00:00 GMT", "2026-01-05T10:00:30Z", "Jan 5", ",,,,", "\xff\xfe",
)  # fmt: skip
_TYPES = (
    "text/html",
    "text/html; charset=utf-16",
    "application/xml",
    "",
    "application/json; charset=ebcdic",
    "\xff",
    "a" * 9_000,
)


# --- the whole answer


def cut_short(answer: Answer, random: Random) -> Answer:
    return replace(answer, body=answer.body[: random.randrange(max(len(answer.body), 1))])


def nothing_at_all(answer: Answer, random: Random) -> Answer:
    return replace(answer, body=random.choice((b"", b" ", b"\n", b"\0")))


def noise(answer: Answer, random: Random) -> Answer:
    return replace(answer, body=random.randbytes(random.choice((1, 7, 300, 5_000))))


def some_bytes_changed(answer: Answer, random: Random) -> Answer:
    body = bytearray(answer.body)
    for _ in range(random.randint(1, 5)):
        if body:
            body[random.randrange(len(body))] = random.randrange(256)
    return replace(answer, body=bytes(body))


def another_encoding(answer: Answer, random: Random) -> Answer:
    text = answer.body.decode(errors="replace")
    coding = random.choice(("utf-8-sig", "utf-16", "utf-16-le", "utf-32-be", "cp037", "utf-7"))
    return replace(answer, body=text.encode(coding, errors="replace"))


def bytes_that_are_no_text(answer: Answer, random: Random) -> Answer:
    at = random.randrange(len(answer.body) + 1)
    return replace(
        answer, body=answer.body[:at] + random.choice((b"\xff", b"\xc3", b"\xed\xa0\x80")) + answer.body[at:]
    )


def web_page(answer: Answer, random: Random) -> Answer:
    page = replace(answer, body=HTML)
    return page.said(content_type="text/html") if random.random() < 0.7 else page


def doubly_encoded(answer: Answer, random: Random) -> Answer:
    body = answer.body
    for _ in range(random.randint(2, 3)):
        body = json.dumps(body.decode(errors="replace")).encode()
    return replace(answer, body=body)


def twice_over(answer: Answer, random: Random) -> Answer:
    return replace(answer, body=answer.body + random.choice((b"", b"\n", b",")) + answer.body)


def deeply_nested(answer: Answer, random: Random) -> Answer:
    depth = random.choice((60, 300, 900, 5_000, 100_000))
    opening, closing = random.choice(((b"[", b"]"), (b'{"data":', b"}"), (b'{"message":[', b"]}")))
    return replace(answer, body=opening * depth + answer.body + closing * depth)


def another_root(answer: Answer, random: Random) -> Answer:
    return replace(
        answer, body=random.choice((b"null", b"true", b"0", b'"ok"', b"[]", b"[[]]", b"[null]", b"{}", b'""'))
    )


def huge(answer: Answer, random: Random) -> Answer:
    size = random.choice((5_000, 300_000))
    what = random.choice((b"9" * size, b'"' + b"x" * size + b'"', b"[" + b"0," * size + b"0]"))
    return replace(answer, body=random.choice((what, b'{"message":' + what + b"}", b'{"data":' + what + b"}")))


def no_number(answer: Answer, random: Random) -> Answer:
    """Write what Python reads as a number and JSON does not know."""
    word = random.choice((b"NaN", b"Infinity", b"-Infinity", b"1e999"))
    return replace(answer, body=answer.body.replace(random.choice((b"true", b"false", b'"', b"[]")), word, 1))


# --- what stands around it


def compressed(answer: Answer, random: Random) -> Answer:
    return replace(answer, body=gzip.compress(answer.body)).said(
        content_encoding=random.choice(("gzip", "br", "deflate", "identity"))
    )


def said_to_be_compressed(answer: Answer, random: Random) -> Answer:
    return answer.said(content_encoding=random.choice(("gzip", "deflate", "br", "zstd", "gzip, gzip", "\xff", "rot13")))


def said_to_be_another_type(answer: Answer, random: Random) -> Answer:
    return answer.said(content_type=random.choice(_TYPES))


def odd_headers(answer: Answer, random: Random) -> Answer:
    return answer.said(
        x_request_id=random.choice(("", "x" * 9_000, "\xff", "a b", "\x1b[31m")),
        content_length=random.choice(("0", "-1", "999999999999", "x")),
        date=random.choice(RETRY_AFTERS),
        retry_after=random.choice(RETRY_AFTERS),
        set_cookie="a=b",
        location="http://elsewhere.test/",
    )


def broken_host(answer: Answer, random: Random) -> Answer:
    return replace(answer, status=random.choice(_STATUSES_OF_A_BROKEN_HOST)).said(
        retry_after=random.choice(RETRY_AFTERS)
    )


def any_status(answer: Answer, random: Random) -> Answer:
    return replace(answer, status=random.choice(_ALL_STATUSES)).said(retry_after=random.choice(RETRY_AFTERS))


# --- one value in it


def _values(root: object) -> Iterator[Place]:
    children = root.items() if isinstance(root, dict) else enumerate(root) if isinstance(root, list) else ()
    for key, child in list(children):
        yield root, key
        yield from _values(child)


def _edited(
    answer: Answer, random: Random, edit: Callable[[Place, Random], None], may: Callable[[Place], bool]
) -> Answer:
    try:
        root = json.loads(answer.body)
    except (ValueError, RecursionError):  # it is no JSON any more
        return answer
    for _ in range(random.choice((1, 1, 1, 2, 5))):
        places = [place for place in _values(root) if may(place)]
        if places:
            edit(random.choice(places), random)
    return replace(answer, body=json.dumps(root).encode())


def _anywhere(_place: Place) -> bool:
    return True


def _set(values: Sequence[object]) -> Callable[[Place, Random], None]:
    def edit(place: Place, random: Random) -> None:
        container, key = place
        container[key] = deepcopy(random.choice(values))

    return edit


def _wrap(place: Place, random: Random) -> None:
    container, key = place
    container[key] = random.choice(([container[key]], {"data": container[key]}, {"value": container[key]}))


def _drop(place: Place, random: Random) -> None:
    container, key = place
    del container[key]


def _rename(place: Place, random: Random) -> None:
    container, key = place
    if isinstance(container, dict):
        container[random.choice((f"{key}s", key.upper(), f"_{key}", "", "\ud800", "__class__", "model_config"))] = (
            container.pop(key)
        )


def _double(place: Place, random: Random) -> None:
    container, key = place
    if isinstance(container, list):
        container.insert(random.randrange(len(container) + 1), deepcopy(container[key]))


def _swap_types(place: Place, random: Random) -> None:
    container, key = place
    value = container[key]
    container[key] = {str: [value], list: {"0": value}, dict: [value], bool: str(value), int: str(value)}.get(
        type(value), {}
    )


def one_value(edit: Callable[[Place, Random], None], may: Callable[[Place], bool] = _anywhere) -> Mutation:
    def mutation(answer: Answer, random: Random) -> Answer:
        return _edited(answer, random, edit, may)

    return mutation


def key_twice(answer: Answer, random: Random) -> Answer:
    """Write one key a second time, with another value: readers take the last one."""
    word = random.choice((b"null", b"{}", b"[]", b'""'))
    name = random.choice((b"userId", b"credentialId", b"installationId", b"data", b"oauthUrl"))
    return replace(answer, body=answer.body.rstrip()[:-1] + b',"' + name + b'":' + word + b"}")


_FORM = frozenset({"data", "formData", "fields", "name", "type", "required", "options", "displayName", "workflowId"})
_LISTS_THAT_SPEAK = frozenset({"data", "formData", "fields", "options", "properties"})
_FLAGS = frozenset({"installed", "active", "isOauth", "enabled", "required"})


def _is_no_lie_to_drop(place: Place) -> bool:
    """Leave rows in their lists, and out of forms what the reference calls optional."""
    container, key = place
    return isinstance(container, dict) and key not in _FORM


def _is_no_lie_to_break(place: Place) -> bool:
    """Leave alone what means something else when it is empty or true."""
    container, key = place
    return isinstance(container, dict) and key not in _LISTS_THAT_SPEAK | _FLAGS


_WHOLE: tuple[Mutation, ...] = (
    nothing_at_all, noise, another_encoding, bytes_that_are_no_text, web_page, doubly_encoded, twice_over,
    deeply_nested, huge, no_number, compressed, said_to_be_compressed, said_to_be_another_type, odd_headers,
)  # fmt: skip
ANYTHING: tuple[Mutation, ...] = (
    *_WHOLE, cut_short, some_bytes_changed, another_root, any_status, any_status, broken_host, key_twice,
    one_value(_set(_ILL_TYPED)), one_value(_set(_ILL_TYPED)), one_value(_set(_STRANGE)), one_value(_set(_STRANGE)),
    one_value(_wrap), one_value(_drop), one_value(_drop), one_value(_rename), one_value(_double),
    one_value(_swap_types),
)  # fmt: skip
UNMISTAKABLE: tuple[Mutation, ...] = (
    *_WHOLE, cut_short, broken_host,
    one_value(_set(_ILL_TYPED), _is_no_lie_to_break), one_value(_set(_ILL_TYPED), _is_no_lie_to_break),
    one_value(_drop, _is_no_lie_to_drop), one_value(_drop, _is_no_lie_to_drop),
    one_value(_rename, _is_no_lie_to_drop), one_value(_double),
)  # fmt: skip


def mangled(answer: Answer, random: Random, menu: Sequence[Mutation]) -> Answer:
    """Make ``answer`` wrong in one way, sometimes in two."""
    for _ in range(random.choice((1, 1, 1, 2))):
        answer = random.choice(menu)(answer, random)
    return answer
