"""OAuth: the link goes out once, the consent that was given counts, and an older credential never does."""

from datetime import timedelta
from pathlib import Path

from sqlalchemy import select

from deployments.sandbox.knobs import Knobs
from flows.resources import open_resources
from states.holds import HoldKind, Reason
from states.stage import Stage
from store.desk import Chosen, renew_links
from store.engine import reading
from store.models import AUTH_VALUE, CONSENT_LINK
from store.views import links
from tests.flows.world import HUBSPOT_CONTACTS, HUBSPOT_DEALS, SHOPIFY, World, of

ANN = "ann@example.test"
SHOP = {"shopSubdomain": "ann-shop"}


async def test_a_customer_who_consents_is_completed(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        world.add(integration=SHOPIFY, auth=SHOP)
        await world.run()
        world.sandbox.grant(ANN, "shopify")

        await world.run_to_the_end()

        assert world.story().stage is Stage.completed
        assert len(world.ledger().enabled[of(ANN, SHOPIFY)]) == 1


async def test_a_customer_who_does_not_consent_waits_with_a_link(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        world.add(integration=SHOPIFY, auth=SHOP)

        await world.run()

        held = world.story()
        (link,) = links(world.engine)
        assert (held.stage, held.hold, held.reason) == (Stage.created, HoldKind.customer, Reason.awaiting_consent)
        assert (
            world.vault.open_value(link.sealed)
            .get_secret_value()
            .startswith(f"{world.sandbox.url}/api/strategy/shopify")
        )


async def test_one_link_is_issued_however_often_we_look(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        world.add(integration=SHOPIFY, auth=SHOP)

        await world.run_to_the_end(runs=6)

        assert sum(request.route == "oauth_url" for request in world.sandbox.requests) == 1


async def test_looks_become_rarer(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        world.add(integration=SHOPIFY, auth=SHOP)
        await world.run_to_the_end(runs=100, patience=timedelta(days=1))
        until = world.clock.ahead

        looks = sum(request.route == "list_credentials" for request in world.sandbox.requests)
        assert until > timedelta(hours=10)
        assert looks < 150


async def test_an_older_credential_is_never_used(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        world.sandbox.account.add_user(ANN, None)
        old = world.sandbox.grant(ANN, "shopify", SHOP)
        world.add(integration=SHOPIFY, auth=SHOP)
        await world.run_to_the_end(runs=4)
        assert world.story().stage is Stage.created

        new = world.sandbox.grant(ANN, "shopify", SHOP)
        world.clock.ahead += timedelta(hours=7)
        await world.run_to_the_end()

        assert world.story().credential_id == new.credential_id != old.credential_id


async def test_a_renewed_consent_counts_though_its_id_is_the_old_one(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path, knobs=Knobs(regrant="refresh")) as world:
        world.sandbox.account.add_user(ANN, None)
        old = world.sandbox.grant(ANN, "shopify", SHOP)
        world.add(integration=SHOPIFY, auth=SHOP)
        await world.run_to_the_end(runs=3)
        world.clock.ahead += timedelta(hours=7)
        world.sandbox.grant(ANN, "shopify", SHOP)

        await world.run_to_the_end()

        assert (world.story().stage, world.story().credential_id) == (Stage.completed, old.credential_id)


async def test_a_renewed_link_does_not_swallow_a_consent_already_given(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        world.add(integration=SHOPIFY, auth=SHOP)
        await world.run()
        world.sandbox.grant(ANN, "shopify")

        assert renew_links(world.engine, Chosen(username=ANN), by="a test", now=world.clock.now()) == 1
        await world.run_to_the_end()

        assert (world.story().stage, world.ledger().consents_granted) == (Stage.completed, 1)


async def test_a_renewed_link_is_another_one(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        world.add(integration=SHOPIFY, auth=SHOP)
        await world.run()
        renew_links(world.engine, Chosen(username=ANN), by="a test", now=world.clock.now())
        await world.run()

        assert len(links(world.engine)) == 1
        assert sum(request.route == "oauth_url" for request in world.sandbox.requests) == 2


async def test_link_and_auth_values_are_gone_once_the_credential_is_there(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path, knobs=Knobs(auto="grant")) as world:
        world.add(integration=SHOPIFY, auth=SHOP)

        await world.run_to_the_end()

        with reading(world.engine) as connection:
            left = [connection.execute(select(table)).all() for table in (AUTH_VALUE, CONSENT_LINK)]
        assert left == [[], []]


async def test_of_several_new_credentials_the_newest_is_used_and_the_others_are_noted(
    database_url: str, tmp_path: Path
) -> None:
    async with World(database_url, tmp_path) as world:
        world.add(integration=SHOPIFY, auth=SHOP)
        await world.run()
        first = world.sandbox.grant(ANN, "shopify")
        world.clock.ahead += timedelta(seconds=5)
        second = world.sandbox.grant(ANN, "shopify")

        await world.run_to_the_end()

        told = world.story()
        assert told.credential_id == second.credential_id
        assert any(first.credential_id in event.sentence for event in told.history)


async def test_two_onboardings_on_one_app_with_the_same_values_share_the_consent(
    database_url: str, tmp_path: Path
) -> None:
    async with World(database_url, tmp_path) as world:
        world.add(integration=HUBSPOT_CONTACTS, auth={})
        world.add(integration=HUBSPOT_DEALS, auth={})
        await world.run_to_the_end(runs=3)
        assert len(links(world.engine)) == 1

        world.sandbox.grant(ANN, "hubspot")
        world.clock.ahead += timedelta(hours=7)
        await world.run_to_the_end()

        assert world.standing().stages[Stage.completed] == 2
        assert world.ledger().consents_granted == 1


async def test_a_user_of_before_us_whose_integration_is_installed_is_left_to_an_operator(
    database_url: str, tmp_path: Path
) -> None:
    async with World(database_url, tmp_path) as world:
        account = world.sandbox.account
        user = account.add_user(ANN, None)
        world.sandbox.grant(ANN, "shopify", SHOP)
        await _install(world, user.user_id)
        world.add(integration=SHOPIFY, auth=SHOP)

        await world.run()

        held = world.story()
        assert (held.hold, held.reason) == (HoldKind.operator, Reason.already_installed)


async def test_it_is_left_to_an_operator_also_where_the_credential_would_be_shared(
    database_url: str, tmp_path: Path
) -> None:
    async with World(database_url, tmp_path) as world:
        account = world.sandbox.account
        user = account.add_user(ANN, None)
        account.add_credential(user, connector="hubspot", name="old", data={})
        async with open_resources(world.settings, clock=world.clock) as resources:
            started = await resources.alloy.start_installation(user.user_id, HUBSPOT_DEALS, [])
            await resources.alloy.complete_installation(started.installation_id, [])
        world.add(integration=HUBSPOT_CONTACTS, auth={})
        await world.run()
        world.sandbox.grant(ANN, "hubspot")
        await world.run_to_the_end()
        world.add(integration=HUBSPOT_DEALS, auth={})

        await world.run_to_the_end()

        contacts, deals = world.stories(ANN)
        assert contacts.stage is Stage.completed
        assert (deals.hold, deals.reason) == (HoldKind.operator, Reason.already_installed)
        assert len(world.ledger().completed[of(ANN, HUBSPOT_DEALS)]) == 1


async def test_it_is_left_to_an_operator_also_where_the_shared_credential_is_one_of_before_us_that_was_renewed(
    database_url: str, tmp_path: Path
) -> None:
    """Alloy says nothing about a username that is taken, so that only the credential tells that the user was there."""
    async with World(database_url, tmp_path, knobs=Knobs(dup_user=200, regrant="refresh")) as world:
        user = world.sandbox.account.add_user(ANN, None)
        old = world.sandbox.grant(ANN, "hubspot")
        async with open_resources(world.settings, clock=world.clock) as resources:
            started = await resources.alloy.start_installation(user.user_id, HUBSPOT_DEALS, [])
            await resources.alloy.complete_installation(started.installation_id, [])
        world.add(integration=HUBSPOT_CONTACTS, auth={})
        await world.run()
        world.clock.ahead += timedelta(seconds=5)
        renewed = world.sandbox.grant(ANN, "hubspot")
        assert renewed.credential_id == old.credential_id
        world.add(integration=HUBSPOT_DEALS, auth={})

        await world.run_to_the_end()

        contacts, deals = world.stories(ANN)
        assert contacts.stage is Stage.completed
        assert (deals.hold, deals.reason) == (HoldKind.operator, Reason.already_installed)


async def _install(world: World, user_id: str) -> None:
    """Install the integration as somebody did before us, through the API."""
    async with open_resources(world.settings, clock=world.clock) as resources:
        started = await resources.alloy.start_installation(user_id, of(ANN, SHOPIFY)[1], [])
        await resources.alloy.complete_installation(started.installation_id, [])
