"""Killed, resumed, and killed again: at pairs of boundaries on the shortest way.

The second boundary is any that is crossed after the first kill, by those who resume. By default every first boundary
goes with two second ones, and a kill just before a boundary is left out: it finds the same world as a kill just after
the boundary before it. With ``-m long`` really every pair is walked, on both databases.
"""

from collections.abc import Callable, Collection
from pathlib import Path

import pytest

from tests.flows.world import StillClock, World
from tests.proofs.boundaries import Kind, Way
from tests.proofs.walking import WITH_AN_API_KEY, some_of, walk

RecordProperty = Callable[[str, object], None]


_LONG = (pytest.mark.long, pytest.mark.timeout(3600))


@pytest.mark.parametrize(
    ("database_kind", "kinds", "most"),
    [
        pytest.param("sqlite", (Kind.after_commit, Kind.after_answer), 2, id="part"),
        pytest.param("sqlite", tuple(Kind), None, id="whole-sqlite", marks=_LONG),
        pytest.param("postgresql", tuple(Kind), None, id="whole-postgresql", marks=_LONG),
    ],
)
async def test_a_process_may_be_killed_at_any_two_boundaries(
    kinds: Collection[Kind], most: int | None, database_url: str, tmp_path: Path, record_property: RecordProperty
) -> None:
    walked = there_are = 0
    async with World(database_url, tmp_path, clock=StillClock()) as world:
        for first in (await walk(world, WITH_AN_API_KEY, Way())).numbers(*kinds):
            resumed = await walk(world, WITH_AN_API_KEY, Way(kills={first}))
            seconds = [number for number in resumed.numbers(*kinds) if number > first]
            chosen = some_of(seconds, most, world, WITH_AN_API_KEY)
            for second in chosen:
                await walk(world, WITH_AN_API_KEY, Way(kills={first, second}))
            walked += len(chosen)
            there_are += len(seconds)

    record_property("proof", f"killed at {walked} of {there_are} pairs of boundaries ({', '.join(kinds)})")
