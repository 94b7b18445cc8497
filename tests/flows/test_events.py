"""Telling Prefect what has changed, beside the work."""

from pathlib import Path

import pytest

from flows import events
from flows.events import announcing, tell_of_halt
from flows.resources import open_resources
from flows.settings import Settings
from states.failures import Halted
from states.holds import Reason
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


async def test_a_machine_that_may_not_use_a_database_of_its_own_makes_none_to_tell_of_its_halt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings.model_validate({"onboard_shared": True, "onboard_home": ".onboard"})

    await tell_of_halt(settings, Halted(Reason.not_shared, "ONBOARD_DATABASE_URL must be set"))

    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240 - one look
