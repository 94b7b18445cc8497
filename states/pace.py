"""How fast an account may be called: one value that all workers share, and what refusals and successes do to it.

A turn is a moment on one line of time that all workers have in common; whoever reserves turns moves the end of what is
reserved on. A call that starts at its turn, or shortly after, keeps the rate whoever else calls, and however many.

An unknown limit is found as congestion control finds what a line carries (after CUBIC): the rate doubles about each
second until the first refusal, and from then on the rate that was refused is remembered. It is approached from below,
stayed just under for about a minute, and passed only slowly: so little is lost, and few of a thousand calls are
refused. A refusal costs more than the one call, for most come with a ``Retry-After`` of a second that stops everybody.
"""

import math
from dataclasses import dataclass, replace

NEVER = -math.inf
"""A time that has long been: clocks may begin anywhere."""
FIRST_RATE = 2.0
"""Calls per second to begin with where nobody said what is allowed."""
CEILING = 1000.0
"""The rate found at which spacing calls is given up: it no longer changes anything."""
CATCH_UP = 0.125
"""So many seconds late may a turn be used: half of what is allowed, for networks bunch up too."""
LONGEST_BLOCK = 0.25
"""Seconds' worth of turns that a worker reserves at a time at most: so all take turns, and soon learn of a refusal."""
LONGEST_PAUSE = 60.0
"""One absurd ``Retry-After`` must not stop everybody for a day; a look once a minute is no flood."""
TRUSTED_FOR = 600.0
"""So many seconds without a call make what was learnt doubtful."""

_LOWEST_RATE = 0.1
_JUST_UNDER = 0.985
"""The share that is stayed at of the rate that was refused."""
_FALL = 0.04
"""So much lower than that does it begin after a refusal: what the API lets through at once has to fill up again."""
_STAY_SECONDS, _STAY_CALLS = 60.0, 200.0
"""How long is stayed; the longer of the two."""
_SURE, _AT_SEA = 3, -2
"""After so many refusals where one was expected is stayed for so long; before, for half of it at each one less."""
_HARDLY_ANY = 3.0
_OUTGROWN = 1.25
"""So far above the rate that was refused nothing is left of that limit, and another is searched for."""
_SEARCHING = math.log(2)
_SEARCHING_AGAIN = _SEARCHING / 10
_SAVED_UP = 0.1
"""So many seconds' worth of calls are reckoned to be let through above the rate after a pause: the sooner they are used
up, the further was the rate above what is allowed."""
_OVERSHOT, _OVERSHOT_AGAIN = 0.7, 0.8
"""What is left of the rate that a search ended at: answers come late, and a bucket may have been full."""
_AT_ONCE, _IN_VAIN = 0.8, 0.6
"""Likewise if the last refusal was a second or so ago, and if hardly a call has got through since."""


@dataclass(frozen=True, slots=True)
class Pace:
    """What is known of an account's limit, and up to when turns are reserved. Times are seconds of one common clock."""

    given: float | None = None
    """Calls per second that an operator allows; None: the limit is found by asking."""
    rate: float = FIRST_RATE
    """Calls per second at present, if the limit is found by asking."""
    refused_rate: float | None = None
    """The rate at which the limit was met last; None while one is searched for."""
    met: int = 0
    """How many refusals in a row came about where one was expected."""
    successes: float = 0.0
    """Calls since the last refusal that the rate had held up, and that were not refused."""
    epoch: int = 0
    """How often the rate was cut: tells which refusals are news."""
    next_at: float = NEVER
    """The first moment that is not reserved."""
    paused_until: float = NEVER
    seen_at: float = NEVER
    """When a turn was reserved last."""

    @property
    def limit(self) -> float | None:
        """Calls per second; None while they are not held up at all."""
        if self.given is not None:
            return self.given
        return None if self.rate >= CEILING else self.rate


@dataclass(frozen=True, slots=True)
class Block:
    """Turns that one worker has reserved: moments on the line of time, evenly spaced."""

    epoch: int
    limit: float | None
    """Calls per second; None: as many as are wanted, for the next :data:`LONGEST_BLOCK` seconds and as many again."""
    first_at: float
    number: int
    paused_until: float

    @property
    def late(self) -> float:
        """How many seconds after its moment a turn may be used."""
        # Where turns are less than a millisecond apart, nobody could space them.
        return LONGEST_BLOCK if self.limit is not None and self.limit > CEILING else CATCH_UP


@dataclass(frozen=True, slots=True)
class News:
    """What a worker has learnt since it told last."""

    epoch: int = 0
    """When the successes began: if there was a refusal meanwhile, they say nothing."""
    successes: int = 0
    refused_in: int | None = None
    """The epoch of the latest turn that was refused."""
    paused_until: float = NEVER


def exchanged(pace: Pace, news: News, wanted: int, now: float) -> tuple[Pace, Block]:
    """Take note of ``news`` and reserve up to ``wanted`` turns."""
    pace = _recalled(pace, now)
    if news.successes and news.epoch == pace.epoch:
        pace = succeeded(pace, news.successes)
    if news.paused_until > now:
        pace = paused(pace, news.paused_until, now)
    if news.refused_in is not None:
        pace = refused(pace, news.refused_in, now)
    return reserve(pace, wanted, now)


def reserve(pace: Pace, wanted: int, now: float) -> tuple[Pace, Block]:
    """Reserve up to ``wanted`` of the next turns; fewer the further ahead they are, so that nobody holds many."""
    limit = pace.limit
    # Of plenty a block is for what comes next, and nobody needs what was missed.
    plenty = limit is not None and limit > CEILING and wanted > 1
    first_at = max(pace.next_at, pace.paused_until, now if plenty else now - CATCH_UP)
    if limit is None or not wanted:
        number, spacing = 0, 0.0
    else:
        ahead = max(0.0, first_at - max(now, pace.paused_until))
        most = int(limit * LONGEST_BLOCK / (1 + ahead / LONGEST_BLOCK))
        number, spacing = min(wanted, max(1, most)), 1 / limit
    block = Block(pace.epoch, limit, first_at, number, pace.paused_until)
    if not wanted:
        return pace, block
    return replace(pace, next_at=first_at + number * spacing, seen_at=max(pace.seen_at, now)), block


def succeeded(pace: Pace, calls: int) -> Pace:
    """Learn that so many calls which the rate had held up were not refused."""
    if pace.given is not None or pace.rate >= CEILING:
        return pace
    if pace.refused_rate is None:
        return replace(pace, rate=pace.rate + calls * (_SEARCHING_AGAIN if pace.epoch else _SEARCHING))
    successes = pace.successes + calls
    rate = _rate_after_refusal(pace.refused_rate, pace.met, successes)
    if rate > _OUTGROWN * pace.refused_rate:
        return replace(pace, rate=rate, refused_rate=None, met=0, successes=0.0)
    return replace(pace, rate=rate, successes=successes)


def refused(pace: Pace, epoch: int, now: float) -> Pace:
    """Learn that a call was refused whose turn was of ``epoch``.

    Calls that were under way together are refused together, by whichever worker: only the first of them is news.
    """
    if pace.given is not None or epoch != pace.epoch:
        return pace
    rate = min(pace.rate, CEILING)
    met = pace.met
    if pace.refused_rate is None:
        rate *= _OVERSHOT_AGAIN if pace.epoch else _OVERSHOT
    elif pace.successes < _HARDLY_ANY:
        rate *= _IN_VAIN
        met = max(met - 1, _AT_SEA)
    elif pace.successes < max(rate, 10.0):
        rate *= _AT_ONCE
    else:
        rate /= 1 + _SAVED_UP * rate / pace.successes
        if pace.successes > _stay(pace.refused_rate, met) / 4:
            met = min(met + 1, _SURE)
    rate = max(rate, _LOWEST_RATE)
    lowered = _rate_after_refusal(rate, met, 0.0)
    # Whoever holds turns hears of this within the time of a block, and drops them; until then they are used.
    next_at = min(max(pace.next_at, now), now + LONGEST_BLOCK) + 1 / lowered
    pace = replace(pace, rate=lowered, refused_rate=rate, met=met, successes=0.0)
    return replace(pace, epoch=pace.epoch + 1, next_at=next_at)


def paused(pace: Pace, until: float, now: float) -> Pace:
    """Let nobody start until then (a minute at most); an earlier, longer pause stays."""
    return replace(pace, paused_until=max(pace.paused_until, min(until, now + LONGEST_PAUSE)))


def _rate_after_refusal(refused_rate: float, met: int, successes: float) -> float:
    """Rise to just under the rate that was refused, stay there, and pass it ever faster."""
    progress: float = successes / _stay(refused_rate, met) - 1
    return max(_JUST_UNDER * refused_rate * (1 + _FALL * progress * progress * progress), _LOWEST_RATE)


def _stay(refused_rate: float, met: int) -> float:
    """Return how many calls long it is stayed just under the rate that was refused."""
    # What was refused first is hardly ever the limit: it is closed in on in shorter rounds.
    return max(_STAY_CALLS, _STAY_SECONDS * refused_rate) / (1 << (_SURE - met))


def _recalled(pace: Pace, now: float) -> Pace:
    """Forget, carefully, what is too old, and what cannot be because the clock was set."""
    if max(pace.next_at, pace.paused_until) > now + 2 * LONGEST_PAUSE:
        pace = replace(pace, next_at=now, paused_until=min(pace.paused_until, now + LONGEST_PAUSE))
    if pace.seen_at > now + LONGEST_PAUSE:
        pace = replace(pace, seen_at=now)
    if pace.epoch and now - pace.seen_at > TRUSTED_FOR:
        half = max(min(pace.rate, CEILING) / 2, min(pace.rate, FIRST_RATE))
        pace = replace(pace, rate=half, refused_rate=None, met=0, successes=0.0, seen_at=now)
    return pace
