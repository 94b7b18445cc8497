"""One browser and one Prefect server for all browser tests of a worker; a new page and a new screenshot for each."""

from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from playwright.async_api import BrowserContext, Page

from deployments.sandbox.control import SandboxControl
from tests.browser.chromium import new_context, running_chromium
from tests.browser.prefect_pages import PrefectPages
from tests.browser.screenshots import Screenshots, screenshots_folder
from tests.journeys.processes import Onboard, Prefect, running_alloy, running_prefect, settings_for, until


@pytest.fixture(scope="package")
def anyio_backend() -> str:
    """The browser lives in one event loop, which therefore is that of all of its tests."""
    return "asyncio"


@pytest.fixture(scope="package")
async def browser(anyio_backend: str) -> AsyncIterator[BrowserContext]:
    """One browser in the light theme."""
    async with running_chromium() as browser, new_context(browser) as context:
        yield context


@pytest.fixture
def screenshots(
    tmp_path_factory: pytest.TempPathFactory, record_property: Callable[[str, object], None]
) -> Screenshots:
    folder = screenshots_folder(tmp_path_factory.getbasetemp())
    record_property("screenshots", str(folder))
    return Screenshots(folder)


@pytest.fixture
async def page(
    browser: BrowserContext, screenshots: Screenshots, request: pytest.FixtureRequest
) -> AsyncIterator[Page]:
    """A page of its own; what it shows when the test ends, however it ends, is kept under the test's name."""
    page = await browser.new_page()
    yield page
    await screenshots.take(page, request.node.name.removeprefix("test_").removesuffix("[sqlite]"))
    await page.close()


@pytest.fixture(scope="package")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prefect]:
    with running_prefect(tmp_path_factory.mktemp("prefect")) as server:
        yield server


@pytest.fixture(scope="package")
def alloy() -> Iterator[SandboxControl]:
    """The local Alloy, whose customers consent at once."""
    with running_alloy() as alloy:
        alloy.turn(auto="grant")
        yield alloy


@pytest.fixture(scope="package")
def up(prefect: Prefect, alloy: SandboxControl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Onboard]:
    """`onboard up` at work: its deployments are registered, and it runs what is started in Prefect's pages.

    Nothing starts by itself: a resume that came between would have records in hand that a test decides about.
    """
    command = Onboard(tmp_path_factory.mktemp("up"), settings_for(alloy, prefect))
    serving = command.start("up", PREFECT_RUNNER_POLL_FREQUENCY="1")
    try:
        until(lambda: "serving" in serving.out.read_text(encoding="utf-8"), serving)
        for deployment in prefect.ask("deployments/filter", limit=200):
            prefect.ask(f"deployments/{deployment['id']}/pause_deployment")
        yield command
        serving.process.terminate()
        assert serving.ended().code == 0
    finally:
        command.close()


@pytest.fixture
def pages(page: Page, prefect: Prefect, up: Onboard) -> PrefectPages:
    """Prefect's pages, with the deployments of `onboard up`."""
    return PrefectPages(page, prefect)
