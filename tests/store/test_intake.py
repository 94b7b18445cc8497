import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydantic import JsonValue, SecretStr
from sqlalchemy import Engine, event, func, insert, select, update

from states.forms import Given
from states.holds import HoldKind, Reason
from states.stage import Stage, Trigger
from states.transitions import BY_SOURCE
from store.cancelling import cancel
from store.catalogue import AppEntry, Catalogue, CatalogueEntry
from store.choosing import Chosen
from store.desk import redrive
from store.engine import make_engine, reading, writing
from store.erasing import erase
from store.finding import find_batch
from store.intake.discard import discard
from store.intake.take_in import Intake, ListRefused, take_in
from store.journal import Close, Closing, NewIntent
from store.leases import claim
from store.lists.check import check_list, check_rows, read_rows
from store.lists.rows import CustomerRow, Fault, RawRow, build_row
from store.models import AUTH_VALUE, BATCH, CONSENT_LINK, CUSTOMER, HISTORY, INTENT, ONBOARDING
from store.records import Scope
from store.vault import Vault, resolve_reference
from store.work import record_group
from store.writes import Begin, Moved

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
SHOPIFY = CatalogueEntry.of("a" * 24, "Shopify", ["shopify"])
SLACK = CatalogueEntry.of("b" * 24, "Slack", ["slack"])
CATALOGUE = Catalogue((SHOPIFY, SLACK), {"shopify": AppEntry("shopify", False, ("apiKey", "shop"))})
AUTH = {"auth.apiKey": "k", "auth.shop": "s"}


@pytest.fixture(scope="module")
def vault(tmp_path_factory) -> Vault:
    return Vault.open(None, tmp_path_factory.mktemp("vault"))


def row(line: int = 2, username: str = "ada", integration: str = "Shopify", **cells: object) -> CustomerRow:
    named = {name.replace("__", "."): value for name, value in cells.items()}
    built = build_row(RawRow(line, {"username": username, "integration": integration, **named}), Path())
    assert isinstance(built, CustomerRow)
    return built


@pytest.fixture
def take(engine: Engine, vault: Vault):
    def take(*rows, batch="first", templates=None, catalogue=CATALOGUE, now=NOW, **options) -> Intake:
        return take_in(
            engine,
            batch,
            rows,
            source="list.csv",
            templates=templates,
            catalogue=catalogue,
            vault=vault,
            now=now,
            **options,
        )

    return take


def outcome(intake: Intake) -> dict[str, int]:
    counts = {
        name: getattr(intake, name)
        for name in ("added", "unchanged", "updated", "repeated", "elsewhere", "refused_count")
    }
    return {name: count for name, count in counts.items() if count}


def refusal(intake: Intake) -> tuple[int, str]:
    [fault] = intake.refused
    return fault.line, fault.column


def only(engine: Engine) -> SimpleNamespace:
    """The one onboarding, with its customer and its auth values."""
    with reading(engine) as connection:
        columns = connection.execute(
            select(ONBOARDING, CUSTOMER.c.username, CUSTOMER.c.full_name).join(
                CUSTOMER, CUSTOMER.c.id == ONBOARDING.c.customer_id
            )
        ).one()
        sealed = connection.execute(select(AUTH_VALUE.c.name, AUTH_VALUE.c.sealed)).all()
    return SimpleNamespace(**columns._mapping, sealed={one.name: one.sealed for one in sealed})


def count(engine: Engine, table) -> int:
    with reading(engine) as connection:
        return connection.scalar(select(func.count()).select_from(table))


def sentences(engine: Engine) -> list[str]:
    with reading(engine) as connection:
        return list(connection.scalars(select(HISTORY.c.sentence).order_by(HISTORY.c.id)))


def put(engine: Engine, **values: object) -> None:
    with writing(engine) as connection:
        connection.execute(update(ONBOARDING).values(**values))


def hold(engine: Engine, reason: Reason, kind: HoldKind = HoldKind.operator, **values: object) -> None:
    put(engine, hold=kind, reason=reason, sentence="why", due_at=None, attempts=3, **values)


def lease(engine: Engine, until: datetime = LATER + timedelta(minutes=1)) -> None:
    put(engine, lease_token="t", lease_owner="w", lease_until=until)


def open_intent(engine: Engine) -> None:
    with writing(engine) as connection:
        onboarding_id, stage = connection.execute(select(ONBOARDING.c.id, ONBOARDING.c.stage)).one()
        connection.execute(
            insert(INTENT).values(
                onboarding_id=onboarding_id,
                trigger=BY_SOURCE[stage].trigger,
                digest="",
                opened_at=NOW,
                settled_at=NOW,
            )
        )


def answer_late(engine: Engine, evidence: dict[str, JsonValue]) -> None:
    """Have a worker call what leaves the stage, and sleep past its lease before it hands the answer in."""
    page = claim(engine, Scope(), worker="w", limit=1, lease=timedelta(minutes=1), now=NOW)
    assert page is not None
    [asleep] = page.records
    trigger = BY_SOURCE[asleep.stage].trigger
    [intent] = record_group(
        engine, [Begin(asleep, NewIntent(asleep.id, trigger, "", settled_at=NOW))], worker="w", now=NOW
    )
    assert isinstance(intent, int)
    answered = Moved(asleep, trigger, dict(evidence), Close(intent, Closing.answered, evidence))
    record_group(engine, [answered], worker="w", now=LATER)


def put_at_alloy(engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(update(CUSTOMER).values(alloy_user_id="u"))


FORM = [{"workflowId": "w", "blockId": "b", "app": "shopify", "fields": [{"name": "region", "required": True}]}]


# What is new


def test_a_row_becomes_an_onboarding_that_is_due_now(engine, take):
    take(row(7, full_name="Ada", **AUTH, map__region="EU"))
    record = only(engine)

    assert (record.username, record.full_name, record.line, record.stage, record.due_at) == (
        "ada",
        "Ada",
        7,
        Stage.new,
        NOW,
    )


def test_a_row_keeps_its_answers(engine, take):
    take(row(**AUTH, map__region="EU"))

    assert only(engine).given == [Given(name="region", value="EU").model_dump()]


def test_an_integration_that_the_catalogue_knows_is_kept_by_its_id(engine, take):
    take(row(integration="SHOPIFY", **AUTH))
    record = only(engine)

    assert (record.integration, record.integration_key, record.integration_id, record.app) == (
        "SHOPIFY",
        "a" * 24,
        "a" * 24,
        "shopify",
    )


@pytest.mark.parametrize("catalogue", [None, Catalogue()])
def test_without_a_catalogue_an_integration_is_kept_by_its_folded_name(engine, take, catalogue):
    take(row(integration="My  Shop", **AUTH), catalogue=catalogue)
    record = only(engine)

    assert (record.integration_key, record.integration_id) == ("my shop", None)


def test_auth_values_are_sealed(engine, take, vault):
    take(row(**AUTH))

    assert vault.open_value(only(engine).sealed["apiKey"]).get_secret_value() == "k"


def test_a_reference_is_sealed_as_a_reference(engine, take, vault, monkeypatch):
    monkeypatch.setenv("ONBOARD_TEST_KEY", "canary")
    take(row(**{"auth.apiKey": "env:ONBOARD_TEST_KEY"}))
    reference = vault.open_value(only(engine).sealed["apiKey"]).get_secret_value()

    assert (reference, resolve_reference(reference).get_secret_value()) == ("env:ONBOARD_TEST_KEY", "canary")


def test_auth_values_stand_in_no_table_in_the_clear(engine, take):
    take(row(**{"auth.apiKey": "canary-7", "auth.shop": "s"}))
    with reading(engine) as connection:
        everything = "".join(
            repr(connection.execute(select(table)).all())
            for table in (BATCH, CUSTOMER, ONBOARDING, HISTORY, AUTH_VALUE)
        )

    assert "canary-7" not in everything


def test_the_names_and_the_fingerprint_of_auth_values_are_kept(engine, take, vault):
    take(row(**AUTH))
    record = only(engine)

    assert (record.auth_names, record.auth_digest) == (
        ["apiKey", "shop"],
        vault.fingerprint({"shop": "s", "apiKey": "k"}),
    )


def test_the_history_begins_with_the_list_and_its_line(engine, take):
    take(row(7, **AUTH))

    assert sentences(engine) == ["taken in from list.csv line 7"]


def test_the_history_of_a_customer_who_came_without_a_list_names_none(engine, vault):
    take_in(engine, "one by one", [row(0)], source="", templates=None, catalogue=CATALOGUE, vault=vault, now=NOW)

    assert sentences(engine) == ["taken in by itself, without a list"]


def test_one_customer_may_have_two_integrations(engine, take):
    take(row(2, **AUTH), row(3, integration="Slack", full_name="Ada"))

    assert (count(engine, CUSTOMER), count(engine, ONBOARDING)) == (1, 2)


def test_a_full_name_is_taken_from_whichever_row_has_it(engine, take):
    take(row(2, **AUTH), row(3, integration="Slack", full_name="Ada"))
    with reading(engine) as connection:
        name = connection.scalar(select(CUSTOMER.c.full_name))

    assert name == "Ada"


def test_a_full_name_that_was_blank_is_filled_in_by_a_later_list(engine, take):
    take(row(**AUTH))
    take(row(integration="Slack", full_name="Ada"), batch="second")
    with reading(engine) as connection:
        name = connection.scalar(select(CUSTOMER.c.full_name))

    assert name == "Ada"


def test_another_full_name_in_another_batch_is_noted_and_not_used(engine, take):
    take(row(full_name="Ada", **AUTH))
    take(row(integration="Slack", full_name="Eve"), batch="second")

    assert "the full name differs" in sentences(engine)[-1]


def test_the_same_row_twice_is_one_onboarding(take):
    assert outcome(take(row(2, **AUTH), row(3, **AUTH))) == {"added": 1, "repeated": 1}


def test_a_list_longer_than_a_chunk_is_taken_in_whole(engine, take):
    rows = [row(n, username=f"user{n}", **AUTH) for n in range(1001)]

    assert (outcome(take(*rows)), count(engine, ONBOARDING)) == ({"added": 1001}, 1001)


def test_the_mapping_file_is_kept_with_the_batch(engine, take):
    take(row(**AUTH), templates=[Given(name="region", value="EU")])
    with reading(engine) as connection:
        templates = connection.scalar(select(BATCH.c.templates))

    assert templates == [Given(name="region", value="EU").model_dump()]


@pytest.mark.parametrize("name", ["", "x" * 201])
def test_a_batch_needs_a_name_of_bounded_length(take, name):
    with pytest.raises(ValueError, match="1 to 200"):
        take(row(**AUTH), batch=name)


# Faults


def test_a_fault_stops_the_intake(take):
    with pytest.raises(ListRefused):
        take(Fault(2, "username", "is blank", "fill it in"))


def test_a_fault_is_passed_over_when_valid_rows_are_accepted(take):
    intake = take(Fault(2, "username", "is blank", "fill it in"), row(3, **AUTH), accept_valid=True)

    assert outcome(intake) == {"added": 1, "refused_count": 1}


def test_a_row_whose_integration_nobody_knows_is_refused(take):
    assert refusal(take(row(9, integration="Unknown"))) == (9, "integration")


def test_auth_values_that_were_sealed_before_are_not_missed_when_the_row_comes_back(engine, take, tmp_path):
    take(row(**AUTH))
    file = tmp_path / "failed.csv"
    file.write_text("username,integration,auth.apiKey,auth.shop\nada,Shopify,,\n")

    assert check_list(file, CATALOGUE, engine).faults == []


def test_a_checked_file_is_taken_in(engine, take, tmp_path):
    file = tmp_path / "list.csv"
    file.write_text("username,integration,auth.apiKey,auth.shop\nada,Shopify,k,s\neve,shopify,k,s\nada,shopify,k,s\n")

    assert outcome(take(*check_rows(read_rows(file), CATALOGUE, engine))) == {"added": 2, "repeated": 1}


# The same again


def test_the_same_list_again_changes_nothing(engine, take):
    first = row(full_name="Ada", **AUTH, map__region="EU")
    take(first)
    before = only(engine)
    intake = take(first, now=LATER)

    assert (outcome(intake), before.version, only(engine).due_at) == ({"unchanged": 1}, only(engine).version, NOW)


def test_the_same_list_again_writes_no_history(engine, take):
    take(row(**AUTH))
    take(row(**AUTH), now=LATER)

    assert count(engine, HISTORY) == 1


@pytest.mark.parametrize(("first", "second"), [(None, CATALOGUE), (CATALOGUE, None)])
def test_the_catalogue_does_not_make_another_onboarding_of_a_row(take, first, second):
    take(row(**AUTH), catalogue=first)

    assert outcome(take(row(**AUTH), catalogue=second)) == {"unchanged": 1}


def test_a_row_that_another_batch_brought_stays_there(take):
    take(row(**AUTH))
    intake = take(row(full_name="Ada", **AUTH), batch="second")

    assert (outcome(intake), intake.elsewhere_usernames) == ({"elsewhere": 1}, ["ada"])


def test_a_row_whose_auth_cells_are_blank_uses_what_is_sealed(engine, take):
    take(row(**AUTH))
    take(row(**{"auth.apiKey": "", "auth.shop": ""}))

    assert set(only(engine).sealed) == {"apiKey", "shop"}


# What may change


def test_a_full_name_may_change_until_the_user_exists(engine, take):
    take(row(full_name="Ada", **AUTH))
    take(row(full_name="Ada L.", **AUTH))

    assert only(engine).full_name == "Ada L."


def test_a_full_name_is_not_changed_once_the_user_exists(engine, take):
    take(row(full_name="Ada", **AUTH))
    put_at_alloy(engine)

    assert refusal(take(row(5, full_name="Ada L.", **AUTH))) == (5, "full_name")


@pytest.mark.parametrize("stage", [Stage.new, Stage.created, Stage.authed, Stage.installing])
def test_answers_may_change_until_they_were_used(engine, take, stage):
    take(row(**AUTH, map__region="EU"))
    put(engine, stage=stage)
    take(row(**AUTH, map__region="US"))

    assert only(engine).given[0]["value"] == "US"


def test_answers_of_a_mapped_onboarding_are_filled_in_again(engine, take):
    take(row(**AUTH, map__region="EU"))
    put(engine, stage=Stage.mapped, form=FORM, answers=[])
    take(row(**AUTH, map__region="US"))

    assert only(engine).answers[0]["fields"] == [{"name": "region", "value": "US"}]


def test_answers_of_a_mapped_onboarding_that_do_not_fit_are_refused(engine, take):
    take(row(**AUTH, map__region="EU"))
    put(engine, stage=Stage.mapped, form=FORM, answers=[])

    assert refusal(take(row(5, **AUTH))) == (5, "")


def test_answers_are_not_changed_once_the_installation_is_completed(engine, take):
    take(row(**AUTH, map__region="EU"))
    put(engine, stage=Stage.completed, due_at=None)

    assert refusal(take(row(5, **AUTH, map__region="US"))) == (5, "map.region")


@pytest.mark.parametrize("stage", [Stage.new, Stage.created])
def test_auth_values_may_change_until_the_credential_is_there(engine, take, vault, stage):
    take(row(**AUTH))
    put(engine, stage=stage)
    take(row(**{**AUTH, "auth.apiKey": "other"}))
    record = only(engine)

    assert (vault.open_value(record.sealed["apiKey"]).get_secret_value(), record.auth_digest) == (
        "other",
        vault.fingerprint({"apiKey": "other", "shop": "s"}),
    )


def test_one_auth_value_may_change_while_the_others_are_blank(engine, take, vault):
    take(row(**AUTH))
    take(row(**{"auth.apiKey": "other", "auth.shop": ""}))

    assert only(engine).auth_digest == vault.fingerprint({"apiKey": "other", "shop": "s"})


@pytest.mark.parametrize("stage", [Stage.authed, Stage.installing, Stage.mapped])
def test_auth_values_are_not_changed_once_the_credential_is_there(engine, take, stage):
    take(row(**AUTH))
    put(engine, stage=stage, credential_id="c")

    assert refusal(take(row(5, **{**AUTH, "auth.shop": "other"}))) == (5, "auth.apiKey")


def test_whoever_brings_other_auth_values_too_late_is_told_what_there_is_to_do(engine, take):
    take(row(username="ada o'hara", **AUTH))
    put(engine, stage=Stage.authed, credential_id="c")
    [fault] = take(row(username="ada o'hara", **{**AUTH, "auth.shop": "other"})).refused

    assert "`onboard erase 'ada o'\"'\"'hara'`" in fault.remedy


def test_auth_values_are_not_compared_across_a_lost_key(engine, take, tmp_path):
    take(row(**AUTH))
    put(engine, stage=Stage.authed, credential_id="c")
    other = Vault.open(None, tmp_path)
    intake = take_in(
        engine, "first", [row(**AUTH)], source="s", templates=None, catalogue=CATALOGUE, vault=other, now=LATER
    )

    assert outcome(intake) == {"unchanged": 1}


def test_auth_values_that_were_lost_are_sealed_anew(engine, take, tmp_path):
    take(row(**AUTH))
    hold(engine, Reason.sealed_value_lost, stage=Stage.created)
    other = Vault.open(None, tmp_path)
    take_in(engine, "first", [row(**AUTH)], source="s", templates=None, catalogue=CATALOGUE, vault=other, now=LATER)

    assert other.open_value(only(engine).sealed["shop"]) == SecretStr("s")


def test_a_lost_value_that_is_blank_in_the_row_is_asked_for(engine, take, tmp_path):
    take(row(**AUTH))
    other = Vault.open(None, tmp_path)
    partial = [row(5, **{"auth.apiKey": "k"})]
    intake = take_in(engine, "first", partial, source="s", templates=None, catalogue=CATALOGUE, vault=other, now=LATER)

    assert refusal(intake) == (5, "auth.shop")


def test_a_consent_link_for_other_auth_values_is_withdrawn(engine, take):
    take(row(**AUTH))
    hold(engine, Reason.awaiting_consent, HoldKind.customer, stage=Stage.created, link_issued_at=NOW)
    with writing(engine) as connection:
        id_ = connection.scalar(select(ONBOARDING.c.id))
        connection.execute(insert(CONSENT_LINK).values(onboarding_id=id_, sealed=b"", issued_at=NOW))
    take(row(**{**AUTH, "auth.shop": "other"}))

    assert (only(engine).link_issued_at, count(engine, CONSENT_LINK)) == (None, 0)


def test_a_column_that_we_only_carry_may_change_at_any_time(engine, take):
    take(row(**AUTH, note="a"))
    put(engine, stage=Stage.completed, due_at=None)
    take(row(**AUTH, note="b"))

    assert only(engine).columns["note"] == "b"


def test_a_column_that_a_template_may_use_is_an_answer(engine, take):
    templates = [Given(name="region", value="{{ columns.region }}")]
    take(row(**AUTH, region=""), templates=templates)
    hold(engine, Reason.awaiting_answer, HoldKind.customer, stage=Stage.installing)
    take(row(**AUTH, region="EU"), now=LATER)

    assert only(engine).due_at == LATER


def test_a_change_is_written_into_the_history(engine, take):
    take(row(**AUTH, map__region="EU"))
    take(row(5, full_name="Ada", **{**AUTH, "auth.shop": "other"}, map__region="US"))

    # A blank full name is filled in as soon as any row has one.
    assert sentences(engine)[-1] == "auth values, answers changed by list.csv line 5"


def test_a_row_of_which_one_part_comes_too_late_changes_nothing(engine, take):
    take(row(**AUTH, map__region="EU"))
    put(engine, stage=Stage.authed, credential_id="c")
    take(row(**{**AUTH, "auth.shop": "other"}, map__region="US"))

    assert only(engine).given[0]["value"] == "EU"


# Holds


@pytest.mark.parametrize(
    ("reason", "stage", "changed"),
    [
        (Reason.missing_auth, Stage.created, {**AUTH, "auth.shop": "other"}),
        (Reason.missing_auth, Stage.created, AUTH),  # a reference that leads somewhere by now
        (Reason.rejected, Stage.created, {**AUTH, "auth.shop": "other"}),
        (Reason.rejected, Stage.new, {**AUTH, "full_name": "Ada L."}),
        (Reason.invalid_answer, Stage.installing, {**AUTH, "map__region": "US"}),
        (Reason.gave_up, Stage.installing, {**AUTH, "map__region": "US"}),
    ],
)
def test_a_change_that_mends_a_hold_makes_the_record_due_now(engine, take, reason, stage, changed):
    take(row(full_name="Ada", **AUTH))
    hold(engine, reason, stage=stage)
    before = only(engine).version
    take(row(**{"full_name": "Ada", **changed}), now=LATER)
    record = only(engine)

    assert (record.hold, record.reason, record.sentence, record.due_at, record.attempts, record.version) == (
        None,
        None,
        None,
        LATER,
        0,
        before + 1,
    )


@pytest.mark.parametrize("reason", [Reason.already_installed, Reason.installation_conflict, Reason.missing_auth])
def test_a_change_that_does_not_mend_a_hold_leaves_it(engine, take, reason):
    take(row(**AUTH))
    hold(engine, reason, stage=Stage.created)
    take(row(**dict.fromkeys(AUTH, ""), map__region="US"), now=LATER)

    assert (only(engine).hold, only(engine).due_at) == (HoldKind.operator, None)


def test_a_row_that_did_not_change_leaves_the_hold(engine, take):
    take(row(**AUTH))
    hold(engine, Reason.rejected)
    take(row(**AUTH), now=LATER)

    assert only(engine).hold is HoldKind.operator


def test_the_same_list_again_does_not_revive_a_cancelled_onboarding(engine, take):
    take(row(**AUTH, map__region="EU"))
    cancel(engine, Chosen(), by="ops", now=NOW)

    assert outcome(take(row(**AUTH, map__region="EU"), now=LATER)) == {"unchanged": 1}
    assert (only(engine).hold, only(engine).due_at, only(engine).sealed) == (HoldKind.cancelled, None, {})


def test_the_same_list_gives_one_that_was_cancelled_and_let_go_again_its_auth_values_back(engine, take, vault):
    take(row(**AUTH))
    cancel(engine, Chosen(), by="ops", now=NOW)
    redrive(engine, Chosen(hold=HoldKind.cancelled), by="ops", now=NOW)

    assert outcome(take(row(**AUTH), now=LATER)) == {"updated": 1}
    assert vault.open_value(only(engine).sealed["apiKey"]).get_secret_value() == "k"


def test_what_was_granted_for_other_auth_values_counts_as_an_older_credential(engine, take):
    take(row(**AUTH))
    put(engine, stage=Stage.created, snapshot={}, link_issued_at=NOW)
    take(row(**{**AUTH, "auth.shop": "other"}), now=LATER)

    assert only(engine).snapshot is None


def test_the_snapshot_outlives_a_row_that_brings_the_same_auth_values_back(engine, take):
    take(row(**AUTH))
    put(engine, stage=Stage.created, snapshot={"c1": ""})
    cancel(engine, Chosen(), by="ops", now=NOW)
    redrive(engine, Chosen(hold=HoldKind.cancelled), by="ops", now=NOW)
    take(row(**AUTH), now=LATER)

    assert only(engine).snapshot == {"c1": ""}


def test_a_cancelled_onboarding_is_not_revived_by_a_changed_row(engine, take):
    take(row(**AUTH))
    put(engine, hold=HoldKind.cancelled, due_at=None)

    assert refusal(take(row(5, **AUTH, map__region="US"))) == (5, "")


def test_a_retry_keeps_its_time(engine, take):
    take(row(**AUTH))
    hold(engine, Reason.unreachable, HoldKind.retry)
    put(engine, due_at=LATER)
    take(row(**AUTH, map__region="US"), now=NOW)

    assert only(engine).due_at == LATER


def test_a_corrected_integration_mends_the_record_that_could_not_find_its_own(engine, take):
    take(row(integration="Shopfy", **AUTH), catalogue=None)
    hold(engine, Reason.unknown_integration, stage=Stage.created)
    take(row(integration="Shopify", **AUTH), now=LATER)
    record = only(engine)

    assert (record.integration, record.integration_id, record.hold, record.due_at) == ("Shopify", "a" * 24, None, LATER)


def test_a_new_mapping_file_has_waiting_forms_looked_at_again(engine, take):
    take(row(**AUTH), templates=[])
    hold(engine, Reason.awaiting_answer, HoldKind.customer, stage=Stage.installing)
    take(row(**AUTH), templates=[Given(name="region", value="EU")], now=LATER)

    assert (only(engine).hold, only(engine).due_at) == (None, LATER)


def test_a_list_without_a_mapping_file_keeps_that_of_the_batch(engine, take):
    take(row(**AUTH), templates=[Given(name="region", value="EU")])
    take(row(**AUTH), templates=None)
    with reading(engine) as connection:
        templates = connection.scalar(select(BATCH.c.templates))

    assert len(templates) == 1


# While a worker has it


def test_a_leased_record_takes_a_change_that_its_worker_does_not_use_and_is_nudged(engine, take):
    take(row(**AUTH, map__region="EU"))
    lease(engine)
    before = only(engine)
    take(row(**AUTH, map__region="US"), now=LATER)
    record = only(engine)

    assert (record.given[0]["value"], record.nudged, record.version, record.due_at, record.lease_token) == (
        "US",
        True,
        before.version,
        before.due_at,
        "t",
    )


def test_a_form_that_a_worker_has_filled_in_by_the_old_mapping_file_is_filled_in_again(engine, take):
    take(row(**AUTH), templates=[])
    put(engine, stage=Stage.installing, form=FORM)
    page = claim(engine, Scope(), worker="w", limit=1, lease=timedelta(minutes=1), now=NOW)
    take(row(**AUTH), templates=[Given(name="region", value="EU")])
    record_group(engine, [Moved(page.records[0], Trigger.map_fields, {"answers": []})], worker="w", now=NOW)

    assert (only(engine).stage, only(engine).due_at, only(engine).lease_token) == (Stage.installing, NOW, None)


@pytest.mark.parametrize(
    ("stage", "changed"),
    [
        (Stage.new, {**AUTH, "full_name": "Ada L."}),
        (Stage.created, {**AUTH, "auth.shop": "other"}),
        (Stage.installing, {**AUTH, "map__region": "US"}),
        (Stage.mapped, {**AUTH, "map__region": "US"}),
    ],
)
@pytest.mark.parametrize("make_busy", [lease, open_intent])
def test_a_value_that_a_call_may_be_using_is_not_changed(engine, take, make_busy, stage, changed):
    take(row(full_name="Ada", **AUTH))
    put(engine, stage=stage)
    make_busy(engine)
    intake = take(row(**{"full_name": "Ada", **changed}), now=LATER)

    assert "being worked on" in intake.refused[0].fault


@pytest.mark.parametrize(
    ("stage", "evidence", "changed"),
    [
        (Stage.new, {"alloy_user_id": "u"}, {**AUTH, "full_name": "Ada L."}),
        (Stage.created, {"credential_id": "c"}, {**AUTH, "auth.shop": "other"}),
        (Stage.mapped, {"installation_id": "i"}, {**AUTH, "map__region": "US"}),
    ],
)
def test_a_value_that_was_used_by_a_call_whose_answer_came_late_is_not_changed(engine, take, stage, evidence, changed):
    take(row(full_name="Ada", **AUTH))
    put(engine, stage=stage, form=FORM)
    answer_late(engine, evidence)
    before = only(engine)
    intake = take(row(**{"full_name": "Ada", **changed}), now=LATER)

    assert "being worked on" in intake.refused[0].fault
    assert only(engine) == before


def test_who_stands_still_with_a_call_in_doubt_is_to_be_let_go_before_a_value_is_changed(engine, take):
    take(row(**AUTH))
    put(engine, stage=Stage.created)
    answer_late(engine, {"credential_id": "c"})
    hold(engine, Reason.gave_up, lease_token=None, lease_owner=None, lease_until=None)
    intake = take(row(**{**AUTH, "auth.shop": "other"}), now=LATER)

    assert "stands still" in intake.refused[0].fault
    assert "onboard redrive --username" in intake.refused[0].remedy


def test_a_blank_name_is_not_filled_in_once_the_user_was_created_by_a_call_whose_answer_came_late(engine, take):
    take(row(**AUTH))
    answer_late(engine, {"alloy_user_id": "u"})
    take(row(integration="Slack", full_name="Ada"), batch="second", now=LATER)
    with reading(engine) as connection:
        name = connection.scalar(select(CUSTOMER.c.full_name))

    assert name == ""


def test_an_answer_that_came_late_for_a_stage_that_is_left_by_now_keeps_nothing_from_changing(engine, take):
    take(row(**AUTH, map__region="EU"))
    put(engine, stage=Stage.authed)
    answer_late(engine, {"installation_id": "i"})
    put(engine, stage=Stage.installing)

    assert outcome(take(row(**AUTH, map__region="US"), now=LATER)) == {"updated": 1}


def test_a_lease_that_ran_out_is_none(engine, take):
    take(row(**AUTH, map__region="EU"))
    put(engine, stage=Stage.installing)
    lease(engine, until=NOW)

    assert outcome(take(row(**AUTH, map__region="US"), now=LATER)) == {"updated": 1}


# Side by side


def test_processes_that_take_in_one_list_at_once_add_it_once(database_url, vault):
    rows = [row(n, username=f"user{n}", **AUTH) for n in range(2, 402)]
    added: list[int] = []

    def work(mine: list[CustomerRow]) -> None:
        engine = make_engine(database_url)
        intake = take_in(engine, "first", mine, source="s", templates=None, catalogue=CATALOGUE, vault=vault, now=NOW)
        engine.dispose()
        added.append(intake.added)

    threads = [threading.Thread(target=work, args=(mine,)) for mine in (rows, rows[::-1], rows)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (len(added), sum(added)) == (3, 400)


def taken_in_before(engine: Engine, take) -> None:
    take(row(integration="Slack"))


def half_taken_in_before(engine: Engine, take) -> None:
    def interrupted(_rows: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        take(row(integration="Slack"), row(3, username="eve", integration="Slack"), watch=interrupted)


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)  # SQLite has one writer, who is waited for
@pytest.mark.parametrize(
    ("before", "delete"),
    [
        (taken_in_before, lambda engine: erase(engine, "ada", now=LATER)),
        (half_taken_in_before, lambda engine: discard(engine, find_batch(engine, "first"))),
    ],
    ids=["erase", "discard"],
)
def test_a_customer_who_is_deleted_while_a_list_with_them_is_taken_in_is_taken_in_anew(
    engine, database_url, take, monkeypatch, before, delete
):
    monkeypatch.setattr("store.intake.take_in.CHUNK", 1)
    before(engine, take)
    deleted: list[object] = []

    def meanwhile(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        if statement.startswith("INSERT INTO onboarding") and not deleted:
            elsewhere = make_engine(database_url)
            deleted.append(delete(elsewhere))
            elsewhere.dispose()

    event.listen(engine, "before_cursor_execute", meanwhile)
    intake = take(row(**AUTH), batch="second")

    assert deleted == [1]
    assert outcome(intake) == {"added": 1}
    assert (only(engine).username, only(engine).integration) == ("ada", "Shopify")


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)  # SQLite has one writer, who is waited for
def test_a_record_that_somebody_has_locked_is_not_waited_for(engine, take):
    take(row(**AUTH, map__region="EU"))
    with writing(engine) as other:
        other.execute(select(ONBOARDING.c.id).with_for_update()).all()
        intake = take(row(5, **AUTH, map__region="US"))

    assert refusal(intake) == (5, "")
