"""One worker as a process of its own, for tests that kill it: the loop over everything, told where by its arguments."""

import asyncio
import sys
from pathlib import Path

from pydantic import SecretStr

from flows.loop import Loop
from flows.moving import move_page
from flows.resources import open_resources
from flows.settings import Settings
from flows.tally import Tally
from store.records import Page, Scope


async def work(
    url: str, database_url: str, home: Path, api_key: str, lease_seconds: float, rate: float | None = 100_000
) -> None:
    """Do what one process does with one run, until it is killed or done."""
    settings = Settings(
        _env_file=None,  # type: ignore[call-arg]
        alloy_api_key=SecretStr(api_key),
        alloy_base_url=url,
        alloy_rate=rate,
        onboard_home=home,
        onboard_database_url=database_url,
        onboard_lease_seconds=lease_seconds,
    )
    async with open_resources(settings) as resources:

        async def move(page: Page) -> Tally:
            return await move_page(page, resources)

        await Loop(resources, Scope(), move).run()


if __name__ == "__main__":
    _, at, database, folder, key, lease, *unknown = sys.argv
    asyncio.run(work(at, database, Path(folder), key, float(lease), None if unknown else 100_000))
