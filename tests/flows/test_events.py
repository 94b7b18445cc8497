"""Telling Prefect what has changed, beside the work."""

from pathlib import Path

import pytest

from flows import events
from flows.events import announcing
from flows.resources import open_resources
from store.records import Scope
from tests.flows.world import World


async def test_what_keeps_us_from_telling_keeps_nobody_from_working(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("a change that nobody has a sentence for")

    monkeypatch.setattr(events, "_untold", broken)
    worked = []

    async with (
        World(database_url, tmp_path) as world,
        open_resources(world.settings, clock=world.clock) as resources,
        announcing(resources, Scope(), most_for_operators=50),
    ):
        worked.append(True)

    assert worked == [True]
