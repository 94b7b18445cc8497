"""Where the screenshots go, and how one is taken: people look at them, no test compares them."""

import os
from pathlib import Path

from playwright.async_api import Locator, Page

FOLDER_SETTING = "ONBOARD_SCREENSHOTS"


def screenshots_folder(base: Path) -> Path:
    """Return the folder that the environment names, or one below pytest's own, the same for all of its workers."""
    named = os.environ.get(FOLDER_SETTING)
    if named:
        return Path(named).resolve()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "screenshots"


class Screenshots:
    """Takes pictures into one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def take(self, shown: Page | Locator, name: str) -> Path:
        """Take a picture of a page as it is seen, or of one part of it in its full length."""
        path = self.folder / f"{name}.png"
        await shown.screenshot(path=path, animations="disabled")
        return path
