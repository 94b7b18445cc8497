"""The deployments of `onboard up` in Prefect's pages: what they say about themselves, and their forms."""

import re

import pytest
from playwright.async_api import Page, expect

from deployments.schedules import DEPLOYMENTS, Deployment
from states.stage import Stage
from store.engine import make_engine
from store.views import OnboardingStory, story
from tests.browser.prefect_pages import PrefectPages, shown_description, words
from tests.browser.screenshots import Screenshots
from tests.flows.world import HUBSPOT_CONTACTS
from tests.journeys.processes import Onboard

pytestmark = [pytest.mark.prefect, pytest.mark.timeout(180)]

SOME = pytest.mark.parametrize("name", ["redrive", "from-a-list"])
"""The two with the longest forms."""


async def test_every_deployment_is_listed_and_ready_to_run(pages: PrefectPages, page: Page) -> None:
    await pages.open_deployments()

    for deployment in DEPLOYMENTS:
        listed = page.get_by_role("row").filter(has=page.get_by_role("link", name=deployment.name, exact=True))
        await expect(listed.get_by_text("Ready", exact=True)).to_be_visible()


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda deployment: deployment.name)
def test_every_parameter_of_every_form_is_described(pages: PrefectPages, deployment: Deployment) -> None:
    for name, parameter in pages.registered_parameters(deployment.name).items():
        assert parameter.get("description"), name


@SOME
async def test_a_deployment_says_what_it_does_and_its_form_explains_every_parameter(
    pages: PrefectPages, name: str
) -> None:
    await pages.open_deployment(name)
    description = await pages.description()

    await expect(description).not_to_be_empty()
    shown = await description.inner_text()
    [deployment] = [one for one in DEPLOYMENTS if one.name == name]
    assert words(shown) == words(deployment.description)
    assert not set("*`") & set(shown)

    form = await pages.form()
    for parameter in pages.registered_parameters(name).values():
        await expect(shown_description(form, parameter["title"])).to_have_text(parameter["description"])


async def test_a_form_that_is_filled_in_brings_the_customer_to_completed(
    pages: PrefectPages, page: Page, up: Onboard, screenshots: Screenshots
) -> None:
    await pages.open_deployment("one-customer")
    form = await pages.form()
    await form.get_by_label("username").fill("ann@example.test")
    await form.get_by_label("integration").fill(HUBSPOT_CONTACTS)
    await screenshots.take(page, "form_filled_in")

    await pages.submit(form)
    await expect(page.get_by_text(re.compile(r"^\d+ moved"))).to_be_visible()

    assert [one.stage for one in onboardings(up, "ann@example.test")] == [Stage.completed]


def onboardings(command: Onboard, username: str) -> list[OnboardingStory]:
    """Read a customer's onboardings from the database of a command."""
    engine = make_engine(f"sqlite:///{command.home / 'onboard.db'}")
    try:
        return story(engine, username).onboardings
    finally:
        engine.dispose()
