"""Folders for their owner alone: the database, the key and Prefect's own files are nobody else's to read.

One function for whoever comes first: a folder that one part makes open is open for all the others.
"""

from pathlib import Path


def make_private(folder: Path) -> None:
    """Make ``folder`` and whichever of its parents are missing, with mode 0700; one that is there keeps its own."""
    missing = [folder]
    while not missing[-1].parent.exists():
        missing.append(missing[-1].parent)
    for one in reversed(missing):  # one by one: `parents` would open the outer ones to everybody
        one.mkdir(mode=0o700, exist_ok=True)
