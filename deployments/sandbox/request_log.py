"""What was asked, and how it ended: enough to count calls, nothing that is secret.

No bodies, no query values, no keys, no links: a record names the endpoint, the user and the status.
"""

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True)
class RequestRecord:
    """One request."""

    number: int
    at: int
    method: str
    route: str | None = None
    """Endpoint name; None if there is no such route."""
    template: str | None = None
    key: str | None = None
    """`dev` or `prod`; None if the key was refused."""
    user: str | None = None
    """Username, else id, of the user that it is about."""
    status: int | None = None
    """The status that was sent; None if the socket was closed or the call is under way."""
    committed: bool = False
    """Whether an endpoint ran to its end."""
    faults: tuple[str, ...] = ()
    warnings: list[str] = field(default_factory=list)
    request_id: str = ""


class RequestLog:
    """The latest requests, and counts of all of them."""

    def __init__(self, size: int) -> None:
        self._records: deque[RequestRecord] = deque(maxlen=size)
        self.total = 0
        self.by_route: Counter[str] = Counter()
        self.in_flight = 0
        self.peak_in_flight = 0

    def __iter__(self) -> Iterator[RequestRecord]:
        return iter(list(self._records))

    def __len__(self) -> int:
        return len(self._records)

    def begin(self, method: str, now: int) -> RequestRecord:
        """Open the record of a request."""
        self.total += 1
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        record = RequestRecord(number=self.total, at=now, method=method, request_id=f"req-{self.total:08x}")
        self._records.append(record)
        return record

    def end(self) -> None:
        """Note that a request is no longer in flight."""
        self.in_flight -= 1

    def of(self, route: str, user: str | None = None) -> list[RequestRecord]:
        """Return the kept records of an endpoint, and perhaps only those about one user."""
        return [one for one in self if one.route == route and user in (None, one.user)]

    def clear(self) -> None:
        """Forget all records and counts."""
        self._records.clear()
        self.total = 0
        self.by_route.clear()
        self.peak_in_flight = self.in_flight
