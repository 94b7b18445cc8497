"""The operators' desk in Prefect's pages: what is drawn there, and a review that is answered in its form."""

import re
from collections.abc import AsyncIterator, Iterator

import pytest
from playwright.async_api import BrowserContext, Page, expect
from sqlalchemy import Engine

from deployments.sandbox.control import SandboxControl
from flows.desk.keys import OVERVIEW, WAITING, batch_key
from states.holds import Reason
from states.stage import Stage
from store.engine import make_engine
from store.standing import standing
from store.views import story
from tests.browser.chromium import new_context
from tests.browser.prefect_pages import PrefectPages
from tests.browser.screenshots import Screenshots
from tests.journeys.people import CONSENT_LINK, Person, klaviyo, netsuite, shopify, slack, write_list
from tests.journeys.processes import Onboard, Prefect

pytestmark = [pytest.mark.prefect, pytest.mark.timeout(180)]

ASKED = [f"{name}@example.test" for name in ("ada", "bo", "cleo", "dario", "eun", "finn", "gita", "hugo")]
"""They have all answers, and have to consent; some of them never do."""
LACKING = [f"{name}@example.test" for name in ("iris", "jun", "kaya", "leo", "mina")]
"""They have to consent as well, and have no channel."""
CUSTOMERS = [
    *(slack(username) for username in ASKED[:5]),
    *(shopify(username) for username in ASKED[5:]),
    *(Person(username, "slack", {"map.message": "Hello"}) for username in LACKING),
    *(netsuite(f"{name}@example.test") for name in ("nils", "olga", "pablo")),
    *(klaviyo(f"{name}@example.test") for name in ("quinn", "rosa", "sven")),
    klaviyo("viktor@example.test", "refused-canary-key"),
]


@pytest.fixture(scope="module")
def desk(up: Onboard, alloy: SandboxControl) -> Iterator[Engine]:
    """A list that was onboarded as far as it goes, and the records of it."""
    alloy.turn(abandonment=0.3, verify_secret=True)
    up("run", str(write_list(up.folder / "spring.csv", CUSTOMERS)))
    alloy.turn(abandonment=0, verify_secret=False)
    engine = make_engine(f"sqlite:///{up.home / 'onboard.db'}")
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def hesitating(desk: Engine) -> str:
    """Somebody who waits for their own consent."""
    return held_for(desk, Reason.awaiting_consent)[0]


@pytest.fixture
async def dark_page(browser: BrowserContext) -> AsyncIterator[Page]:
    """A page in the dark theme."""
    assert browser.browser is not None
    async with new_context(browser.browser, "dark") as context:
        yield await context.new_page()


async def test_the_overview_draws_everybody(
    desk: Engine, pages: PrefectPages, page: Page, screenshots: Screenshots
) -> None:
    await pages.open_artifact(OVERVIEW)

    await expect_everybody_drawn(page, desk)
    await screenshots.take(page.get_by_role("main"), "overview_light")


async def test_the_overview_can_be_read_in_the_dark_theme(
    desk: Engine, prefect: Prefect, dark_page: Page, screenshots: Screenshots
) -> None:
    await PrefectPages(dark_page, prefect).open_artifact(OVERVIEW)

    await expect_everybody_drawn(dark_page, desk)
    await screenshots.take(dark_page.get_by_role("main"), "overview_dark")


async def test_who_waits_is_a_table_without_any_consent_link(
    desk: Engine, hesitating: str, pages: PrefectPages, page: Page, screenshots: Screenshots
) -> None:
    await pages.open_artifact(WAITING)

    await expect(page.get_by_role("row").filter(has_text=hesitating)).to_contain_text("has not consented")
    await screenshots.take(page.get_by_role("main"), "waiting")
    await assert_no_secrets(page)


async def test_the_form_of_a_reason_is_one_click_away_and_filled_in_with_it(
    desk: Engine, pages: PrefectPages, page: Page, screenshots: Screenshots
) -> None:
    await pages.open_artifact(WAITING)
    await page.get_by_role("listitem").filter(has_text="rejected").get_by_role("link", name="redrive").click()
    form = page.locator("form")
    await expect(form.locator("fieldset").first).to_be_visible()
    await expect(form.get_by_label("reason")).to_have_text("rejected")
    await screenshots.take(page, "form_of_a_reason")
    await pages.submit(form)

    await expect(page.get_by_text("1 would be redriven").first).to_be_visible()


async def test_no_table_is_drawn_across_what_stands_beside_it(desk: Engine, pages: PrefectPages, page: Page) -> None:
    for key in (OVERVIEW, WAITING, batch_key("spring")):
        await pages.open_artifact(key)
        await expect(page.get_by_role("table").last).to_be_visible()
        beside = await page.get_by_text("Flow Run", exact=True).first.bounding_box()
        widths = await page.get_by_role("table").evaluate_all(
            "all => all.map(one => one.getBoundingClientRect().right)"
        )

        assert beside is not None
        assert max(widths) <= beside["x"], key


async def test_a_batch_page_names_why_somebody_stands_still(
    desk: Engine, pages: PrefectPages, page: Page, screenshots: Screenshots
) -> None:
    await pages.open_artifact(batch_key("spring"))

    await expect(page.get_by_role("row").filter(has_text="viktor@example.test")).to_contain_text("rejected")
    await screenshots.take(page.get_by_role("main"), "batch")
    await assert_no_secrets(page)


async def test_a_customers_story_is_among_the_artifacts_of_its_run(
    desk: Engine, hesitating: str, pages: PrefectPages, page: Page, screenshots: Screenshots
) -> None:
    await pages.open_deployment("customer-story")
    form = await pages.form()
    await form.get_by_label("username").fill(hesitating)
    await pages.submit(form)
    await pages.open_artifact_of_run()

    await expect(
        page.locator("svg[aria-roledescription=gantt]").get_by_text("customer awaiting consent")
    ).to_be_visible()
    await screenshots.take(page.get_by_role("main"), "story")
    await assert_no_secrets(page)


async def test_a_review_is_answered_in_its_form(
    desk: Engine, pages: PrefectPages, page: Page, screenshots: Screenshots
) -> None:
    lacking = held_for(desk, Reason.awaiting_answer)
    await pages.open_deployment("review")
    form = await pages.form()
    await form.get_by_label("batch").fill("spring")
    await form.get_by_label("at_most").fill("1")
    await pages.submit(form)

    review = await pages.resume()
    await expect(review).to_contain_text(f"{len(lacking)} customers of slack lack channel: which value?")
    await review.get_by_label("Decision").click()
    await page.get_by_role("option", name="#orders").click()
    await review.get_by_label("Decided by").fill("Grace")
    await screenshots.take(review, "review")
    await pages.submit_resume(review)
    await expect(page.get_by_text(re.compile("^Decided: ")).first).to_be_visible()

    for username in lacking:
        [one] = story(desk, username).onboardings
        assert "answered by Grace: channel" in [event.sentence for event in one.history]
    assert held_for(desk, Reason.awaiting_answer) == []


def held_for(desk: Engine, reason: Reason) -> list[str]:
    """Return who on the list is held for this reason."""
    return [one for one in (*ASKED, *LACKING) if story(desk, one).onboardings[0].reason is reason]


async def expect_everybody_drawn(page: Page, desk: Engine) -> None:
    """Wait for the drawing of all stages, in whose boxes the numbers of the store stand."""
    now = standing(desk)
    flowchart = page.locator("svg[aria-roledescription^=flowchart]")
    for stage in Stage:
        await expect(flowchart.get_by_text(f"{stage}: {now.stages[stage]}", exact=True)).to_be_visible()


async def assert_no_secrets(page: Page) -> None:
    """Assert that a page holds neither an auth value nor a consent link."""
    shown = await page.content()
    assert "canary" not in shown
    assert CONSENT_LINK not in shown
