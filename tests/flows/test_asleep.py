"""A worker that sleeps past its lease between its intent and its call: it sends nothing, and says so."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from states.stage import Stage, Trigger
from store.journal import Closing
from store.work import record_group
from store.writes import Begin, Write
from tests.flows.world import World


async def test_a_call_that_was_not_sent_is_known_not_to_have_happened(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with World(database_url, tmp_path) as world:
        slept: list[Trigger] = []

        def fall_asleep(engine: Engine, writes: Sequence[Write], **named: Any) -> list[Any]:
            written = record_group(engine, writes, **named)
            begun = [one.intent.trigger for one in writes if isinstance(one, Begin)]
            if Trigger.authenticate in begun and not slept:
                slept.extend(begun)
                world.clock.ahead += timedelta(seconds=world.lease_seconds + 1)
            return written

        monkeypatch.setattr("flows.resources.record_group", fall_asleep)
        world.add()

        await world.run_to_the_end()

        ended = world.story()
        assert slept == [Trigger.authenticate]
        assert (ended.stage, world.ledger().credentials_created) == (Stage.completed, 1)
        outcomes = [one.outcome for one in ended.intents if one.trigger is Trigger.authenticate]
        assert outcomes == [Closing.nothing, Closing.answered]
