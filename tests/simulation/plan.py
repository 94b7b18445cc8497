"""What a seed decides before anything happens: the vendor's habits, the customers, the workers, and how much bad luck.

Every knob of the local Alloy is turned in some seeds and left alone in others, so that each is met alone and together.
"""

from dataclasses import dataclass, replace
from random import Random
from typing import Any

from deployments.sandbox.faults import Fault, FaultKind
from deployments.sandbox.knobs import Knobs
from flows.settings import Dialect
from tests.simulation.catalogue import KLAVIYO, MAGENTO, NETSUITE, OFFERS, PAIRS, Offer

LONGEST_LAG_MS = 2500
"""Lists are believed when they have twice said, three seconds apart, that something is not there."""

KNOBS: dict[str, tuple[Any, ...]] = {
    "profile": ("seed", "strict"),
    "dialect_fields": ("2024-03", "2025-09", "mixed"),
    "installations_resource": (True, False),
    "credentials_route": ("both", "users", "credentials"),
    "reject_unknown": (False, True),
    "error_body": ("message", "empty", "html"),
    "dup_user": (409, 400, 422, 200),
    "shuffle_users": (False, True),
    "hidden_cap": (None, 1),
    "unknown": (404, 400),
    "allow_token_import": (False, True),
    "verify_secret": (False, True),
    "shuffle_credentials": (False, True),
    "visibility_lag_ms": (0, 400, LONGEST_LAG_MS, LONGEST_LAG_MS),
    "list_started": (True, False),
    "hidden_cap_installations": (None, 1),
    "dup_start": ("new", "existing", "409"),
    "recomplete": ("ok", "400", "409"),
    "regrant": ("new", "refresh"),
    "link_life_ms": (None, 20_000),
    "link_single_use": (False, True),
    "grant_lag_ms": (0, 400, LONGEST_LAG_MS),
    "auto": ("ignore", "grant", "deny"),
    "auto_after_ms": (0, 1500, 20_000),
    "auto_repeats": (False, True),
    "abandonment": (0.0, 0.5),
    "latency_ms": (0, 30, 200),
    "latency_after_ms": (0, 30),
    "rate_limit_per_s": (None, 5.0, 20.0),
    "rate_limit_burst": (1, 5),
    "retry_after": ("seconds", "date", "absent", "zero", "huge"),
    "fold_username_case": (False, True),
    "raw_key": ("profile", "accept", "refuse"),
}

_DISASTERS: tuple[FaultKind, ...] = (
    "err_before", "err_after", "drop_before", "drop_after", "truncate", "html", "empty", "429",
)  # fmt: skip
_LOSES_THE_ANSWER: tuple[FaultKind, ...] = ("err_after", "drop_after", "truncate", "empty")
_CHANGING = ("create_user", "create_credential", "start_installation", "complete_installation")
FAULT_KINDS: tuple[FaultKind, ...] = ("latency", *_DISASTERS, "slow_list", "auth_flip")


@dataclass(frozen=True)
class Person:
    """One customer as the list has them, and how they stand at Alloy already."""

    username: str
    full_name: str
    onboardings: tuple["Wish", ...]
    was_there: bool = False
    """The user exists at Alloy before us."""
    had_credential: bool = False
    """And has a credential for the first onboarding's app."""
    had_installation: bool = False
    """And has its integration installed."""
    barred: bool = False
    """May not install: Alloy refuses."""

    @property
    def connects_one_app_twice(self) -> bool:
        """Whether two consents are wanted on one app, with different properties."""
        asked = {(wish.offer.app, *wish.auth.values()) for wish in self.onboardings if wish.offer.is_oauth}
        return len(asked) > len({app for app, *_ in asked})


@dataclass(frozen=True)
class Wish:
    """One row of the list."""

    offer: Offer
    auth: dict[str, str]
    brings_answers: bool
    bad_secret: bool = False
    """Alloy will refuse the auth values, if it verifies them."""


@dataclass(frozen=True)
class Misfortunes:
    """How likely what goes wrong on our side is; each a chance at every occasion."""

    kill: float
    freeze: float
    late_call: float
    lost_commit: float
    locked: float
    stalled_store: float
    refused_connection: float
    stop: float
    skewed_seconds: float


@dataclass(frozen=True)
class Plan:
    """Everything that is drawn at the beginning."""

    seed: int
    knobs: Knobs
    dialect: Dialect
    workers: int
    lease_seconds: float
    concurrency: int
    rate: float | None
    whole_pages: bool
    """Whether pages take all that there is room for, and users are created together from two on."""
    people: tuple[Person, ...]
    faults: tuple[Fault, ...]
    misfortunes: Misfortunes
    failure_count: int | None
    """How many of the list may be refused before it is paused."""
    troubled_seconds: float
    """How long things go wrong; afterwards everything must come to an end."""


def draw_plan(seed: int) -> Plan:
    """Return what ``seed`` means."""
    random = Random(f"plan/{seed}")  # noqa: S311 - repeatable
    lease = random.choice((3.0, 5.0, 8.0))
    pages = Random(f"long pages/{seed}")  # noqa: S311 - repeatable
    whole_pages = pages.random() < 0.5
    people = tuple(_person(random, number) for number in range(random.choice((2, 3, 3, 4, 5))))
    return Plan(
        seed=seed,
        knobs=replace(_knobs(random, people), users_batch=pages.random() < 0.8),
        dialect=random.choice(("seed", "2024-03", "2025-09")),
        workers=random.choice((3, 3, 3, 4)),
        lease_seconds=lease,
        concurrency=random.choice((1, 2, 4)),
        rate=random.choice((None, 10.0, 40.0, 400.0)),
        whole_pages=whole_pages,
        people=people,
        faults=(*_faults(random, lease), *([_losing_many(pages, lease)] if whole_pages else [])),
        misfortunes=_misfortunes(random),
        failure_count=random.choice((None, None, 0, 1)),
        troubled_seconds=random.choice((10.0, 20.0, 40.0)),
    )


def _knobs(random: Random, people: tuple[Person, ...]) -> Knobs:
    turned = random.choice((0.0, 0.15, 0.4, 0.7))
    chosen = {name: random.choice(values) for name, values in KNOBS.items() if random.random() < turned}
    if any(person.connects_one_app_twice for person in people):
        # A consent that is given twice could not be told from the one for the other onboarding.
        chosen["auto"] = "ignore"
    return Knobs(**chosen, barred_users=tuple(person.username for person in people if person.barred))


def _person(random: Random, number: int) -> Person:
    letters = "".join(random.choice("abcdefgh") for _ in range(4))
    username = random.choice(("{}@example.test", "{}+shop@example.test", "{}/ö", "{} o'neil")).format(
        f"{letters}{number}"
    )
    was_there = random.random() < 0.2
    had_credential = was_there and random.random() < 0.6
    return Person(
        username=username,
        full_name=random.choice(("", f"Customer {number}")),
        onboardings=_onboardings(random, letters),
        was_there=was_there,
        had_credential=had_credential,
        had_installation=had_credential and random.random() < 0.3,
        barred=random.random() < 0.04,
    )


def _onboardings(random: Random, letters: str) -> tuple[Wish, ...]:
    if random.random() < 0.35:  # two on one app: with the same auth values, or with different ones
        pair = [OFFERS[one] for one in random.choice(PAIRS)]
        names = (letters, letters) if random.random() < 0.5 else (letters, f"{letters}2")
        return tuple(_wish(random, offer, name) for offer, name in zip(pair, names, strict=True))
    offers = random.sample(sorted(OFFERS), 2 if random.random() < 0.2 else 1)
    if random.random() < 0.4:
        offers = [random.choice((NETSUITE, MAGENTO, KLAVIYO))]
    return tuple(_wish(random, OFFERS[offer], letters) for offer in offers)


def _wish(random: Random, offer: Offer, letters: str) -> Wish:
    bad = not offer.is_oauth and random.random() < 0.05
    auth = {name: f"{'refused-' if bad else ''}{name}-{letters}" for name in offer.auth}
    return Wish(offer, auth, brings_answers=random.random() < 0.6, bad_secret=bad)


def _faults(random: Random, lease: float) -> tuple[Fault, ...]:
    """Draw faults for all calls, and a few that strike one kind of call hard."""
    amount = random.choice((0.0, 0.03, 0.08, 0.15))
    faults = [_fault(random, kind, lease, probability=amount * random.random()) for kind in FAULT_KINDS]
    for _ in range(random.choice((0, 1, 2, 3))):
        kind = random.choice(_LOSES_THE_ANSWER if random.random() < 0.6 else _DISASTERS)
        faults.append(_fault(random, kind, lease, route=random.choice(_CHANGING), probability=0.5, count=4))
    return tuple(faults)


def _losing_many(random: Random, lease: float) -> Fault:
    """Draw what befalls the call that creates many users at once."""
    kind = random.choice((*_LOSES_THE_ANSWER, *_DISASTERS))
    return _fault(random, kind, lease, route="create_users", probability=0.3, count=2)


def _fault(
    random: Random,
    kind: FaultKind,
    lease: float,
    *,
    probability: float,
    route: str | None = None,
    count: int | None = None,
) -> Fault:
    options: dict[str, Any] = {"kind": kind, "route": route, "probability": probability, "count": count}
    after = random.random() < 0.5
    match kind:
        case "latency":
            # Before its effect a call takes less than its deadline: Alloy does not do what was hung up long ago.
            longest = lease * 1000 * (2.0 if after else 0.4)
            options |= {"after_commit": after, "delay_ms": 0, "delay_max_ms": longest}
        case "slow_list":
            options |= {"delay_ms": random.choice((300, LONGEST_LAG_MS))}
        case "html":
            options |= {"after_commit": after}
        case "err_before" | "err_after":
            options |= {"status": random.choice((500, 502, 503, 504))}
        case "drop_before" | "drop_after":
            options |= {"reset": after}
        case "truncate":
            options |= {"full_length": after}
        case "429":
            forms = ("seconds", "date", "absent", "zero", "huge")
            options |= {"retry_after": random.choice(forms), "retry_after_s": random.choice((1, 4, 30))}
        case "auth_flip":
            options |= {"probability": probability / 10}
        case _:
            pass
    return Fault(**options)


def _misfortunes(random: Random) -> Misfortunes:
    amount = random.choice((0.0, 0.3, 1.0, 2.0))

    def chance(usual: float) -> float:
        return amount * usual * random.choice((0.0, 1.0, 2.0))

    return Misfortunes(
        kill=chance(0.008),
        freeze=chance(0.008),
        late_call=chance(0.02),
        lost_commit=chance(0.01),
        locked=chance(0.01),
        stalled_store=chance(0.01),
        refused_connection=chance(0.02),
        stop=chance(0.003),
        skewed_seconds=random.choice((0.0, 0.1, 0.4)),
    )
