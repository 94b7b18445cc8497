"""The versions that the tables have gone through. Apart from the engine, since asking for them needs no SQLAlchemy."""

from pathlib import Path

MIGRATIONS = Path(__file__).parent / "migrations"


def known_revisions() -> list[str]:
    """Return the versions that the tables have gone through, the newest last."""
    return sorted(file.stem.partition("_")[0] for file in (MIGRATIONS / "versions").glob("[0-9]*.py"))
