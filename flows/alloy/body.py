"""A body read as JSON, so that whatever gets past this door can be kept, compared and shown.

Python reads more than JSON is: ``NaN``, numbers beyond every float, halves of surrogate pairs, nesting until the stack
ends. PostgreSQL takes none of these, nor a NUL in a text, and a group of records is written in one transaction, so one
such value would fail its neighbours. What is no JSON is refused; letters that no database takes are replaced, since
hosts do cut texts in the middle of an emoji.
"""

import json
import re
from collections.abc import Callable
from math import isfinite
from typing import NoReturn

from pydantic import JsonValue

MOST_NESTED = 64
"""Levels; the deepest answer that Alloy documents has eight."""
_UNFIT = re.compile("[\0\ud800-\udfff]")


Keep = Callable[[dict[str, JsonValue]], dict[str, JsonValue]]


class UnreadableAnswer(ValueError):
    """The answer is no JSON, or lacks what it must carry; the text never quotes it."""


def decode(content: bytes, keep: Keep | None = None) -> JsonValue:
    """Read a body as JSON, once more if it is a JSON text that holds JSON. Raises :class:`UnreadableAnswer`.

    ``keep`` is given every object as soon as it is read, and returns what is kept of it.
    """
    decoder = _DECODER if keep is None else _decoder(keep)
    try:
        text = content.decode(json.detect_encoding(content))
        answer: JsonValue = decoder.decode(text)
        escapes = "\\u" in text
        if isinstance(answer, str):
            text, escapes = answer, True
            answer = decoder.decode(text)
    except (ValueError, RecursionError):
        raise UnreadableAnswer("the answer is no JSON") from None
    # Only a text with this many brackets can be nested this deeply: most answers are not looked through.
    if text.count("[") + text.count("{") > MOST_NESTED and not _ends_within(answer, MOST_NESTED):
        raise UnreadableAnswer("the answer is nested too deeply")
    return _fit(answer) if escapes else answer


def _ends_within(answer: JsonValue, levels: int) -> bool:
    level: list[JsonValue] = [answer]
    for _ in range(levels):
        inner = [one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list)]
        level = [child for children in inner for child in children]
        if not level:
            return True
    return False


def _fit(value: JsonValue) -> JsonValue:
    """Replace the letters that no database takes."""
    if isinstance(value, str):
        return _UNFIT.sub("\ufffd", value)
    if isinstance(value, list):
        return [_fit(one) for one in value]
    if isinstance(value, dict):
        return {_UNFIT.sub("\ufffd", key): _fit(one) for key, one in value.items()}
    return value


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError("a number beyond every float")
    return number


def _no_json(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


def _decoder(keep: Keep | None) -> json.JSONDecoder:
    return json.JSONDecoder(object_hook=keep, parse_float=_finite, parse_constant=_no_json)


_DECODER = _decoder(None)
