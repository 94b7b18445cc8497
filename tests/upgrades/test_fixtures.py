"""There is a fixture of the first schema and of the newest, so that no change of the tables goes untried."""

from store.revisions import known_revisions
from tests.upgrades.fixture import versions

HOW = "make it with `uv run python -m tests.upgrades.make` and commit it: later code cannot make it any more"


def test_there_is_a_fixture_of_the_first_and_of_the_newest_schema() -> None:
    assert {known_revisions()[0], known_revisions()[-1]} <= set(versions()), HOW
