"""What has to be true at the end of a journey, whatever happened on the way: at Alloy, in our records, on the disk."""

import base64
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import ceil
from pathlib import Path

from sqlalchemy import Engine, func, select

from deployments.sandbox.ledger import Ledger
from states.holds import HoldKind
from states.stage import Stage
from store.engine import make_engine, reading
from store.journal import Closing
from store.models import HISTORY, ONBOARDING
from store.views import standing, story
from tests.journeys.people import CONSENT_LINK, Person
from tests.journeys.processes import Ended

_LEFT_BEHIND = (Closing.leftover, Closing.late)


@contextmanager
def records(url: str) -> Iterator[Engine]:
    """Open the records of a command, from outside."""
    engine = make_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


def assert_exactly_once(ledger: Ledger, listed: Sequence[Person], url: str) -> None:
    """Hold Alloy's own book against the list: one of everything for everybody, and what is left over is listed."""
    number = len(listed)
    once = {one.key: 1 for one in listed}
    assert set(ledger.users_of) == {one.username for one in listed}
    assert (ledger.users, ledger.duplicate_user_creates) == (number, 0)
    assert (ledger.credentials, ledger.credentials_created, ledger.unused_credentials) == (number, number, 0)
    assert ledger.installations_completed == number
    assert {key: len(ids) for key, ids in ledger.completed.items()} == once
    assert {key: len(ids) for key, ids in ledger.enabled.items()} == once
    with records(url) as engine:
        where = standing(engine)
        assert (where.total, where.stages[Stage.completed]) == (number, number)
        for (username, integration_id), left in ledger.started.items():
            outcomes = [
                Counter(intent.outcome for intent in one.intents)
                for one in story(engine, username).onboardings
                if one.integration_id == integration_id
            ]
            listed_here = sum(outcome[kind] for outcome in outcomes for kind in _LEFT_BEHIND)
            assert listed_here >= len(left), f"{username}: {left} is left behind, and nobody is told"
        assert where.leftovers >= ledger.orphans
    assert leased(url) == 0


def assert_nobody_is_blamed(url: str) -> None:
    """Prove that no record is held for a failure, and that none is in the hands of a process that has ended."""
    with records(url) as engine:
        holds = standing(engine).holds
    assert (holds[HoldKind.operator], holds[HoldKind.retry]) == (0, 0)
    assert leased(url) == 0


def leased(url: str) -> int:
    """Count the records that are in somebody's hands."""
    with records(url) as engine, reading(engine) as connection:
        held = select(func.count()).select_from(ONBOARDING).where(ONBOARDING.c.lease_token.is_not(None))
        return connection.scalar(held) or 0


def workers(url: str) -> Counter[str]:
    """Count the moves that every process has made."""
    with records(url) as engine, reading(engine) as connection:
        moves = select(HISTORY.c.worker).where(HISTORY.c.trigger.is_not(None))
        return Counter(connection.scalars(moves))


def completed(url: str) -> int:
    """Count those who have come to the end."""
    with records(url) as engine:
        return standing(engine).stages[Stage.completed]


def secrets_in(*places: Path) -> list[str]:
    """Return where in the files and folders a secret stands, byte for byte or in base64."""
    files = [file for place in places for file in (place, *place.rglob("*")) if file.is_file()]
    contents = [(file, file.read_bytes()) for file in sorted(files)]
    assert any(b"@example.test" in content for _, content in contents), "this searches in the wrong place"
    return [f"{secret!r} in {file}" for file, content in contents for secret in _SECRETS if secret in content]


def assert_not_told(*ended: Ended) -> None:
    """Prove that a command has told no secret, and failed, if it did, in words of its own."""
    for one in ended:
        assert "canary" not in one.said
        assert CONSENT_LINK not in one.said
        assert "Traceback" not in one.said


def _in_base64(word: bytes) -> set[bytes]:
    """Return what a base64 text holds that holds the word somewhere: it depends on where a group of three begins."""
    found = set()
    for shift in range(3):
        text = base64.b64encode(b"\0" * shift + word)
        # Only what is made of the word alone: the first letters are made of what precedes it, too.
        found.add(text[ceil(shift * 8 / 6) : (shift + len(word)) * 8 // 6])
    return found


_SECRETS = (b"canary", CONSENT_LINK.encode(), *sorted(_in_base64(b"canary")))
