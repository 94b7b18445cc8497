"""The picture in the README is the table."""

from pathlib import Path

from states.diagram import mermaid
from states.transitions import TRANSITIONS

README = Path(__file__).parents[2] / "README.md"


def test_the_diagram_shows_every_transition() -> None:
    drawn = mermaid()

    assert all(f"{row.source} --> {row.dest}: {row.trigger}" in drawn for row in TRANSITIONS)


def test_the_readme_shows_the_diagram() -> None:
    assert f"```mermaid\n{mermaid()}\n```" in README.read_text(encoding="utf-8")
