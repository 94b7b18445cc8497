"""What operators do happens at the time by the database's clock, whatever the clock of their own machine says."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import pytest
from sqlalchemy import Engine, select

from deployments.cli.exits import ExitCode
from states.holds import HoldKind, Reason
from states.stage import Stage
from store.engine import reading
from store.models import HISTORY, ONBOARDING
from tests.deployments.cli.conftest import Onboard

Put = Callable[..., None]

ADA = "ada@example.test"
MINUTE = timedelta(minutes=1)
REJECTED = {"stage": Stage.authed, "hold": HoldKind.operator, "reason": Reason.rejected, "sentence": "no"}


class AnHourAhead(datetime):
    """The machine's clock as a laptop may have it."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Any:
        return datetime.now(tz) + timedelta(hours=1)


@pytest.fixture
def database(home: object, database_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("ONBOARD_DATABASE_URL", database_url)
    return database_url


@pytest.fixture
def an_hour_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the clock by which the commands know the time, wherever one of them asks the machine."""
    for name, module in list(sys.modules.items()):
        if name.startswith("deployments.cli.") and getattr(module, "datetime", None) is datetime:
            monkeypatch.setattr(module, "datetime", AnHourAhead)


def leased_for(time: timedelta) -> dict[str, object]:
    return {"lease_token": "t", "lease_owner": "w", "lease_until": datetime.now(UTC) + time}


def only(engine: Engine) -> Any:
    with reading(engine) as connection:
        return connection.execute(select(ONBOARDING)).one()


on_a_server = pytest.mark.parametrize("database_kind", ["postgresql"])
"""Whoever shares a SQLite file shares its machine, and its clock."""


@on_a_server
@pytest.mark.usefixtures("an_hour_ahead")
def test_a_customer_in_a_workers_hands_is_not_erased(onboard: Onboard, put: Put, engine: Engine):
    put(ADA, **leased_for(MINUTE))
    ended = onboard("erase", ADA, "--yes")
    assert ended.code == ExitCode.bad_input
    assert "in hand" in ended.err
    assert only(engine).lease_token == "t"


@on_a_server
@pytest.mark.usefixtures("an_hour_ahead")
def test_cancelling_takes_no_worker_the_lease_that_it_has(onboard: Onboard, put: Put, engine: Engine):
    put(ADA, **leased_for(MINUTE))
    ended = onboard("cancel", "--username", ADA, "--yes")
    assert "1 of them is in a worker's hands" in ended.err
    assert (only(engine).hold, only(engine).lease_token) == (HoldKind.cancelled, "t")


@on_a_server
@pytest.mark.usefixtures("an_hour_ahead")
@pytest.mark.parametrize(
    ("words", "columns"),
    [
        (["answer", ADA, "channel=#orders"], {"stage": Stage.installing}),
        (["redrive", "--username", ADA, "--yes"], REJECTED),
        (["links", "--renew", ADA], {"stage": Stage.created, "link_issued_at": datetime(2026, 1, 1, tzinfo=UTC)}),
    ],
    ids=["answer", "redrive", "links"],
)
def test_whoever_is_let_go_is_due_now(
    words: list[str], columns: dict[str, object], onboard: Onboard, put: Put, engine: Engine
):
    put(ADA, **columns)
    assert onboard(*words).code == ExitCode.fine
    assert only(engine).due_at <= datetime.now(UTC) + MINUTE


@on_a_server
@pytest.mark.usefixtures("an_hour_ahead")
def test_an_age_is_counted_by_the_clock_of_the_database(onboard: Onboard, put: Put, engine: Engine):
    put(ADA, stage_since=datetime.now(UTC) - 50 * MINUTE)
    assert "Nobody" in onboard("cancel", "--older-than", "1h", "--yes").out


@pytest.mark.parametrize(
    ("words", "columns"),
    [
        (["answer", "--everyone", "channel=#orders"], {"stage": Stage.installing}),
        (["redrive", "--username", ADA], REJECTED),
        (["cancel", "--username", ADA], REJECTED),
    ],
    ids=["answer", "redrive", "cancel"],
)
def test_what_is_confirmed_is_done_at_the_time_of_the_confirmation(
    words: list[str],
    columns: dict[str, object],
    onboard: Onboard,
    put: Put,
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
):
    asks = {
        "hold": HoldKind.customer,
        "reason": Reason.awaiting_answer,
        "sentence": "no answer yet for channel (slack)",
        "form": [
            {
                "workflowId": "w",
                "blockId": "b",
                "app": "slack",
                "fields": [{"name": "channel", "type": "text", "required": True}],
            }
        ],
    }
    put(ADA, **{**(asks if words[0] == "answer" else {}), **columns})
    confirmed: list[datetime] = []

    def confirm() -> str:
        confirmed.append(datetime.now(UTC))
        return "y\n"

    monkeypatch.setattr("sys.stdin.readline", confirm, raising=False)
    assert onboard(*words).code == ExitCode.fine
    with reading(engine) as connection:
        [at] = connection.scalars(select(HISTORY.c.at)).all()
    assert at >= confirmed[0]
