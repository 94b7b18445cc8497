"""What each step does where things are not as they should be: adopt, note, wait, ask an operator; never guess."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Literal

import pytest
from sqlalchemy import update

from deployments.sandbox.account import Credential, Installation, digest_of
from deployments.sandbox.faults import Fault
from deployments.sandbox.fixtures import fixture_id
from deployments.sandbox.knobs import Knobs
from flows.resources import open_resources
from states.forms import Given
from states.holds import HoldKind, Reason
from states.stage import Stage, Trigger
from store.cancelling import cancel
from store.desk import Chosen, answer, redrive
from store.engine import writing
from store.journal import Closing
from store.models import INTENT, ONBOARDING
from store.vault import Vault
from store.views import OnboardingStory, links
from tests.flows.world import HUBSPOT_CONTACTS, HUBSPOT_DEALS, KLAVIYO, NETSUITE, SHOPIFY, SLACK, World, of, on_sqlite

pytestmark = on_sqlite

ANN = "ann@example.test"
SHOP = {"shopSubdomain": "ann-shop"}
REALM = dict.fromkeys(("realm", "consumerKey", "consumerSecret", "tokenId", "tokenSecret"), "a value")
AIRTABLE = "airtable"
EVERYTHING = {
    "title": "A title", "colour": "red", "priority": 1, "limit": 3, "active": True, "größe": "L", "table": "tbl000",
    "variables[0].value": "four",
}  # fmt: skip


def another(world: World, of_integration: str, name: str) -> str:
    """Let the account have a second integration on the same app, under another name; return its id."""
    catalogue = world.sandbox.catalogue
    first = next(one for one in catalogue.integrations if one.integration_id == of(ANN, of_integration)[1])
    second = replace(
        first,
        integration_id=fixture_id(name),
        name=name,
        workflows=tuple(replace(one, workflow_id=fixture_id(f"{name}/{one.name}")) for one in first.workflows),
    )
    world.sandbox.catalogue = replace(catalogue, integrations=(*catalogue.integrations, second))
    return second.integration_id


def give(world: World, **answers: str) -> int:
    given = [Given(name=name, value=value) for name, value in answers.items()]
    return answer(world.engine, Chosen(username=ANN), given, by="a test", now=world.clock.now())


def was_made_with(world: World, told: OnboardingStory, values: dict[str, str]) -> bool:
    credential = world.sandbox.account.credentials[told.credential_id or ""]
    return credential.digest == digest_of(credential.credential_id, values)


def held(told: OnboardingStory) -> tuple[Stage, HoldKind | None, Reason | None]:
    return told.stage, told.hold, told.reason


def notes(told: OnboardingStory) -> str:
    return "\n".join(event.sentence for event in told.history)


# --- create_user


@pytest.mark.parametrize("answered", [200, 400, 409, 422])
@pytest.mark.parametrize("body", ["message", "empty", "html"])
async def test_a_user_whose_name_is_taken_is_adopted(
    database_url: str, tmp_path: Path, answered: int, body: str
) -> None:
    knobs = Knobs(dup_user=answered, error_body=body)  # type: ignore[arg-type]
    async with World(database_url, tmp_path, knobs=knobs) as world:
        world.sandbox.account.add_user(ANN, None)
        world.add()

        await world.run_to_the_end()

        assert (world.story().stage, world.ledger().users) == (Stage.completed, 1)


async def test_a_user_whose_name_is_taken_in_another_case_is_adopted(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path, knobs=Knobs(fold_username_case=True)) as world:
        world.sandbox.account.add_user("Ann@Example.Test", None)
        world.add()

        await world.run_to_the_end()

        assert (world.story().stage, world.ledger().users) == (Stage.completed, 1)


async def test_an_adoption_is_noted(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        world.sandbox.account.add_user(ANN, "Ann Example")
        world.add(full_name="Ann Example")

        await world.run_to_the_end()

        assert "adopted the user" in notes(world.story())
        assert "full name" not in notes(world.story())


async def test_a_different_full_name_is_noted_and_no_more(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        user = world.sandbox.account.add_user(ANN, "Somebody Else")
        world.add(full_name="Ann Example")

        await world.run_to_the_end()

        assert world.story().stage is Stage.completed
        assert "the full name there is a different one" in notes(world.story())
        assert user.full_name == "Somebody Else"


async def test_a_second_onboarding_of_a_customer_creates_no_second_user(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        world.add()
        world.add(integration=NETSUITE, auth=REALM, answers={"customerEmail": "a@b.test"})

        await world.run_to_the_end()

        assert world.standing().stages[Stage.completed] == 2
        assert (world.ledger().users, world.ledger().duplicate_user_creates) == (1, 0)


# --- authenticate: which credential is ours


def _with_an_older_credential(world: World) -> Credential:
    user = world.sandbox.account.add_user(ANN, None)
    return world.sandbox.account.add_credential(user, connector="klaviyo", name="old", data={"apiKey": "old"})


@pytest.mark.parametrize("kind", ["drop_after", "err_after", "empty", "drop_before", "err_before"])
async def test_an_older_credential_is_not_taken_for_one_whose_answer_was_lost(
    database_url: str, tmp_path: Path, kind: str
) -> None:
    async with World(database_url, tmp_path) as world:
        old = _with_an_older_credential(world)
        world.add(auth={"apiKey": "new"})
        world.sandbox.faults.add(Fault(kind=kind, route="create_credential"))  # type: ignore[arg-type]

        await world.run_to_the_end()

        told = world.story()
        assert told.stage is Stage.completed
        assert told.credential_id != old.credential_id
        assert was_made_with(world, told, {"apiKey": "new"})
        assert world.ledger().credentials_created == 2


async def test_onboardings_of_one_app_with_different_values_ask_for_consent_one_after_the_other(
    database_url: str, tmp_path: Path
) -> None:
    async with World(database_url, tmp_path) as world:
        refunds = another(world, SHOPIFY, "Shopify refunds")
        world.add(integration=of(ANN, SHOPIFY)[1], auth={"shopSubdomain": "first"})
        world.add(integration=refunds, auth={"shopSubdomain": "second"})
        await world.run_to_the_end(patience=timedelta(minutes=1))

        (link,) = links(world.engine)
        _, waiting = world.stories()
        assert "shopSubdomain=first" in world.vault.open_value(link.sealed).get_secret_value()
        assert held(waiting) == (Stage.created, HoldKind.customer, Reason.awaiting_consent)
        assert "another onboarding of this customer connects shopify first" in (waiting.sentence or "")


async def test_onboardings_of_one_app_with_different_values_get_their_own_consents(
    database_url: str, tmp_path: Path
) -> None:
    async with World(database_url, tmp_path, knobs=Knobs(auto="grant", auto_after_ms=5000)) as world:
        refunds = another(world, SHOPIFY, "Shopify refunds")
        world.add(integration=of(ANN, SHOPIFY)[1], auth={"shopSubdomain": "first"})
        world.add(integration=refunds, auth={"shopSubdomain": "second"})

        await world.run_to_the_end()

        first, second = world.stories()
        assert was_made_with(world, first, {"shopSubdomain": "first"})
        assert was_made_with(world, second, {"shopSubdomain": "second"})
        assert (world.standing().stages[Stage.completed], world.ledger().consents_granted) == (2, 2)


@pytest.mark.parametrize("kind", [None, "drop_after", "drop_before"])
async def test_onboardings_of_one_app_with_different_keys_get_their_own_credentials(
    database_url: str, tmp_path: Path, kind: str | None
) -> None:
    async with World(database_url, tmp_path) as world:
        lists = another(world, KLAVIYO, "Klaviyo lists")
        world.add(integration=of(ANN, KLAVIYO)[1], auth={"apiKey": "first"})
        world.add(integration=lists, auth={"apiKey": "second"})
        if kind is not None:
            for nth in (1, 2):
                fault = Fault(kind=kind, route="create_credential", nth=nth)  # type: ignore[arg-type]
                world.sandbox.faults.add(fault)

        await world.run_to_the_end()

        first, second = world.stories()
        assert was_made_with(world, first, {"apiKey": "first"})
        assert was_made_with(world, second, {"apiKey": "second"})
        assert (world.standing().stages[Stage.completed], world.ledger().credentials_created) == (2, 2)


async def test_onboardings_of_one_app_with_the_same_key_share_the_credential(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        lists = another(world, KLAVIYO, "Klaviyo lists")
        world.add(integration=of(ANN, KLAVIYO)[1])
        world.add(integration=lists)

        await world.run_to_the_end()

        assert (world.standing().stages[Stage.completed], world.ledger().credentials_created) == (2, 1)


async def test_the_next_takes_its_turn_when_the_one_before_is_left_to_an_operator(
    database_url: str, tmp_path: Path
) -> None:
    async with World(database_url, tmp_path, knobs=Knobs(verify_secret=True)) as world:
        lists = another(world, KLAVIYO, "Klaviyo lists")
        world.add(integration=of(ANN, KLAVIYO)[1], auth={"apiKey": "refused-first"})
        world.add(integration=lists, auth={"apiKey": "second"})

        await world.run_to_the_end()

        first, second = world.stories()
        assert held(first) == (Stage.created, HoldKind.operator, Reason.rejected)
        assert second.stage is Stage.completed


async def test_the_renewed_credential_of_another_onboarding_is_not_a_consent_to_this_one(
    database_url: str, tmp_path: Path
) -> None:
    async with World(database_url, tmp_path) as world:
        world.add(integration=HUBSPOT_CONTACTS, auth={"portal": "1"})
        world.add(integration=HUBSPOT_DEALS, auth={"portal": "2"})
        await world.run()
        granted = world.sandbox.grant(ANN, "hubspot")
        world.clock.ahead += timedelta(seconds=30)
        await world.run()
        assert [told.stage for told in world.stories()] == [Stage.completed, Stage.created]
        world.clock.ahead += timedelta(seconds=30)
        world.sandbox.account.refresh_credential(granted, lag=0, at=int(world.clock.now().timestamp() * 1000))

        await world.run_to_the_end(patience=timedelta(minutes=5))

        assert held(world.stories()[1]) == (Stage.created, HoldKind.customer, Reason.awaiting_consent)


async def test_a_credential_of_another_app_is_not_a_consent(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        world.add(integration=HUBSPOT_CONTACTS, auth={})
        await world.run()
        world.sandbox.grant(ANN, "slack", {})

        await world.run_to_the_end(patience=timedelta(minutes=5))

        assert world.story().stage is Stage.created


# --- authenticate: what only an operator can mend


async def test_a_missing_auth_value_found_only_now_is_left_to_an_operator(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        world.add(integration=SHOPIFY, auth={})

        await world.run_to_the_end()

        told = world.story()
        assert held(told) == (Stage.created, HoldKind.operator, Reason.missing_auth)
        assert "auth.shopSubdomain" in (told.sentence or "")


async def test_a_reference_that_leads_nowhere_is_left_to_an_operator(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        world.add(auth={"apiKey": "env:NO_SUCH_VARIABLE_ANYWHERE"})

        await world.run_to_the_end()

        told = world.story()
        assert held(told) == (Stage.created, HoldKind.operator, Reason.missing_auth)
        assert "environment variable" in (told.sentence or "")


async def test_an_unknown_integration_found_only_now_is_left_to_an_operator(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        world.add(integration="Shoppify", auth=SHOP)

        await world.run_to_the_end()

        told = world.story()
        assert held(told) == (Stage.created, HoldKind.operator, Reason.unknown_integration)
        assert "did you mean Shopify?" in (told.sentence or "")


async def test_an_ambiguous_integration_found_only_now_is_left_to_an_operator(
    database_url: str, tmp_path: Path
) -> None:
    async with World(database_url, tmp_path) as world:
        world.add(integration="HubSpot", auth={})

        await world.run_to_the_end()

        told = world.story()
        assert held(told) == (Stage.created, HoldKind.operator, Reason.ambiguous_integration)
        assert HUBSPOT_CONTACTS in (told.sentence or "")
        assert HUBSPOT_DEALS in (told.sentence or "")


@pytest.mark.parametrize(
    "names",
    [
        (KLAVIYO, of(ANN, KLAVIYO)[1]),
        (of(ANN, KLAVIYO)[1], KLAVIYO),
        ("Magento 2", "magento"),
    ],
    ids=["name and id", "id and name", "two names"],
)
async def test_of_two_rows_for_one_onboarding_the_later_is_left_to_an_operator(
    database_url: str, tmp_path: Path, names: tuple[str, str]
) -> None:
    async with World(database_url, tmp_path) as world:
        for name in names:
            auth = {"apiKey": "a", "storeUrl": "b", "accessToken": "c"}
            world.add(integration=name, auth=auth)

        await world.run_to_the_end()

        earlier, later = world.stories()
        assert earlier.stage is Stage.completed
        assert held(later) == (Stage.created, HoldKind.operator, Reason.same_onboarding_twice)
        assert world.ledger().installations_started == world.ledger().credentials_created == 1


async def test_sealed_values_that_no_key_opens_are_left_to_an_operator(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        world.vault = Vault.open(None, tmp_path / "another")
        world.add()

        await world.run_to_the_end()

        told = world.story()
        assert held(told) == (Stage.created, HoldKind.operator, Reason.sealed_value_lost)
        assert "ONBOARD_SECRET_KEY" in (told.sentence or "")


async def test_a_refused_credential_is_left_to_an_operator_with_alloys_words(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path, knobs=Knobs(verify_secret=True)) as world:
        world.add(auth={"apiKey": "refused-key"})

        await world.run_to_the_end()

        told = world.story()
        assert held(told) == (Stage.created, HoldKind.operator, Reason.rejected)
        assert "Klaviyo refused these credentials" in (told.sentence or "")
        assert told.intents[-1].outcome == "nothing"


async def test_an_integration_installed_before_us_is_installed_once_more_if_an_operator_says_so(
    database_url: str, tmp_path: Path
) -> None:
    async with World(database_url, tmp_path) as world:
        await _wanted_once_more(world)

        await world.run_to_the_end()

        assert (world.story().stage, len(world.ledger().completed[of(ANN, KLAVIYO)])) == (Stage.completed, 2)


async def _wanted_once_more(world: World) -> None:
    """An integration that somebody installed before us, and an operator who wants it all the same."""
    user = world.sandbox.account.add_user(ANN, None)
    world.sandbox.account.add_credential(user, connector="klaviyo", name="old", data={"apiKey": "old"})
    await _install_as_somebody_did_before_us(world, user.user_id)
    world.add()
    await world.run()
    assert world.story().reason is Reason.already_installed
    redrive(world.engine, Chosen(username=ANN), by="a test", now=world.clock.now())


async def _install_as_somebody_did_before_us(world: World, user_id: str, *, complete: bool = True) -> None:
    async with open_resources(world.settings, clock=world.clock) as resources:
        started = await resources.alloy.start_installation(user_id, of(ANN, KLAVIYO)[1], [])
        if complete:
            await resources.alloy.complete_installation(started.installation_id, [])


async def _a_call_of_a_sleeper_arrives(world: World, *, known: bool) -> None:
    """Of two onboardings on an app one was cancelled; its call takes effect while the other looks for its own."""
    world.add(auth={"apiKey": "one"})
    world.sandbox.faults.add(Fault(kind="err_before", route="create_credential"))
    await world.run()
    cancel(world.engine, Chosen(username=ANN), by="a test", now=world.clock.now())
    world.add(integration=another(world, KLAVIYO, "Klaviyo lists"), auth={"apiKey": "two"})
    world.sandbox.faults.add(Fault(kind="err_before", route="create_credential"))
    await world.run()
    user = world.sandbox.account.users[world.ledger().users_of[ANN]]
    stray = world.sandbox.account.add_credential(user, connector="klaviyo", name="late", data={"apiKey": "one"})
    if known:
        with writing(world.engine) as connection:
            given_up = INTENT.c.trigger == Trigger.authenticate, INTENT.c.onboarding_id == _first(world)
            connection.execute(
                update(INTENT).where(*given_up).values(
                    closed_at=world.clock.now(), outcome=Closing.leftover,
                    evidence={"credential_id": stray.credential_id},
                )
            )  # fmt: skip


def _first(world: World) -> int:
    return min(story.id for story in world.stories())


async def test_a_credential_that_another_onboardings_call_may_have_made_is_not_taken(
    database_url: str, tmp_path: Path
) -> None:
    async with World(database_url, tmp_path) as world:
        await _a_call_of_a_sleeper_arrives(world, known=False)

        await world.run_to_the_end()

        assert held(world.stories()[1]) == (Stage.created, HoldKind.operator, Reason.credential_in_doubt)


def _left_to_an_operator(world: World) -> None:
    """As when Alloy refuses to list the credentials in which its call is looked for."""
    with writing(world.engine) as connection:
        connection.execute(
            update(ONBOARDING).values(hold=HoldKind.operator, reason=Reason.rejected, sentence="no", due_at=None)
        )


async def test_two_credentials_in_doubt_are_each_made_anew_once_an_operator_has_deleted_them(
    database_url: str, tmp_path: Path
) -> None:
    """Until then each is named by its hold and is no leftover; afterwards nothing is left behind."""
    async with World(database_url, tmp_path) as world:
        lost = Fault(kind="drop_after", route="create_credential")
        world.add(auth={"apiKey": "one"})
        world.sandbox.faults.add(lost, Fault(kind="err_before", route="list_credentials", nth=2, count=None))
        await world.run()
        _left_to_an_operator(world)
        world.sandbox.faults.clear()
        world.add(integration=another(world, KLAVIYO, "Klaviyo lists"), auth={"apiKey": "two"})
        world.sandbox.faults.add(lost)
        await world.run_to_the_end()
        redrive(world.engine, Chosen(username=ANN), by="a test", now=world.clock.now())
        await world.run_to_the_end()
        in_doubt = (Stage.created, HoldKind.operator, Reason.credential_in_doubt)
        assert [held(told) for told in world.stories()] == [in_doubt, in_doubt]

        account = world.sandbox.account
        for credential in list(account.credentials.values()):
            account.remove_credential(credential)
        redrive(world.engine, Chosen(username=ANN), by="a test", now=world.clock.now())
        await world.run_to_the_end()

        first, second = world.stories()
        assert was_made_with(world, first, {"apiKey": "one"})
        assert was_made_with(world, second, {"apiKey": "two"})
        assert {first.stage, second.stage} == {Stage.completed}
        assert (len(account.credentials), world.standing().leftovers) == (2, 0)


async def test_what_is_known_to_be_another_onboardings_credential_is_in_nobodys_way(
    database_url: str, tmp_path: Path
) -> None:
    async with World(database_url, tmp_path) as world:
        await _a_call_of_a_sleeper_arrives(world, known=True)

        await world.run_to_the_end()

        told = world.stories()[1]
        assert told.stage is Stage.completed
        assert was_made_with(world, told, {"apiKey": "two"})


# --- start_installation


async def test_a_lost_start_that_no_list_shows_is_made_again_and_listed_as_a_leftover(
    database_url: str, tmp_path: Path
) -> None:
    async with World(database_url, tmp_path, knobs=Knobs(list_started=False)) as world:
        world.add()
        world.sandbox.faults.add(Fault(kind="drop_after", route="start_installation"))

        await world.run_to_the_end()

        ledger = world.ledger()
        assert (ledger.installations_started, ledger.installations_completed, ledger.orphans) == (2, 1, 1)
        assert (world.story().stage, world.standing().leftovers) == (Stage.completed, 1)


async def test_a_lost_start_that_alloy_gives_again_leaves_nothing_behind(database_url: str, tmp_path: Path) -> None:
    knobs = Knobs(installations_resource=False, dup_start="existing")
    async with World(database_url, tmp_path, knobs=knobs) as world:
        world.add()
        world.sandbox.faults.add(Fault(kind="drop_after", route="start_installation"))

        await world.run_to_the_end()

        ledger = world.ledger()
        assert (ledger.installations_started, ledger.installations_completed, ledger.orphans) == (1, 1, 0)


async def test_a_lost_start_is_found_where_a_second_one_is_a_conflict(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path, knobs=Knobs(dup_start="409")) as world:
        world.add()
        world.sandbox.faults.add(Fault(kind="drop_after", route="start_installation"))

        await world.run_to_the_end()

        ledger = world.ledger()
        assert (ledger.installations_started, ledger.installations_completed) == (1, 1)


@pytest.mark.parametrize("hidden", [{"list_started": False}, {"installations_resource": False}], ids=["not", "none"])
async def test_a_conflicting_start_that_cannot_be_found_is_left_to_an_operator(
    database_url: str, tmp_path: Path, hidden: dict[str, bool]
) -> None:
    async with World(database_url, tmp_path, knobs=Knobs(dup_start="409", **hidden)) as world:  # type: ignore[arg-type]
        world.add()
        world.sandbox.faults.add(Fault(kind="drop_after", route="start_installation"))

        await world.run_to_the_end()

        assert held(world.story()) == (Stage.authed, HoldKind.operator, Reason.installation_conflict)
        assert world.ledger().installations_started == 1


async def test_somebody_elses_start_is_not_taken_for_ours(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path, knobs=Knobs(dup_start="409")) as world:
        user = world.sandbox.account.add_user(ANN, None)
        world.sandbox.account.add_credential(user, connector="klaviyo", name="old", data={"apiKey": "old"})
        await _install_as_somebody_did_before_us(world, user.user_id, complete=False)
        world.add()

        await world.run_to_the_end()

        assert held(world.story()) == (Stage.authed, HoldKind.operator, Reason.installation_conflict)


# --- map_fields


async def test_an_invalid_option_is_left_to_an_operator_naming_field_and_options(
    database_url: str, tmp_path: Path
) -> None:
    async with World(database_url, tmp_path, knobs=Knobs(auto="grant")) as world:
        world.add(integration=SLACK, auth={}, answers={"channel": "#nowhere", "message": "Hello"})

        await world.run_to_the_end()

        told = world.story()
        assert held(told) == (Stage.installing, HoldKind.operator, Reason.invalid_answer)
        assert "channel (slack)" in (told.sentence or "")
        assert "#general, #orders, #alerts" in (told.sentence or "")


async def test_a_valid_answer_mends_an_invalid_one(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path, knobs=Knobs(auto="grant")) as world:
        world.add(integration=SLACK, auth={}, answers={"channel": "#nowhere", "message": "Hello"})
        await world.run_to_the_end()

        assert give(world, channel="#orders") == 1
        await world.run_to_the_end()

        assert world.story().stage is Stage.completed


async def test_a_missing_answer_waits_for_the_customer_naming_the_field(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        world.add(integration=NETSUITE, auth=REALM)

        await world.run()

        told = world.story()
        assert held(told) == (Stage.installing, HoldKind.customer, Reason.awaiting_answer)
        assert "customerEmail (netsuite)" in (told.sentence or "")
        assert told.due_at is not None


async def test_how_long_an_answer_is_awaited_does_not_count_how_long_the_consent_was(
    database_url: str, tmp_path: Path
) -> None:
    async with World(database_url, tmp_path) as world:
        world.add(integration=SLACK, auth={})
        await world.run()
        world.clock.ahead += timedelta(days=3)
        world.sandbox.grant(ANN, "slack")

        await world.run()

        told = world.story()
        assert told.reason is Reason.awaiting_answer
        assert told.due_at is not None
        assert told.due_at - world.clock.now() < timedelta(minutes=1)


async def test_an_answer_given_later_completes_the_onboarding(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        world.add(integration=NETSUITE, auth=REALM)
        await world.run()

        assert give(world, customerEmail="ann@shop.test") == 1
        driven = await world.run()

        assert (world.story().stage, driven.next_due_at) == (Stage.completed, None)


async def test_an_answer_of_an_unknown_type_is_passed_on_with_a_warning(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        world.add(integration=AIRTABLE, auth={"apiKey": "a"}, answers={**EVERYTHING, "schedule": "0 4 * * *"})

        await world.run_to_the_end()

        told = world.story()
        (installation,) = world.sandbox.account.installations.values()
        assert told.stage is Stage.completed
        assert "schedule (airtable) has the unknown type 'cronExpression'" in notes(told)
        assert "'value': '0 4 * * *'" in str(installation.answers)


# --- complete_installation


async def test_a_completed_installation_is_read_back(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        world.add()

        await world.run_to_the_end()

        told = world.story()
        assert told.stage is Stage.completed
        assert told.verified_at is not None


async def test_where_nothing_can_be_read_back_the_answer_counts_and_the_history_says_so(
    database_url: str, tmp_path: Path
) -> None:
    async with World(database_url, tmp_path) as world:
        world.add(integration=NETSUITE, auth=REALM)
        await world.run()
        catalogue = world.sandbox.catalogue
        kept = tuple(one for one in catalogue.integrations if one.integration_id != of(ANN, NETSUITE)[1])
        world.sandbox.catalogue = replace(catalogue, integrations=kept)
        give(world, customerEmail="ann@shop.test")

        await world.run_to_the_end()

        told = world.story()
        assert (told.stage, told.verified_at) == (Stage.completed, None)
        assert "nothing to read it back from" in notes(told)


@pytest.mark.parametrize("answered", ["400", "409"])
async def test_a_completion_that_is_refused_the_second_time_counts(
    database_url: str, tmp_path: Path, answered: str
) -> None:
    async with World(database_url, tmp_path, knobs=Knobs(recomplete=answered)) as world:  # type: ignore[arg-type]
        world.sandbox.account.add_user(ANN, None)
        world.clock.ahead += timedelta(hours=2)
        world.add()
        world.sandbox.faults.add(
            Fault(kind="drop_after", route="complete_installation"),
            # The first look after it (an adopted user was asked about once before) does not see it yet.
            Fault(kind="slow_list", route="get_integration", nth=2, delay_ms=3_600_000),
        )

        await world.run_to_the_end()

        assert len(world.sandbox.requests.of("complete_installation")) == 2
        assert (world.story().stage, world.ledger().completions) == (Stage.completed, 1)


@pytest.mark.parametrize("kind", ["err_before", "drop_before", "429"])
async def test_a_completion_that_cannot_be_read_back_now_is_read_back_later(
    database_url: str, tmp_path: Path, kind: str
) -> None:
    async with World(database_url, tmp_path) as world:
        world.add()
        fault = Fault(kind=kind, route="get_integration", count=5, retry_after_s=60)  # type: ignore[arg-type]
        world.sandbox.faults.add(fault)

        await world.run_to_the_end()

        told = world.story()
        assert told.stage is Stage.completed
        assert told.verified_at is not None
        assert world.ledger().completions == 1


def _ours(world: World) -> Installation:
    return world.sandbox.account.installations[world.story().installation_id or ""]


@pytest.mark.parametrize("kind", ["err_before", "drop_before", "err_after", "drop_after"])
async def test_an_installation_of_before_us_is_not_taken_for_ours(database_url: str, tmp_path: Path, kind: str) -> None:
    async with World(database_url, tmp_path) as world:
        await _wanted_once_more(world)
        fault = Fault(kind=kind, route="complete_installation")  # type: ignore[arg-type]
        world.sandbox.faults.add(fault)

        await world.run_to_the_end()

        assert world.story().stage is Stage.completed
        assert _ours(world).completed_at is not None
        assert len(world.ledger().completed[of(ANN, KLAVIYO)]) == 2


async def test_where_one_of_before_us_is_shown_ours_counts_as_accepted_and_not_as_verified(
    database_url: str, tmp_path: Path
) -> None:
    async with World(database_url, tmp_path) as world:
        await _wanted_once_more(world)

        await world.run_to_the_end()

        told = world.story()
        assert (told.stage, told.verified_at) == (Stage.completed, None)
        assert "installed before us" in notes(told)


async def test_a_refused_completion_is_not_covered_by_an_installation_of_before_us(
    database_url: str, tmp_path: Path
) -> None:
    async with World(database_url, tmp_path) as world:
        await _wanted_once_more(world)
        await _until_mapped(world)
        installation = _ours(world)
        del world.sandbox.account.installations[installation.installation_id]

        await world.run_to_the_end()

        assert held(world.story()) == (Stage.mapped, HoldKind.operator, Reason.rejected)


async def test_where_alloy_hands_out_the_installation_of_before_us_with_another_credential_an_operator_is_asked(
    database_url: str, tmp_path: Path
) -> None:
    knobs = Knobs(dup_start="existing", installations_resource=True)
    async with World(database_url, tmp_path, knobs=knobs) as world:
        await _wanted_once_more(world)

        await world.run_to_the_end()

        assert held(world.story()) == (Stage.authed, HoldKind.operator, Reason.installation_conflict)


@pytest.mark.parametrize("dup_start", ["existing", "409"])
async def test_where_alloy_begins_no_second_the_installation_of_before_us_with_the_renewed_credential_is_used(
    database_url: str, tmp_path: Path, dup_start: Literal["existing", "409"]
) -> None:
    """It is the one that the operator was asked about, it uses the very credential that the customer granted."""
    async with World(database_url, tmp_path, knobs=Knobs(dup_start=dup_start, regrant="refresh")) as world:
        user = world.sandbox.account.add_user(ANN, None)
        world.sandbox.grant(ANN, "shopify", SHOP)
        async with open_resources(world.settings, clock=world.clock) as resources:
            before = await resources.alloy.start_installation(user.user_id, of(ANN, SHOPIFY)[1], [])
            await resources.alloy.complete_installation(before.installation_id, [])
        world.add(integration=SHOPIFY, auth=SHOP)
        await world.run()
        assert world.story().reason is Reason.already_installed
        redrive(world.engine, Chosen(username=ANN), by="a test", now=world.clock.now())
        await world.run()
        world.clock.ahead += timedelta(seconds=5)
        world.sandbox.grant(ANN, "shopify", SHOP)

        await world.run_to_the_end()

        told = world.story()
        assert (told.stage, told.installation_id) == (Stage.completed, before.installation_id)
        assert len(world.ledger().completed[of(ANN, SHOPIFY)]) == 1


async def test_a_start_is_not_forgotten_though_what_it_handed_out_cannot_be_looked_at(
    database_url: str, tmp_path: Path
) -> None:
    async with World(database_url, tmp_path, knobs=Knobs(installations_resource=True)) as world:
        await _wanted_once_more(world)
        world.sandbox.faults.add(Fault(kind="429", route="list_installations", retry_after_s=600))

        await world.run_to_the_end()

        told = world.story()
        outcomes = [one.outcome for one in told.intents if one.trigger is Trigger.start_installation]
        assert Reason.unknown_outcome in {event.reason for event in told.history}
        assert Closing.nothing not in outcomes, "what was started would be listed nowhere"


@pytest.mark.parametrize("recomplete", ["400", "409"])
async def test_where_it_was_installed_before_us_a_second_completion_that_is_refused_is_a_conflict(
    database_url: str, tmp_path: Path, recomplete: Literal["400", "409"]
) -> None:
    async with World(database_url, tmp_path, knobs=Knobs(recomplete=recomplete)) as world:
        await _wanted_once_more(world)
        world.sandbox.faults.add(Fault(kind="drop_after", route="complete_installation"))

        await world.run_to_the_end()

        assert held(world.story()) == (Stage.mapped, HoldKind.operator, Reason.installation_conflict)
        assert _ours(world).completed_at is not None


async def _until_mapped(world: World) -> None:
    """Run until the installation is begun, and let the completion wait."""
    world.sandbox.faults.add(Fault(kind="429", route="complete_installation", retry_after_s=600))
    await world.run()
    assert world.story().stage is Stage.mapped


async def test_what_was_installed_before_us_is_asked_once(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        await _wanted_once_more(world)
        world.sandbox.faults.add(Fault(kind="429", route="create_credential", retry_after_s=600))
        await world.run()
        with writing(world.engine) as connection:  # as a list that brings other values does
            connection.execute(update(ONBOARDING).values(snapshot=None, due_at=world.clock.now(), hold=None))

        await world.run_to_the_end()

        assert world.story().stage is Stage.completed


@pytest.mark.parametrize("in_vain", [1, 5])
async def test_only_looks_in_vain_are_counted_before_an_operator_is_asked(
    database_url: str, tmp_path: Path, in_vain: int
) -> None:
    async with World(database_url, tmp_path) as world:
        world.sandbox.account.add_user(ANN, None)
        world.clock.ahead += timedelta(hours=2)
        world.add()
        world.sandbox.faults.add(
            Fault(kind="429", route="complete_installation", count=7, retry_after_s=60),
            # The first look is the question whether it was installed before us; after each completion there are two.
            Fault(kind="slow_list", route="get_integration", nth=2, count=2 * in_vain, delay_ms=3_600_000),
        )

        await world.run_to_the_end()

        assert world.story().stage is Stage.completed
        assert world.ledger().completions >= in_vain


async def test_a_completion_that_never_shows_is_left_to_an_operator(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        world.sandbox.account.add_user(ANN, None)
        world.clock.ahead += timedelta(hours=2)
        world.add()
        world.sandbox.faults.add(Fault(kind="slow_list", route="get_integration", delay_ms=3_600_000, count=None))

        await world.run_to_the_end()

        assert held(world.story()) == (Stage.mapped, HoldKind.operator, Reason.installation_conflict)
        assert len(world.ledger().completed[of(ANN, KLAVIYO)]) == 1
