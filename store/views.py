"""The read side: counts, who waits for what, and one customer's whole story. Nothing here writes.

What operators look at is asked in plain SQL, in modules that import no SQLAlchemy (:mod:`store.read_only` says why);
all of it can be had from here by whoever has SQLAlchemy anyway.
"""

from sqlalchemy import Engine, func, select

from states.holds import HoldKind, Reason
from store.consent_links import Link, links
from store.engine import reading
from store.finding import NotFound, find_batch, find_customer
from store.leftovers import Leftover, leftovers
from store.models import CUSTOMER, HISTORY
from store.standing import Standing, Waiting, standing, waiting
from store.story import Event, IntentView, OnboardingStory, Story, story

__all__ = [
    "Event",
    "IntentView",
    "Leftover",
    "Link",
    "NotFound",
    "OnboardingStory",
    "Standing",
    "Story",
    "Waiting",
    "find_batch",
    "find_customer",
    "leftovers",
    "links",
    "retries_for",
    "some_alloy_user",
    "standing",
    "story",
    "waiting",
]


def some_alloy_user(engine: Engine) -> str | None:
    """Return the id of any user whom we know at Alloy, to ask the catalogue on behalf of."""
    with reading(engine) as connection:
        return connection.scalar(select(CUSTOMER.c.alloy_user_id).where(CUSTOMER.c.alloy_user_id.is_not(None)).limit(1))


def retries_for(engine: Engine, onboarding_id: int, reason: Reason, *, of_last: int) -> int:
    """Return how many of an onboarding's last so many retries were for ``reason``."""
    last = (
        select(HISTORY.c.reason)
        .where(HISTORY.c.onboarding_id == onboarding_id, HISTORY.c.hold == HoldKind.retry)
        .order_by(HISTORY.c.id.desc())
        .limit(of_last)
        .subquery()
    )
    with reading(engine) as connection:
        return connection.scalar(select(func.count()).select_from(last).where(last.c.reason == reason)) or 0
