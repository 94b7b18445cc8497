"""cancel and erase: what they say first, what they do, and what they leave alone."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, select

from deployments.cli.exits import ExitCode
from states.holds import HoldKind, Reason
from states.stage import Stage, Trigger
from store.engine import make_engine, reading, writing
from store.models import CUSTOMER, INTENT, ONBOARDING
from tests.deployments.cli.conftest import Onboard

Put = Callable[..., None]

ADA, BO, CLEO = "ada@example.test", "bo@example.test", "cleo@example.test"


@pytest.fixture
def three(put: Put) -> None:
    """One who waits, one who is under way, and one who is completed."""
    put(
        ADA,
        stage=Stage.created,
        hold=HoldKind.customer,
        reason=Reason.awaiting_consent,
        sentence="no consent yet",
        stage_since=datetime.now(UTC) - timedelta(days=40),
    )
    put(BO, stage=Stage.authed, integration="netsuite", integration_key="netsuite")
    put(CLEO, stage=Stage.completed)


def cancelled(database: str) -> list[str]:
    engine = make_engine(database)
    with reading(engine) as connection:
        names = list(
            connection.scalars(
                select(CUSTOMER.c.username)
                .join(ONBOARDING, ONBOARDING.c.customer_id == CUSTOMER.c.id)
                .where(ONBOARDING.c.hold == HoldKind.cancelled)
                .order_by(CUSTOMER.c.id)
            )
        )
    engine.dispose()
    return names


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    ("words", "ended"),
    [
        (["--batch", "spring"], [ADA, BO]),
        (["--username", BO], [BO]),
        (["--stage", "created"], [ADA]),
        (["--hold", "customer"], [ADA]),
        (["--reason", "awaiting_consent"], [ADA]),
        (["--integration", "NetSuite"], [BO]),
        (["--older-than", "30d"], [ADA]),
        (["--older-than", "2w", "--stage", "authed"], []),
        (["--stage", "completed"], []),
    ],
    ids=" ".join,
)
def test_those_who_are_chosen_are_cancelled(words: list[str], ended: list[str], onboard: Onboard, database: str):
    assert onboard("cancel", *words, "--yes").code == ExitCode.fine
    assert cancelled(database) == ended


@pytest.mark.usefixtures("three")
def test_cancel_says_first_whom_it_would_end_and_does_nothing_unconfirmed(
    onboard: Onboard, database: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("sys.stdin.readline", lambda: "", raising=False)
    ended = onboard("cancel", "--batch", "spring")
    assert ended.code == ExitCode.bad_input
    assert "2 onboardings would be cancelled" in ended.err
    assert "1 created, 1 authed" in ended.err
    assert cancelled(database) == []


@pytest.mark.usefixtures("three")
def test_cancel_says_who_is_in_a_workers_hands(onboard: Onboard, put: Put):
    put("dan@example.test", lease_token="t", lease_owner="w", lease_until=datetime.now(UTC) + timedelta(minutes=1))
    assert "1 of them is in a worker's hands" in onboard("cancel", "--stage", "new", "--yes").err


@pytest.mark.usefixtures("three")
def test_cancel_as_json_without_yes_only_looks(onboard: Onboard, database: str):
    assert onboard("cancel", "--batch", "spring", "--json").json == {
        "verb": "cancel",
        "total": 2,
        "stages": {"created": 1, "authed": 1},
        "holds": {"customer": 1},
        "in_hand": 0,
        "done": None,
    }
    assert cancelled(database) == []


@pytest.mark.usefixtures("three")
def test_cancel_as_json_with_yes_says_how_many_were_ended(onboard: Onboard, database: str):
    assert onboard("cancel", "--batch", "spring", "--json", "--yes").json["done"] == 2
    assert cancelled(database) == [ADA, BO]


@pytest.mark.usefixtures("three")
def test_nobody_to_cancel_is_said(onboard: Onboard):
    assert "Nobody" in onboard("cancel", "--username", CLEO).out
    assert onboard("cancel", "--username", CLEO, "--json", "--yes").json["done"] == 0


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    "words", [[], ["--older-than", "soon"], ["--older-than", "-3d"], ["--batch", "none"], ["--username", "nobody"]]
)
def test_a_choice_that_is_none_is_bad_input(words: list[str], onboard: Onboard):
    assert onboard("cancel", *words, "--yes").code == ExitCode.bad_input


@pytest.mark.usefixtures("three")
def test_redrive_leaves_the_cancelled_alone_and_says_how_to_name_them(onboard: Onboard, database: str):
    onboard("cancel", "--batch", "spring", "--yes")
    ended = onboard("redrive", "--batch", "spring", "--yes")
    assert "2 onboardings that match were cancelled; --hold cancelled" in ended.out
    assert cancelled(database) == [ADA, BO]


@pytest.mark.usefixtures("three")
def test_redrive_of_the_cancelled_takes_it_back(onboard: Onboard, database: str):
    onboard("cancel", "--batch", "spring", "--yes")
    assert onboard("redrive", "--hold", "cancelled", "--username", ADA, "--yes", "--json").json["done"] == 1
    assert cancelled(database) == [BO]


@pytest.mark.usefixtures("three")
def test_an_answer_for_who_was_cancelled_is_refused(onboard: Onboard):
    onboard("cancel", "--batch", "spring", "--yes")
    assert onboard("answer", ADA, "channel=#orders").code == ExitCode.bad_input


@pytest.mark.usefixtures("three")
def test_status_counts_the_cancelled_and_needs_nobody_for_them(onboard: Onboard):
    onboard("cancel", "--batch", "spring", "--yes")
    assert onboard("status", "--json").json["holds"]["cancelled"] == 2
    assert "Cancelled: 2 cancelled" in onboard("status").out


def at_alloy(put: Put, database: str) -> None:
    """Put a customer on record of whom there is something of everything at Alloy."""
    put(ADA, stage=Stage.installing, credential_id="cred-1", installation_id="inst-1")
    engine = make_engine(database)
    now = datetime.now(UTC)
    with writing(engine) as connection:
        connection.execute(CUSTOMER.update().values(alloy_user_id="user-1"))
        connection.execute(
            insert(INTENT).values(
                onboarding_id=1, trigger=Trigger.start_installation, digest="", opened_at=now, settled_at=now
            )
        )
    engine.dispose()


def test_erase_says_first_what_goes_and_what_stays_at_alloy(
    onboard: Onboard, put: Put, database: str, monkeypatch: pytest.MonkeyPatch
):
    at_alloy(put, database)
    monkeypatch.setattr("sys.stdin.readline", lambda: "", raising=False)
    ended = onboard("erase", ADA)
    assert ended.code == ExitCode.bad_input
    for told in ("1 onboarding of spring", "user user-1", "credential cred-1", "installation inst-1", "perhaps what"):
        assert told in ended.err
    assert onboard("show", ADA).code == ExitCode.fine


@pytest.mark.usefixtures("three")
def test_an_erased_customer_is_gone_and_status_still_adds_up(onboard: Onboard):
    assert onboard("erase", ADA, "--yes").code == ExitCode.fine
    assert onboard("show", ADA).code == ExitCode.bad_input
    assert "2 onboardings, and 1 erased" in onboard("status").out
    counted = onboard("status", "--batch", "spring", "--json").json
    assert (counted["total"], counted["erased"]) == (2, 1)


def test_erase_as_json_without_yes_only_looks(onboard: Onboard, put: Put, database: str):
    at_alloy(put, database)
    assert onboard("erase", ADA, "--json").json == {
        "verb": "erase",
        "username": ADA,
        "onboardings": 1,
        "done": None,
        "at_alloy": {
            "user_id": "user-1",
            "credential_ids": ["cred-1"],
            "installation_ids": ["inst-1"],
            "uncertain_calls": 1,
        },
    }
    assert onboard("show", ADA).code == ExitCode.fine


@pytest.mark.usefixtures("three")
def test_erase_as_json_with_yes_erases(onboard: Onboard):
    assert onboard("erase", ADA, "--json", "--yes").json["done"] == 1
    assert onboard("show", ADA).code == ExitCode.bad_input


def test_a_customer_in_a_workers_hands_is_not_erased(onboard: Onboard, put: Put):
    put(ADA, lease_token="t", lease_owner="w", lease_until=datetime.now(UTC) + timedelta(minutes=1))
    ended = onboard("erase", ADA, "--yes")
    assert ended.code == ExitCode.bad_input
    assert "in hand" in ended.err
    assert onboard("show", ADA).code == ExitCode.fine
