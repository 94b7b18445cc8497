"""The local Alloy's consent page, answered by clicking, and what our records then say."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from states.holds import HoldKind, Reason
from states.stage import Stage
from store.views import links
from tests.browser.screenshots import Screenshots
from tests.flows.world import SHOPIFY, World, on_sqlite

pytestmark = on_sqlite

SHOP = {"shopSubdomain": "ann-shop"}


@pytest.fixture
async def world(database_url: str, tmp_path: Path) -> AsyncIterator[World]:
    """A world in which Ann was asked for her consent."""
    async with World(database_url, tmp_path) as world:
        world.add(integration=SHOPIFY, auth=SHOP)
        await world.run()
        yield world


async def test_a_customer_who_clicks_grant_is_brought_to_completed_with_the_new_credential(
    world: World, page: Page, screenshots: Screenshots
) -> None:
    await page.goto(link_of(world))
    await expect(page.get_by_role("heading")).to_have_text("Connect Shopify")
    await expect(page.get_by_role("definition").filter(has_text="ann-shop")).to_be_visible()
    await screenshots.take(page, "consent_page")

    await page.get_by_role("button", name="Grant").click()
    await expect(page.get_by_role("heading")).to_have_text("Connected")
    await world.run_to_the_end()

    told = world.story()
    assert (told.stage, told.credential_id) == (Stage.completed, *world.sandbox.account.credentials)
    assert links(world.engine) == []


async def test_a_customer_who_clicks_deny_waits_on_with_the_same_link(world: World, page: Page) -> None:
    link = link_of(world)
    await page.goto(link)

    await page.get_by_role("button", name="Deny").click()
    await expect(page.get_by_role("heading")).to_have_text("Declined")
    await world.run_to_the_end(runs=4)

    told = world.story()
    assert (told.stage, told.hold, told.reason) == (Stage.created, HoldKind.customer, Reason.awaiting_consent)
    assert (told.credential_id, world.ledger().consents_denied) == (None, 1)
    assert link_of(world) == link


def link_of(world: World) -> str:
    """Open the one link that was sealed."""
    [link] = links(world.engine)
    return world.vault.open_value(link.sealed).get_secret_value()
