"""What a failed call means, as one table: how it failed → what to do, and what it may have done at Alloy.

::

    not sent        refused, no such name, TLS       Transient, nothing happened (Halted if nothing ever answered)
    slowed down     429                              Transient, nothing happened, pace is told
    lost            any other transport error        Transient; of a POST the outcome is unknown
    broken          408, every 5xx                   Transient; of a POST the outcome is unknown
    unreadable      a 2xx without what it must hold  Transient; of a POST the outcome is unknown
    refused         every other 4xx                  Rejected, with its status
    barred          401, 403, every 3xx, no JSON     Halted
"""

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Literal
from urllib.parse import quote, quote_plus

from pydantic import JsonValue, SecretStr

from flows.alloy.body import Keep, UnreadableAnswer, decode
from states.failures import Effect, Failure, Halted, Rejected, Transient
from states.holds import Reason


@dataclass(frozen=True, slots=True)
class Call:
    """One request, apart from key and host. ``template`` is its path without ids, for texts; ``secrets`` never show.

    ``keep`` returns what is wanted of an object of the answer, where an answer may be too long to be kept.
    """

    method: Literal["GET", "POST"]
    template: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: JsonValue = None
    secrets: tuple[str, ...] = ()
    everywhere: bool = False
    keep: Keep | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.template}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One row of the table. A call that only reads has no effect and its own reason."""

    failure: type[Failure]
    reading: Reason
    writing: Reason
    effect: Effect = Effect.nothing
    advice: str = ""


NOT_SENT = Verdict(Transient, Reason.unreachable, Reason.unreachable)
SLOWED = Verdict(Transient, Reason.rate_limited, Reason.rate_limited)
LOST = Verdict(Transient, Reason.unreachable, Reason.unknown_outcome, Effect.unknown)
BROKEN = Verdict(Transient, Reason.refused_for_now, Reason.unknown_outcome, Effect.unknown)
UNREADABLE = Verdict(Transient, Reason.unreadable_answer, Reason.unreadable_answer, Effect.unknown)
REFUSED = Verdict(Rejected, Reason.rejected, Reason.rejected)
UNAUTHORIZED = Verdict(Halted, Reason.unauthorized, Reason.unauthorized, advice="check ALLOY_API_KEY")
FORBIDDEN = Verdict(Halted, Reason.forbidden, Reason.forbidden, advice="check what ALLOY_API_KEY may do")
WRONG_HOST = Verdict(Halted, Reason.wrong_host, Reason.wrong_host, advice="check ALLOY_BASE_URL")

BY_STATUS: dict[int, Verdict] = {
    401: UNAUTHORIZED,
    403: FORBIDDEN,
    407: WRONG_HOST,
    408: BROKEN,
    421: WRONG_HOST,
    429: SLOWED,
}
BY_STATUS_CLASS: dict[int, Verdict] = {2: UNREADABLE, 3: WRONG_HOST, 4: REFUSED, 5: BROKEN}

BY_EXCEPTION: dict[str, Verdict] = {
    "HTTPError": LOST,
    "RequestError": LOST,
    "TransportError": LOST,
    "TimeoutException": LOST,
    "ConnectTimeout": NOT_SENT,
    "ReadTimeout": LOST,
    "WriteTimeout": LOST,
    "PoolTimeout": NOT_SENT,
    "NetworkError": LOST,
    "ConnectError": NOT_SENT,
    "ReadError": LOST,
    "WriteError": LOST,
    "CloseError": LOST,
    "ProtocolError": LOST,
    "LocalProtocolError": LOST,
    "RemoteProtocolError": LOST,
    "ProxyError": LOST,
    "UnsupportedProtocol": WRONG_HOST,
    "DecodingError": UNREADABLE,
    "TooManyRedirects": WRONG_HOST,
    "HTTPStatusError": LOST,
    "InvalidURL": REFUSED,
    "CookieConflict": LOST,
    "StreamError": LOST,
    "StreamConsumed": LOST,
    "StreamClosed": LOST,
    "ResponseNotRead": LOST,
    "RequestNotRead": LOST,
}
"""By the names of httpx's exceptions, since one module alone imports httpx; a test holds the two lists equal."""

_SAID = {
    NOT_SENT: "was not sent",
    LOST: "got no answer",
    UNREADABLE: "got an answer that cannot be read",
    WRONG_HOST: "cannot be sent to this host",
    REFUSED: "cannot be sent",
}


def lost(call: Call, exception: str, detail: str = "") -> Failure:
    """Judge a call that ended in the httpx exception of this name. ``detail`` must be free of secrets."""
    verdict = BY_EXCEPTION.get(exception, LOST)
    because = f"{exception}: {detail}" if detail else exception
    return judged(call, verdict, f"{_SAID[verdict]} ({because})")


def refused(call: Call, status: int, headers: Mapping[str, str], content: bytes, key: SecretStr) -> Failure:
    """Judge a call that was answered with this status."""
    hidden = (*call.secrets, *_MASKED.get(), key.get_secret_value())
    request_id = headers.get("x-request-id", "")
    # An id, not a text: anything else in this header is none of ours to repeat.
    known_as = f" (request {masked(request_id, hidden)})" if re.fullmatch(r"[\w.:-]{1,64}", request_id) else ""
    message = _message(content, hidden)
    return judged(
        call,
        BY_STATUS.get(status) or BY_STATUS_CLASS.get(status // 100, BROKEN),
        f"was answered {status}{known_as}" + (f": {message}" if message else ""),
        status=status,
        retry_after=parse_retry_after(headers.get("retry-after", ""), _now_at_alloy(headers)),
    )


def unreadable(call: Call, what: str) -> Failure:
    """Judge a call that was answered with a 2xx that does not hold what it must hold."""
    return judged(call, UNREADABLE, f"got an answer that cannot be read: {what}")


def judged(
    call: Call, verdict: Verdict, said: str, *, status: int | None = None, retry_after: timedelta | None = None
) -> Failure:
    """Make the failure that ``verdict`` names, for a call of this kind."""
    reads = call.method == "GET"
    reason = verdict.reading if reads else verdict.writing
    sentence = f"{call} {said}" + (f"; {verdict.advice}" if verdict.advice else "")
    if verdict.failure is Transient:
        effect = Effect.nothing if reads else verdict.effect
        return Transient(reason, sentence, effect=effect, retry_after=retry_after)
    if verdict.failure is Rejected:
        return Rejected(reason, sentence, status=status)
    return Halted(reason, sentence)


def parse_retry_after(header: str, now: datetime) -> timedelta | None:
    """Read ``Retry-After``, as seconds or as a date; nonsense counts as absent, and more than a day as a day."""
    text = header.strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        return timedelta(seconds=min(float(text), _DAY))
    until = _parse_date(text)
    if until is None:
        return None
    return timedelta(seconds=min(max((until - now).total_seconds(), 0.0), _DAY))


def _now_at_alloy(headers: Mapping[str, str]) -> datetime:
    """Return the time of the clock that a date in ``Retry-After`` was read from: ours may be wrong by an hour."""
    here, there = datetime.now(UTC), _parse_date(headers.get("date", ""))
    return there if there is not None and abs((there - here).total_seconds()) < _DAY else here


def _parse_date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (ArithmeticError, LookupError, TypeError, ValueError):  # its parser meets nonsense in many ways
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


_DAY = 86_400.0
_SHOWN = 200
_READ = 4000
_RECOGNISED = 8
"""So many characters of a secret in a row are taken for the secret: vendors cut what they echo."""
_MASKED: ContextVar[tuple[str, ...]] = ContextVar("masked", default=())


@contextmanager
def masking(values: Iterable[SecretStr | str]) -> Iterator[None]:
    """Keep these values out of the error texts of every call made inside the block, by this task."""
    plain = (value.get_secret_value() if isinstance(value, SecretStr) else value for value in values)
    token = _MASKED.set((*_MASKED.get(), *plain))
    try:
        yield
    finally:
        _MASKED.reset(token)


def masked(text: str, secrets: Iterable[str]) -> str:
    """Blank every secret out of ``text``: plain, cut, in another case, or as URL, JSON, HTML or base64 spell it."""
    pieces: set[str] = set()
    for secret in secrets:
        for spelling in map(_folded, _spellings(secret)):
            size = min(len(spelling), _RECOGNISED)
            pieces.update(spelling[at : at + size] for at in range(len(spelling) - size + 1) if size)
    folded = _folded(text)
    hidden = bytearray(len(text))
    for size in {len(piece) for piece in pieces}:
        for at in range(len(text) - size + 1):
            if folded[at : at + size] in pieces:
                hidden[at : at + size] = b"\1" * size
    shown = "".join("\0" if hide else letter for letter, hide in zip(text, hidden, strict=True))
    return re.sub("\0+", "***", shown)


def _spellings(secret: str) -> set[str]:
    """List how a value may come back; white space counts as one blank, as it does in the text."""
    encoded = base64.b64encode(secret.encode(errors="replace")).decode().rstrip("=")
    escaped = json.dumps(secret)[1:-1]
    url = quote(secret, safe="", errors="replace")
    spellings = {secret, url, quote_plus(secret, errors="replace"), escaped, html.escape(secret), encoded}
    return {" ".join(spelling.split()) for spelling in spellings}


def _folded(text: str) -> str:
    """Lower the case letter by letter, so that positions stay the same."""
    return "".join(low if len(low := letter.lower()) == 1 else letter for letter in text)


def _message(content: bytes, hidden: Iterable[str]) -> str:
    """Find the vendor's own words in a body, and make them fit to be shown; nothing else of a body ever is."""
    try:
        words = _words(decode(content))
    except UnreadableAnswer:
        return ""
    one_line = " ".join(words[:_READ].replace("\ufffd", " ").split())
    # What a vendor calls a URL carries what we sent in its query.
    known = masked(re.sub(r"\?\S*=\S*", "?…", one_line), hidden)
    # Afterwards, for a secret may hold such letters too.
    shown = "".join(letter if letter.isprintable() else "\ufffd" for letter in known)
    return shown if len(shown) <= _SHOWN else shown[: _SHOWN - 1] + "…"


def _words(body: JsonValue) -> str:
    if isinstance(body, str):
        return body
    if isinstance(body, list):
        return ", ".join(filter(None, map(_words, body)))
    if isinstance(body, dict):
        return next((found for key in ("message", "error", "errors", "detail") if (found := _words(body.get(key)))), "")
    return ""
