"""What can go wrong between a client and the truth (alloy-api.md 14.5), chosen by route, count, user or chance.

A fault is data; the gateway carries it out. "Before" means that nothing has changed, "after" that it has and the
client does not learn it: the difference that exactly-once is about.
"""

from dataclasses import dataclass
from random import Random
from typing import Literal

from pydantic import ConfigDict

from deployments.sandbox.knobs import RetryAfter
from deployments.sandbox.routes import ROUTE_NAMES

FaultKind = Literal[
    "latency",  # wait before handling, or with `after_commit` before the answer
    "err_before",  # 5xx, nothing changed
    "err_after",  # 5xx, changed
    "drop_before",  # socket closed, nothing changed
    "drop_after",  # socket closed, changed
    "truncate",  # changed; the JSON is cut short
    "html",  # 502 with a page; nothing changed, or with `after_commit` changed
    "empty",  # changed; right status, no body
    "429",  # nothing changed
    "slow_list",  # reads show the state of `delay_ms` ago
    "auth_flip",  # the key is refused
]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One fault and when it strikes. What is not set matches everything."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    kind: FaultKind
    route: str | None = None
    """Endpoint name as in `routes.py` (`create_user`, `start_installation`, ...)."""
    user: str | None = None
    """Username or user id."""
    nth: int = 1
    """The first matching call that it may strike."""
    count: int | None = 1
    """How many calls it strikes before it is spent; None: no end."""
    probability: float = 1.0
    """Chance of striking a call, drawn from the sandbox's seed."""
    delay_ms: float = 0
    """`latency`: how long. `slow_list`: how stale."""
    delay_max_ms: float | None = None
    """`latency`: a random time between `delay_ms` and this."""
    after_commit: bool = False
    """`latency` and `html`: after the call took effect."""
    status: int | None = None
    """`err_before`, `err_after`: which 5xx; 503 before, 500 after."""
    retry_after: RetryAfter = "seconds"
    """`429`: the form of `Retry-After`."""
    retry_after_s: int = 1
    """`429`: its value, as seconds or as a date so far away."""
    reset: bool = False
    """`drop_before`, `drop_after`: RST instead of FIN."""
    full_length: bool = False
    """`truncate`: announce the whole length and close early, instead of a short but well-formed answer."""

    def __post_init__(self) -> None:
        if self.route is not None and self.route not in ROUTE_NAMES:
            # A misspelt route would never strike, and the test would pass for nothing.
            raise ValueError(f"No endpoint is called {self.route}")


@dataclass(slots=True)
class _Armed:
    fault: Fault
    random: Random
    seen: int = 0
    struck: int = 0


class FaultBook:
    """The faults that are set, and how often each has struck."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._armed: list[_Armed] = []
        self._added = 0

    def add(self, *faults: Fault) -> None:
        """Set faults. Where several of a kind would strike one call, the one that was set first does."""
        for fault in faults:
            self._added += 1
            self._armed.append(_Armed(fault, Random(f"{self._seed}/{self._added}")))  # noqa: S311 - repeatable

    def clear(self) -> None:
        """Take all faults out."""
        self._armed = []

    def struck(self) -> list[tuple[Fault, int]]:
        """Return every fault that is set and how often it has struck."""
        return [(one.fault, one.struck) for one in self._armed]

    def strikes(self, route: str, names: frozenset[str], *, is_read: bool) -> "Strikes":
        """Return the faults that strike this call. `names` are the username and id that it is about."""
        strikes = Strikes()
        for one in self._armed:
            fault = one.fault
            if fault.route not in (None, route) or (fault.user is not None and fault.user not in names):
                continue
            if fault.kind == "slow_list" and not is_read:
                continue
            one.seen += 1
            spent = fault.count is not None and one.struck >= fault.count
            if spent or one.seen < fault.nth or one.random.random() >= fault.probability:
                continue
            if strikes.take(fault, one.random):
                one.struck += 1
        return strikes


class Strikes:
    """The faults of one call: any delays, how stale reads are, and at most one disaster."""

    def __init__(self) -> None:
        self.delay_before = 0.0
        self.delay_after = 0.0
        self.stale_ms = 0
        self.disaster: Fault | None = None
        self.kinds: tuple[FaultKind, ...] = ()

    def take(self, fault: Fault, random: Random) -> bool:
        """Add a fault; return False for a second disaster, which stays in the book for another call."""
        if fault.kind == "latency":
            longest = fault.delay_ms if fault.delay_max_ms is None else fault.delay_max_ms
            delay = random.uniform(fault.delay_ms, longest)
            if fault.after_commit:
                self.delay_after += delay
            else:
                self.delay_before += delay
        elif fault.kind == "slow_list":
            self.stale_ms = max(self.stale_ms, int(fault.delay_ms))
        elif self.disaster is None:
            self.disaster = fault
        else:
            return False
        self.kinds = (*self.kinds, fault.kind)
        return True


class TokenBucket:
    """How many calls one key has left."""

    def __init__(self) -> None:
        self._tokens: float | None = None
        self._at = 0

    def wait_for_token(self, now: int, *, per_second: float, burst: int) -> float:
        """Take a token and return 0, or return the seconds until there is one."""
        tokens = float(burst) if self._tokens is None else self._tokens
        tokens = min(float(burst), tokens + (now - self._at) / 1000 * per_second)
        self._at = now
        if tokens >= 1:
            self._tokens = tokens - 1
            return 0.0
        self._tokens = tokens
        return (1 - tokens) / per_second
