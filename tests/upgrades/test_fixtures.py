"""There is a fixture of every schema that ever was, so that no change of the tables goes untried."""

from store.revisions import known_revisions
from tests.upgrades.fixture import versions

HOW = "make it with `uv run python -m tests.upgrades.make` and commit it: later code cannot make it any more"


def test_there_is_a_fixture_of_every_schema() -> None:
    assert versions() == list(known_revisions()), HOW
