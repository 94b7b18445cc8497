"""Killed, resumed, and killed again: at pairs of boundaries on the shortest way.

The second boundary is any that is crossed after the first kill, by the process that resumes. A kill just before a
boundary finds the same world as one just after the boundary before it, so the pairs of which both lie after something
was done are all that differ; those are always walked, and with ``-m long`` really every pair is.
"""

from collections.abc import Callable, Collection
from pathlib import Path

import pytest

from tests.flows.world import World, on_sqlite
from tests.proofs.boundaries import Kind, Way
from tests.proofs.walking import WITH_AN_API_KEY, walk

RecordProperty = Callable[[str, object], None]

SOMETHING_WAS_DONE = (Kind.after_commit, Kind.after_answer)

pytestmark = pytest.mark.long


@on_sqlite
async def test_a_process_may_be_killed_twice(
    database_url: str, tmp_path: Path, record_property: RecordProperty
) -> None:
    pairs = await kill_at_pairs(database_url, tmp_path, SOMETHING_WAS_DONE)

    record_property("proof", f"killed at each of {pairs} pairs of boundaries after which the world differs")


@on_sqlite
@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_a_process_may_be_killed_at_any_two_boundaries(
    database_url: str, tmp_path: Path, record_property: RecordProperty
) -> None:
    pairs = await kill_at_pairs(database_url, tmp_path, tuple(Kind))

    record_property("proof", f"killed at each of {pairs} pairs of boundaries")


async def kill_at_pairs(database_url: str, tmp_path: Path, kinds: Collection[Kind]) -> int:
    """Kill at every pair of boundaries of ``kinds``; return how many pairs there were."""
    pairs = 0
    async with World(database_url, tmp_path) as world:
        for first in (await walk(world, WITH_AN_API_KEY, Way())).numbers(*kinds):
            resumed = await walk(world, WITH_AN_API_KEY, Way(kills={first}))
            for second in resumed.numbers(*kinds):
                if second > first:
                    await walk(world, WITH_AN_API_KEY, Way(kills={first, second}))
                    pairs += 1
    return pairs
