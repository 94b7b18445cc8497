"""What comes in and what goes out, as plain values: a request as it was read, a reply and how its connection ends.

The gateway speaks these, so that whoever has no socket can be answered too; :mod:`deployments.sandbox.server` puts
them on the wire.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Ending = Literal["whole", "cut", "closed", "reset"]
"""`whole`: everything is sent. `cut`: the body is sent, though a longer one was announced, and the connection is
closed. `closed`, `reset`: the connection ends without a byte, by FIN or by RST."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request. Header names are matched as the mapping matches them, which ought to be in any case."""

    method: str
    segments: list[str]
    query: dict[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class Reply:
    """What is answered."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    ending: Ending = "whole"
