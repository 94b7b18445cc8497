"""Debian's Chromium, without a screen: where it is, how it is started, and the pages that it opens.

Whatever a page asks for, nothing but this machine is reached. Prefect's pages ask for an analytics service, also where
analytics are switched off.
"""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from playwright.async_api import Browser, BrowserContext, async_playwright, expect

PATIENCE_SECONDS = 60
"""How long a condition is waited for: many times what it takes, since the machine may be busy."""

_FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


class BrowserMissing(Exception):
    """There is no browser to test with. The message says what to install."""


def chromium() -> str:
    """Return the browser's path. Raises BrowserMissing."""
    found = shutil.which("chromium")
    if found is None:
        raise BrowserMissing("The browser tests need Chromium: `apt-get install --no-install-recommends chromium`")
    return found


@asynccontextmanager
async def running_chromium() -> AsyncIterator[Browser]:
    """Run one browser with an empty profile, which is deleted with it. Raises BrowserMissing."""
    path = chromium()
    expect.set_options(timeout=PATIENCE_SECONDS * 1000)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=_FLAGS)
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def new_context(browser: Browser, theme: Literal["light", "dark"] = "light") -> AsyncIterator[BrowserContext]:
    """Give pages that share a cache, as those of one person do: Prefect's are made of megabytes of scripts."""
    context = await browser.new_context(
        viewport={"width": 1280, "height": 900}, locale="en-GB", timezone_id="UTC", color_scheme=theme
    )
    context.set_default_timeout(PATIENCE_SECONDS * 1000)
    try:
        yield context
    finally:
        await context.close()
