"""leftovers, and how often something was tried: what an operator sees of it."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, select

from deployments.cli.exits import ExitCode
from states.holds import HoldKind, Reason
from states.stage import Stage, Trigger
from store.engine import make_engine, writing
from store.journal import Closing
from store.models import Customer, Intent, Onboarding
from tests.deployments.cli.conftest import Onboard

Put = Callable[..., None]
STARTED = datetime(2026, 1, 5, 10, 0, tzinfo=UTC)


@pytest.fixture
def left_behind(put: Put, database: str) -> Callable[..., None]:
    """Put somebody on record who has an installation in use, and a call that ended otherwise, or is open."""

    def left_behind(username: str, outcome: Closing | None, evidence: dict[str, str] | None = None) -> None:
        stage = Stage.completed if outcome else Stage.authed
        put(username, stage=stage, installation_id="inst-used", integration_id="slack-id")
        engine = make_engine(database)
        with writing(engine) as connection:
            onboarding_id = connection.scalar(
                select(Onboarding.id)
                .join(Customer, Customer.id == Onboarding.customer_id)
                .where(Customer.username == username)
            )
            connection.execute(
                insert(Intent).values(
                    onboarding_id=onboarding_id, trigger=Trigger.start_installation, digest="", opened_at=STARTED,
                    settled_at=STARTED, closed_at=STARTED if outcome else None, outcome=outcome, evidence=evidence,
                )
            )  # fmt: skip
        engine.dispose()

    return left_behind


def test_leftovers_are_listed_with_what_is_known(onboard: Onboard, left_behind: Callable[..., None]):
    left_behind("ada@example.test", Closing.leftover)
    ended = onboard("leftovers", "--json")
    [left] = ended.json
    assert ended.code == ExitCode.fine
    assert list(left) == [
        "username", "alloy_user_id", "batch", "integration", "integration_id", "trigger", "called_at", "outcome",
        "installation_id", "credential_id", "evidence", "why",
    ]  # fmt: skip
    assert (left["username"], left["trigger"], left["outcome"]) == (
        "ada@example.test", "start_installation", "leftover",
    )  # fmt: skip
    shown = onboard("leftovers").out
    assert "ada@example.test · slack" in shown
    assert "2026-01-05 10:00:00 UTC" in shown
    assert "the installation in use: inst-used" in shown


def test_a_leftover_whose_answer_came_late_is_not_said_to_have_none(onboard: Onboard, left_behind: Callable[..., None]):
    left_behind("ada@example.test", Closing.leftover, {"installation_id": "inst-left"})
    [left] = onboard("leftovers", "--json").json
    assert left["why"] == "the answer came too late: the call had been given up by then"


def test_what_a_cancelled_record_may_have_left_is_listed_with_the_command_that_has_it_looked_up(
    onboard: Onboard, left_behind: Callable[..., None]
):
    left_behind("ada@example.test", None)
    onboard("cancel", "--username", "ada@example.test", "--yes")
    [left] = onboard("leftovers", "--json").json
    assert (left["outcome"], "nobody looks for it" in left["why"]) == (None, True)
    shown = onboard("leftovers").out
    assert "`onboard redrive --hold cancelled`" in " ".join(shown.split())
    assert "1 suspected leftover" in onboard("status").out


def test_the_id_of_a_late_answer_is_shown(onboard: Onboard, left_behind: Callable[..., None]):
    left_behind("ada@example.test", Closing.late, {"installation_id": "inst-left", "form": "[]"})
    assert "the late answer's installation_id: inst-left" in onboard("leftovers").out


@pytest.mark.parametrize("outcome", [Closing.answered, Closing.found, Closing.nothing, Closing.absent])
def test_what_ended_for_certain_is_no_leftover(outcome: Closing, onboard: Onboard, left_behind: Callable[..., None]):
    left_behind("ada@example.test", outcome)
    assert onboard("leftovers", "--json").json == []


def test_leftovers_of_another_batch_are_not_listed(onboard: Onboard, left_behind: Callable[..., None]):
    left_behind("ada@example.test", Closing.leftover)
    assert len(onboard("leftovers", "--batch", "spring", "--json").json) == 1
    assert onboard("leftovers", "--batch", "none", "--json").code == ExitCode.bad_input


def test_status_counts_leftovers_and_names_the_command_that_lists_them(
    onboard: Onboard, left_behind: Callable[..., None]
):
    left_behind("ada@example.test", Closing.leftover)
    shown = onboard("status").out
    assert "1 suspected leftover" in shown
    assert "onboard leftovers" in shown


RETRY = {
    "stage": Stage.authed,
    "hold": HoldKind.retry,
    "reason": Reason.refused_for_now,
    "sentence": "it was answered 503; tried again by itself",
    "attempts": 7,
}


def test_show_tells_how_often_it_was_tried_and_when_next(onboard: Onboard, put: Put):
    due = datetime.now(UTC) + timedelta(hours=5)
    put("ada@example.test", **RETRY, due_at=due)
    [shown] = onboard("show", "ada@example.test", "--json").json["onboardings"]
    assert (shown["attempts"], shown["due_at"]) == (7, due.isoformat())
    text = onboard("show", "ada@example.test").out
    assert "7 attempts of 40 failed" in text
    assert f"({due:%Y-%m-%d %H:%M:%S} UTC)" in text


def test_status_tells_how_often_it_was_tried_and_when_next(onboard: Onboard, put: Put):
    due = datetime.now(UTC) + timedelta(hours=5)
    put("ada@example.test", **RETRY, due_at=due)
    shown = onboard("status").out
    assert re.search(r"7 of 40  in (5 h|299 min)", shown)
    assert max(len(line) for line in shown.splitlines() if "resume" not in line) <= 80


def test_whoever_waits_for_a_person_is_not_said_to_have_failed(onboard: Onboard, put: Put):
    put("ada@example.test", **{**RETRY, "hold": HoldKind.customer, "reason": Reason.awaiting_consent})
    assert "failed" not in onboard("show", "ada@example.test").out + onboard("status").out
