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

    async def find_deployment(self, name: str) -> Locator:
        """Look for a deployment in the list of all, which has several pages; return its row."""
        await self.page.get_by_placeholder("Search deployments").fill(name)
        return self.page.get_by_role("row").filter(has=self._link_to(name))

    async def open_deployment(self, name: str) -> None:
        """Go to a deployment from the list of all."""
        await self.open("deployments")
        await self.find_deployment(name)
        await self._link_to(name).click()

    def _link_to(self, name: str) -> Locator:
        # A flow may have the same name, and its link stands in the same row.
        links = self.page.locator("a[href*='/deployments/deployment/']")
        return links.filter(has_text=re.compile(rf"^{re.escape(name)}$"))

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
