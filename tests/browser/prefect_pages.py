"""Prefect's pages, version 2, as an operator walks through them: found by what is written on them, never by markup.

Each step waits for what it has to show, for a bounded time.
"""

import re
from typing import Any

import stamina
from playwright.async_api import Locator, Page, Response, expect

from tests.journeys.processes import Prefect


class ServerBusy(Exception):
    """Prefect was kept from its SQLite by itself: its page says so, and an operator presses the button again."""


class PrefectPages:
    """One operator at Prefect's pages."""

    def __init__(self, page: Page, prefect: Prefect) -> None:
        self.page = page
        self.prefect = prefect

    async def open(self, path: str) -> None:
        """Go to the page at this path."""
        await self.page.goto(f"{self.prefect.api_url.removesuffix('/api')}/v2/{path}")

    async def open_deployments(self) -> None:
        """Go to the list of all deployments, on one page."""
        await self.open("deployments?limit=100")

    async def open_deployment(self, name: str) -> None:
        """Go to a deployment from the list of all."""
        await self.open_deployments()
        # Its flow, which may be called the same, stands below it.
        await self.page.get_by_role("link", name=name, exact=True).first.click()

    async def description(self) -> Locator:
        """Go from a deployment to its description."""
        await self.page.get_by_role("tab", name="Description").click()
        return self.page.get_by_role("tabpanel", name="Description")

    async def form(self) -> Locator:
        """Go from a deployment to the form that starts a run of it."""
        await self.page.get_by_role("button", name="Run", exact=True).click()
        await self.page.get_by_role("menuitem", name="Custom run").click()
        form = self.page.locator("form")
        # The button is there before the parameters are.
        await expect(form.locator("fieldset").first).to_be_visible()
        return form

    async def submit(self, form: Locator) -> None:
        """Start the run of a form that is filled in, and go to its page."""
        run_id = await self._press_submit(form)
        await self.open(f"runs/flow-run/{run_id}")

    @stamina.retry(on=ServerBusy, attempts=5)
    async def _press_submit(self, form: Locator) -> str:
        async with self.page.expect_response(_is_the_answer) as pending:
            await form.get_by_role("button", name="Submit").click()
        answer = await pending.value
        if not answer.ok:
            raise ServerBusy(f"{answer.status} {answer.url}")
        run_id: str = (await answer.json())["id"]
        return run_id

    async def open_artifact(self, key: str) -> None:
        """Go to the newest version of an artifact from its key, as the links in the deployments' descriptions do."""
        await self.open(f"artifacts/key/{key}")
        await self.page.locator("a[href*='/artifacts/artifact/']").first.click()

    async def open_artifact_of_run(self) -> None:
        """Go from a run that ends by itself to the artifact that it made."""
        await self.page.get_by_role("tab", name="Artifacts").click()
        await self.page.locator("a[href*='/artifacts/artifact/']").first.click()

    async def resume(self) -> Locator:
        """Go from a run, once it is paused, to the form that it waits for."""
        await expect(self.page.get_by_text("Paused", exact=True).first).to_be_visible()
        await self.page.get_by_role("button", name="Open menu").click()
        await self.page.get_by_role("menuitem", name="Resume").click()
        return self.page.get_by_role("dialog", name="Resume Flow Run")

    @stamina.retry(on=ServerBusy, attempts=5)
    async def submit_resume(self, form: Locator) -> None:
        """Let a paused run go on with its form filled in."""
        async with self.page.expect_response(lambda response: response.url.endswith("/resume")) as pending:
            await form.get_by_role("button", name="Resume").click()
        answer = await pending.value
        if not answer.ok:
            raise ServerBusy(f"{answer.status} {answer.url}")

    def registered_parameters(self, name: str) -> dict[str, dict[str, Any]]:
        """Ask the server for a deployment's parameters: for each its title, its type and its description."""
        [found] = self.prefect.ask("deployments/filter", deployments={"name": {"any_": [name]}})
        parameters: dict[str, dict[str, Any]] = found["parameter_openapi_schema"]["properties"]
        return parameters


def _is_the_answer(response: Response) -> bool:
    """Tell whether a form's run was made, or why not: what is filled in is checked before."""
    refused = response.url.endswith("/ui/schemas/validate") and not response.ok
    return refused or response.url.endswith("/create_flow_run")


def shown_description(form: Locator, title: str) -> Locator:
    """Return what a form says about one of its parameters."""
    label = form.locator("label").filter(has_text=re.compile(rf"^{re.escape(title)}( \(Optional\))?$"))
    return label.locator("xpath=following-sibling::p")


def words(text: str) -> list[str]:
    """Return the words of a text, or of the markdown that it is made from, without the addresses of its links."""
    return re.findall(r"\w+", re.sub(r"\]\([^)]*\)", "]", text))
