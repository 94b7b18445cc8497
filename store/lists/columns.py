"""What the columns of a list are called: which of them we know, and which only nearly.

A column that nobody knows is carried along for the export. One that was nearly meant is a fault instead: an
``auth_apiKey`` carried along would be a secret kept in the clear.
"""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import NamedTuple

REQUIRED = ("username", "integration")
_LONGEST = 255
_KNOWN = {"username": "username", "fullname": "full_name", "integration": "integration"}
_PREFIXED = re.compile(r"(auth|map)\s*\.\s*(.*)", re.IGNORECASE | re.DOTALL)
_NEARLY_PREFIXED = re.compile(r"(auth|map)\s*[\s_:/-]\s*(.+)", re.IGNORECASE | re.DOTALL)
_SECRET = frozenset(
    {
        *("password", "passwd", "passphrase", "secret", "token", "apikey", "apitoken", "apisecret", "accesstoken"),
        *("refreshtoken", "clientsecret", "consumersecret", "tokensecret", "privatekey", "secretkey", "credentials"),
    }
)


class ColumnFault(NamedTuple):
    """A column that cannot be used as it is called."""

    column: str
    fault: str
    remedy: str


def recognise(names: Sequence[str]) -> tuple[list[str], list[ColumnFault]]:
    """Return what the columns ``names`` are to be called, in order, and everything that is wrong with them.

    Case, spaces, hyphens and underscores do not matter in the names that we know. "" is a column without a name.
    """
    columns: list[str] = []
    faults: list[ColumnFault] = []
    for name in names:
        column, fault = _recognise(name.strip())
        if fault is None and column and column in columns:
            fault = ColumnFault(column, "stands in the list twice", "take one of the two out, or rename it")
        columns.append(column)
        if fault is not None:
            faults.append(fault)
    return columns, faults + _absent(columns)


def _recognise(name: str) -> tuple[str, ColumnFault | None]:
    if len(name) > _LONGEST:
        shown = f"{name[:40]}…"
        return shown, ColumnFault(shown, f"the column's name has more than {_LONGEST} characters", "shorten it")
    squeezed = _squeeze(name)
    if squeezed in _KNOWN:
        return _KNOWN[squeezed], None
    if prefixed := _PREFIXED.fullmatch(name):
        kind, rest = prefixed[1].lower(), prefixed[2].strip()
        if not rest:
            return name, ColumnFault(name, f"says {kind}, and not of what", f"name it {kind}.NAME")
        return f"{kind}.{rest}", None
    if nearly := _NEARLY_PREFIXED.fullmatch(name):
        meant = f"{nearly[1].lower()}.{nearly[2]}"
        return name, ColumnFault(name, "is not a column we know", f"rename it to {meant}, or to something else")
    if squeezed in ("auth", "map"):
        return name, ColumnFault(name, f"says {squeezed}, and not of what", f"name it {squeezed}.NAME")
    if squeezed in _SECRET:
        return name, ColumnFault(
            name, "looks like a secret, and would be kept in the clear", "rename it to auth.PROPERTY, or take it out"
        )
    return name, None


def _absent(columns: Sequence[str]) -> list[ColumnFault]:
    faults: list[ColumnFault] = []
    others = {_squeeze(column): column for column in columns if column and column not in _KNOWN.values()}
    for squeezed, known in _KNOWN.items():
        if known in columns:
            continue
        close = get_close_matches(squeezed, others, n=1, cutoff=0.8)
        if close and known not in REQUIRED:
            near = others[close[0]]
            faults.append(ColumnFault(near, "is not a column we know", f"did you mean {known}? rename it"))
        elif known in REQUIRED:
            hint = (
                f"did you mean it by {others[close[0]]!r}? rename that"
                if close
                else f"add it; there is {_list(columns)}"
            )
            faults.append(ColumnFault(known, "the column is missing", hint))
    return faults


def _list(columns: Sequence[str]) -> str:
    named = [column for column in columns if column]
    return ", ".join(named[:8]) + (" …" if len(named) > 8 else "") if named else "no column at all"


def _squeeze(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).casefold()
