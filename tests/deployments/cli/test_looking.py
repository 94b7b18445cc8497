"""status, show and links: what they print, for people and for programs."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from deployments.cli.exits import ExitCode
from states.holds import HoldKind, Reason
from states.pace import News
from states.stage import Stage, Trigger
from store.engine import make_engine, writing
from store.models import ConsentLink, History, Intent, Onboarding
from store.pace import exchange
from store.vault import Vault
from tests.deployments.cli.conftest import Onboard

Put = Callable[..., None]

AWAITING = {
    "stage": Stage.created,
    "hold": HoldKind.customer,
    "reason": Reason.awaiting_consent,
    "sentence": "no consent",
}
REJECTED = {"stage": Stage.authed, "hold": HoldKind.operator, "reason": Reason.rejected, "sentence": "refused"}


def test_status_counts_everybody_and_lists_every_stage(onboard: Onboard, put: Put):
    put("ada@example.test", stage=Stage.completed, stage_since=datetime(2026, 1, 5, tzinfo=UTC))
    put("bo@example.test", **AWAITING)
    ended = onboard("status", "--json")
    assert ended.code == ExitCode.fine
    assert list(ended.json) == ["batch", "total", "stages", "holds", "reasons", "calls", "seconds"]
    assert ended.json["total"] == sum(ended.json["stages"].values()) == 2
    assert list(ended.json["stages"]) == [stage.value for stage in Stage]
    assert ended.json["holds"] == {"retry": 0, "customer": 1, "operator": 0, "cancelled": 0}
    assert ended.json["reasons"] == {"awaiting_consent": 1}


def test_status_of_an_empty_home_says_how_to_begin(onboard: Onboard):
    ended = onboard("status")
    assert ended.code == ExitCode.fine
    assert "onboard run LIST" in ended.out


def test_status_names_who_waits_and_the_command_that_moves_them_on(onboard: Onboard, put: Put):
    put("ada@example.test", **AWAITING)
    put("bo@example.test", **REJECTED)
    shown = onboard("status").out
    assert "  ada@example.test  slack" in shown
    assert "→ onboard links" in shown
    assert shown.index("bo@example.test") < shown.index("ada@example.test"), "whom we can help comes first"


def test_status_names_the_fields_that_an_answer_is_missing_for(onboard: Onboard, put: Put):
    fields = [{"name": name, "type": "text", "required": True} for name in ("channel", "limit")]
    put(
        "ada@example.test",
        stage=Stage.installing,
        hold=HoldKind.customer,
        reason=Reason.awaiting_answer,
        sentence="no answer yet for limit (slack)",
        form=[{"workflowId": "w", "blockId": "b", "app": "slack", "fields": fields}],
    )
    assert "→ onboard answer ada@example.test limit=VALUE\n" in onboard("status").out


def test_status_leaves_a_database_that_is_up_to_date_alone(onboard: Onboard, put: Put, home: Path):
    put("ada@example.test", **AWAITING)
    before = {file: file.read_bytes() for file in (home / ".onboard").iterdir()}
    onboard("status")
    assert {file: file.read_bytes() for file in (home / ".onboard").iterdir()} == before


def test_status_fits_into_80_columns_and_is_not_coloured_where_there_is_no_terminal(onboard: Onboard, put: Put):
    put("ada@example.test", **{**REJECTED, "sentence": "POST /headless/startInstallation was refused " * 6})
    shown = onboard("status").out
    assert max(len(line) for line in shown.splitlines() if "resume" not in line) <= 80
    assert "\x1b" not in shown


def test_what_came_from_outside_cannot_drive_the_terminal(onboard: Onboard, put: Put):
    put("ada\x1b[2J@example.test", **{**AWAITING, "sentence": "\x1b]0;title\x07 no consent"})
    for words in (["status"], ["show", "ada\x1b[2J@example.test"]):
        shown = onboard(*words).out
        assert "\x1b" not in shown
        assert "\x07" not in shown


@pytest.mark.parametrize("words", [["status", "--batch", "none"], ["show", "nobody@example.test"]])
def test_who_is_not_there_is_exit_2_with_the_object(words: list[str], onboard: Onboard, put: Put):
    put("ada@example.test")
    ended = onboard(*words, "--json")
    assert ended.code == ExitCode.bad_input
    assert ended.json["error"] == "not_found"
    assert ended.json["faults"] == []


def test_show_tells_the_story_with_exactly_the_promised_keys(onboard: Onboard, put: Put, database: str):
    put("ada@example.test", **AWAITING)
    engine = make_engine(database)
    now = datetime.now(UTC)
    with writing(engine) as connection:
        [onboarding_id] = connection.scalars(select(Onboarding.id))
        connection.execute(
            insert(History).values(
                onboarding_id=onboarding_id,
                at=now,
                stage=Stage.created,
                trigger=Trigger.create_user,
                sentence="",
                worker="",
            )
        )
        connection.execute(
            insert(Intent).values(
                onboarding_id=onboarding_id, trigger=Trigger.create_user, digest="", opened_at=now, settled_at=now
            )
        )
    engine.dispose()
    story = onboard("show", "ada@example.test", "--json").json
    assert list(story) == ["username", "full_name", "onboardings"]
    assert list(story["onboardings"][0]) == [
        "integration", "stage", "hold", "reason", "due_at", "attempts", "alloy_user_id", "credential_id",
        "installation_id", "link_issued_at", "history", "intents",
    ]  # fmt: skip
    assert story["onboardings"][0]["history"][0]["trigger"] == "create_user"
    assert story["onboardings"][0]["intents"][0]["outcome"] is None
    shown = onboard("show", "ada@example.test").out
    assert "no consent" in shown
    assert "create_user" in shown


def test_links_opens_the_links_and_prints_them_in_every_form(onboard: Onboard, put: Put, database: str, home: Path):
    now = datetime.now(UTC)
    put("ada@example.test", **AWAITING, link_issued_at=now)
    vault = Vault.open(None, home / ".onboard")
    engine = make_engine(database)
    with writing(engine) as connection:
        [onboarding_id] = connection.scalars(select(Onboarding.id))
        connection.execute(
            insert(ConsentLink).values(
                onboarding_id=onboarding_id, sealed=vault.seal("https://new.example.test/?a=b"), issued_at=now
            )
        )
    engine.dispose()
    [link] = onboard("links", "--json").json
    assert link["username"] == "ada@example.test"
    assert link["link"] == "https://new.example.test/?a=b"
    assert "https://new.example.test/?a=b" in onboard("links").out
    assert onboard("links", "--csv").out.splitlines()[1].endswith("https://new.example.test/?a=b")
    assert "https://" not in onboard("status").out + onboard("show", "ada@example.test").out
    renewed = onboard("links", "--renew", "ada@example.test", "--json")
    assert "1 link to be issued anew" in renewed.err
    assert json.loads(renewed.out)


def test_links_that_another_key_sealed_are_told_and_the_others_printed(
    onboard: Onboard, put: Put, database: str, home: Path
):
    engine = make_engine(database)
    now = datetime.now(UTC)
    keys = {"ada": Vault.open(None, home / ".onboard"), "bo": Vault.open(None, home / "lost")}
    for number, (name, vault) in enumerate(keys.items(), start=1):
        put(f"{name}@example.test", **AWAITING, link_issued_at=now)
        with writing(engine) as connection:
            sealed = vault.seal(f"https://{name}.example.test")
            connection.execute(insert(ConsentLink).values(onboarding_id=number, sealed=sealed, issued_at=now))
    engine.dispose()
    ended = onboard("links", "--json")
    assert ended.code == ExitCode.operator_needed
    assert [one["link"] for one in ended.json] == ["https://ada.example.test"]
    assert "1 link was sealed with a key that ONBOARD_SECRET_KEY no longer holds" in ended.err
    assert "links --renew bo@example.test" in ended.err
    sealed_values = next(one for one in onboard("doctor", "--json").json["checks"] if one["check"] == "sealed values")
    assert (sealed_values["ok"], sealed_values["finding"][:6]) == (False, "1 of 2")


def test_a_fault_of_our_own_is_one_line_and_its_log_holds_no_values(
    onboard: Onboard, home: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_arguments: object) -> None:
        raise RuntimeError("canary-value")

    monkeypatch.setattr("store.standing.standing", fail)
    ended = onboard("status")
    assert ended.code == ExitCode.unexpected
    assert "Traceback" not in ended.err
    assert "canary-value" not in ended.err
    log = home / ".onboard" / "faults.log"
    assert str(log) in ended.err
    assert "RuntimeError" in log.read_text()
    assert "canary-value" not in log.read_text().replace('raise RuntimeError("canary-value")', "")


def test_a_wrong_setting_is_exit_3_and_names_it_without_its_value(onboard: Onboard, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ALLOY_RATE", "canary-value")
    ended = onboard("status", "--json")
    assert ended.code == ExitCode.cannot_start
    assert ended.json["faults"][0]["column"] == "ALLOY_RATE"
    assert "canary-value" not in ended.out + ended.err


@pytest.mark.parametrize(
    "url",
    [
        "oracle://x",
        "sqlite://",
        "sqlite:////proc/nothing/x.db",
        "sqlite:///no-database.txt",
        "postgresql://u:canary@127.0.0.1:1/x",
    ],
)
def test_a_database_that_cannot_be_used_is_exit_3(
    url: str, onboard: Onboard, home: Path, monkeypatch: pytest.MonkeyPatch
):
    (home / "no-database.txt").write_text("This is a text, and not a database of any kind. " * 100)
    monkeypatch.setenv("ONBOARD_DATABASE_URL", url)
    ended = onboard("status", "--json")
    assert ended.code == ExitCode.cannot_start
    assert ended.json["error"] == "database"
    assert "canary" not in ended.out + ended.err


def test_status_says_how_fast_alloy_is_called_and_how_that_was_found(onboard: Onboard, put: Put, database: str):
    put("ada@example.test")
    engine = make_engine(database)
    now = datetime.now(UTC).timestamp()
    exchange(engine, "an account", None, News(successes=50), 1, now)
    exchange(engine, "an account", None, News(refused_in=0, paused_until=now + 50), 1, now)
    engine.dispose()

    [pace] = onboard("status", "--json").json["pace"]
    shown = " ".join(onboard("status").out.split())

    assert pace["limit"] == "found"
    assert f"at most {pace['calls_per_second']:.4g} calls a second, the limit is found by asking" in shown
    assert "Alloy has asked to wait: it is called again in" in shown


def test_status_names_the_rate_that_was_given(onboard: Onboard, put: Put, database: str):
    put("ada@example.test")
    engine = make_engine(database)
    exchange(engine, "an account", 40.0, News(), 1, datetime.now(UTC).timestamp())
    engine.dispose()

    assert "at most 40 calls a second, as ALLOY_RATE says" in onboard("status").out
