"""Two onboardings of one customer on one app, with different values: none gets the credential meant for the other."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from deployments.sandbox.account import digest_of
from deployments.sandbox.fixtures import fixture_id
from states.holds import HoldKind, Reason
from states.stage import Stage
from store.cancelling import cancel
from store.desk import Chosen, redrive, renew_links
from store.engine import writing
from store.models import ONBOARDING
from store.views import OnboardingStory, links
from tests.flows.world import SHOPIFY, World, of

ANN = "ann@example.test"
ORDERS, REFUNDS = of(ANN, SHOPIFY)[1], fixture_id("Shopify refunds")
LONGER_THAN_ANY_WAIT = timedelta(hours=7)
A_WHILE = timedelta(minutes=1)


def take_in(world: World, first: str = "one", second: str = "two") -> None:
    """Put both on the list: the orders of one shop, the refunds of the other."""
    catalogue = world.sandbox.catalogue
    orders = next(one for one in catalogue.integrations if one.integration_id == ORDERS)
    workflows = tuple(replace(one, workflow_id=fixture_id(f"refunds/{one.name}")) for one in orders.workflows)
    refunds = replace(orders, integration_id=REFUNDS, name="Shopify refunds", workflows=workflows)
    world.sandbox.catalogue = replace(catalogue, integrations=(*catalogue.integrations, refunds))
    world.add(ANN, ORDERS, auth={"shopSubdomain": first})
    world.add(ANN, REFUNDS, auth={"shopSubdomain": second})


def made_with(world: World, told: OnboardingStory) -> str | None:
    """Return for which shop an onboarding's credential was made."""
    credential = world.sandbox.account.credentials.get(told.credential_id or "")
    if credential is None:
        return None
    shops = [shop for shop in ("one", "two") if credential.digest == _digest(credential.credential_id, shop)]
    return shops[0]


def _digest(credential_id: str, shop: str) -> str:
    return digest_of(credential_id, {"shopSubdomain": shop})


def consent(world: World, shop: str) -> None:
    world.sandbox.grant(ANN, "shopify", {"shopSubdomain": shop})


def try_again(world: World, hold: HoldKind = HoldKind.operator) -> None:
    assert redrive(world.engine, Chosen(username=ANN, hold=hold), by="a test", now=world.clock.now()) == 1


def shops_asked_for(world: World) -> list[str]:
    """Return for which shops a link waits to be followed."""
    opened = [world.vault.open_value(one.sealed).get_secret_value() for one in links(world.engine)]
    return [shop for shop in ("one", "two") if any(f"shopSubdomain={shop}" in link for link in opened)]


async def later(world: World) -> None:
    world.clock.ahead += LONGER_THAN_ANY_WAIT
    await world.run_to_the_end(patience=A_WHILE)


async def test_one_that_could_not_send_its_link_does_not_take_the_consent_that_another_waits_for(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with World(database_url, tmp_path) as world:
        take_in(world, first="env:THE_FIRST_SHOP")
        await world.run_to_the_end(patience=A_WHILE)
        assert [told.reason for told in world.stories()] == [Reason.missing_auth, Reason.awaiting_consent]
        monkeypatch.setenv("THE_FIRST_SHOP", "one")
        consent(world, "two")

        try_again(world)
        await later(world)
        consent(world, "one")
        await later(world)

        assert [made_with(world, told) for told in world.stories()] == ["one", "two"]
        assert world.standing().stages[Stage.completed] == 2


async def test_one_that_was_cancelled_does_not_take_the_consent_that_another_waits_for(
    database_url: str, tmp_path: Path
) -> None:
    async with World(database_url, tmp_path) as world:
        take_in(world)
        await world.run_to_the_end(patience=A_WHILE)
        cancel(world.engine, Chosen(username=ANN, integration=ORDERS), by="a test", now=world.clock.now())
        await later(world)
        consent(world, "two")

        try_again(world, HoldKind.cancelled)
        await later(world)

        assert [made_with(world, told) for told in world.stories()] == [None, "two"]


def leave_to_an_operator(world: World, integration_id: str) -> None:
    """Have an onboarding stand still with its link sent, as it does when its looks were refused for long enough."""
    with writing(world.engine) as connection:
        held = {
            "hold": HoldKind.operator,
            "reason": Reason.gave_up,
            "due_at": None,
            "version": ONBOARDING.c.version + 1,
        }
        connection.execute(update(ONBOARDING).where(ONBOARDING.c.integration_id == integration_id).values(held))


@pytest.mark.parametrize("renewed", [False, True], ids=["", "whose link is renewed"])
async def test_one_whose_link_is_still_out_does_not_take_the_consent_that_another_waits_for(
    database_url: str, tmp_path: Path, renewed: bool
) -> None:
    async with World(database_url, tmp_path) as world:
        take_in(world)
        await world.run_to_the_end(patience=A_WHILE)
        leave_to_an_operator(world, ORDERS)
        await later(world)
        consent(world, "two")

        try_again(world)
        if renewed:
            chosen = Chosen(username=ANN, integration=REFUNDS)
            assert renew_links(world.engine, chosen, by="a test", now=world.clock.now()) == 1
        await later(world)

        assert [made_with(world, told) for told in world.stories()] == [None, "two"]


async def test_the_link_of_one_whose_turn_has_passed_is_not_sent_out_before_its_turn_comes_again(
    database_url: str, tmp_path: Path
) -> None:
    async with World(database_url, tmp_path) as world:
        take_in(world)
        await world.run_to_the_end(patience=A_WHILE)
        assert shops_asked_for(world) == ["one"]
        leave_to_an_operator(world, ORDERS)
        await later(world)

        try_again(world)
        await later(world)

        assert shops_asked_for(world) == ["two"]


async def test_a_consent_already_given_is_not_swallowed_when_a_link_is_renewed_while_another_waits(
    database_url: str, tmp_path: Path
) -> None:
    async with World(database_url, tmp_path) as world:
        take_in(world)
        await world.run_to_the_end(patience=A_WHILE)
        consent(world, "one")

        assert renew_links(world.engine, Chosen(username=ANN), by="a test", now=world.clock.now()) == 1
        await world.run_to_the_end(patience=A_WHILE)

        assert [made_with(world, told) for told in world.stories()] == ["one", None]
