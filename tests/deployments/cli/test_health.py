"""What status and show say of those who are held back through no fault of their own."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, insert, update

from deployments.cli.exits import ExitCode
from states.holds import HoldKind, Reason
from states.stage import Stage
from store.engine import make_engine, writing
from store.models import BATCH, QUARANTINE
from tests.deployments.cli.conftest import Onboard

Put = Callable[..., None]

REJECTED = {"hold": HoldKind.operator, "reason": Reason.rejected, "sentence": "refused"}


@contextmanager
def changing(url: str) -> Iterator[Connection]:
    engine = make_engine(url)
    with writing(engine) as connection:
        yield connection
    engine.dispose()


@pytest.fixture
def ill(put: Put, database: str) -> datetime:
    """One who was refused and two who are held back for that; returns when the next probes go."""
    soon = datetime.now(UTC) + timedelta(minutes=30)
    put("ada@example.test", stage=Stage.created, **REJECTED)
    for name in ("bo@example.test", "cy@example.test"):
        put(name, stage=Stage.created, due_at=soon)
    with changing(database) as connection:
        connection.execute(
            insert(QUARANTINE).values(
                integration="slack", names=["slack"], stage=Stage.created, reason=Reason.rejected,
                opened_at=datetime.now(UTC), probe_at=soon, held_until=soon, rounds=5, probes=[], probes_left=0,
            )
        )  # fmt: skip
    return soon


@pytest.fixture
def paused(put: Put, database: str) -> None:
    put("ada@example.test", stage=Stage.created, **REJECTED)
    put("bo@example.test", stage=Stage.created)
    with changing(database) as connection:
        connection.execute(update(BATCH).values(paused_at=datetime.now(UTC), paused_why="54% of the last 65 failed"))


def test_status_says_who_is_held_back_until_when_and_what_tries_them_at_once(onboard: Onboard, ill: datetime):
    shown = " ".join(onboard("status").out.split())

    assert "Held back: 2 of slack at created" in shown
    assert f"{ill:%Y-%m-%d %H:%M:%S} UTC" in shown
    assert "→ onboard redrive --integration slack --reason rejected" in shown
    assert "on the way" not in shown


def test_status_as_json_has_a_key_for_who_is_held_back_only_if_somebody_is(onboard: Onboard, ill: datetime):
    told = onboard("status", "--json").json

    assert list(told) == ["batch", "total", "stages", "holds", "reasons", "calls", "seconds", "quarantined"]
    [cohort] = told["quarantined"]
    assert cohort.pop("since")
    assert cohort == {
        "integration": "slack",
        "stage": "created",
        "reason": "rejected",
        "probe_at": ill.isoformat(),
        "held_back": 2,
    }


def test_show_says_that_somebody_is_held_back_for_the_others(onboard: Onboard, ill: datetime):
    shown = " ".join(onboard("show", "bo@example.test").out.split())

    assert "next: held back, since most of the last ones of slack at created were refused (rejected)" in shown
    assert "held back" in onboard("show", "bo@example.test", "--json").json["onboardings"][0]["held_back"]


def test_show_of_who_was_refused_speaks_of_that(onboard: Onboard, ill: datetime):
    assert "next: refused" in onboard("show", "ada@example.test").out


@pytest.mark.usefixtures("paused")
def test_status_says_why_a_batch_is_paused_and_what_lets_it_go_on(onboard: Onboard):
    shown = onboard("status").out

    assert "Paused: 1 of batch spring" in shown
    assert "54% of the last 65 failed" in shown
    assert "→ onboard resume --batch spring" in shown


@pytest.mark.usefixtures("paused")
def test_a_paused_batch_is_in_the_counts_as_json(onboard: Onboard):
    ended = onboard("status", "--batch", "spring", "--json")

    assert ended.code == ExitCode.fine
    [batch] = ended.json["paused"]
    assert (batch["batch"], batch["why"], batch["held_back"]) == ("spring", "54% of the last 65 failed", 1)


@pytest.mark.usefixtures("paused")
def test_show_says_that_a_batch_is_paused(onboard: Onboard):
    assert "next: its batch is paused" in onboard("show", "bo@example.test").out


@pytest.mark.usefixtures("ill")
def test_what_is_held_back_fits_into_80_columns(onboard: Onboard):
    shown = onboard("status").out

    assert max(len(line) for line in shown.splitlines() if "→" not in line and "onboard resume" not in line) <= 80
