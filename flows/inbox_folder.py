"""The inbox as a folder, wherever it is: on this machine, or behind any URL that fsspec can open.

Lists are only read. The one file of ours in there says what is wrong with the list that it stands beside.
"""

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BufferedRandom
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec  # type: ignore[import-untyped]  # it comes without types

FAULTS_SUFFIX = ".faults.txt"

_LISTS = (".csv", ".tsv", ".jsonl", ".ndjson")
_NOT_YET = (".", "~")
"""What a name begins with while a program is at work on the file."""
_TELLING = ("size", "mtime", "created", "LastModified", "last_modified", "updated", "ETag", "etag", "md5Hash")
"""What the various stores tell of a file that changes with it."""


class InboxUnreachable(Exception):
    """The inbox cannot be looked into; the text says why."""


@dataclass(frozen=True, slots=True)
class Found:
    """A list in the inbox."""

    place: str
    """By which it is known: its whole path or URL."""
    name: str
    path: str
    """By which its store knows it."""
    stamp: str
    """Changes whenever the file does."""

    @property
    def batch(self) -> str:
        """The batch that it goes into: one of its name, as for `onboard run`."""
        return PurePosixPath(self.name).stem


class InboxFolder:
    """A folder of lists."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        try:
            self._files, self._root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as unknown:
            raise InboxUnreachable(f"{shown(url)} cannot be opened: {unknown}") from None

    @property
    def is_on_this_machine(self) -> bool:
        """Whether its files have paths here."""
        return "file" in _names(self._files.protocol)

    def look(self) -> Mapping[str, Found]:
        """Return the lists that are in it, by their places.

        Raises :class:`InboxUnreachable`.
        """
        try:
            self._files.invalidate_cache()
            entries = self._files.ls(self._root, detail=True)
        except FileNotFoundError:
            return {}
        except Exception as failure:  # each store has errors of its own
            raise InboxUnreachable(f"{shown(self.url)} cannot be looked into ({type(failure).__name__})") from failure
        found = [self._found(entry) for entry in entries if entry["type"] == "file" and _is_a_list(entry["name"])]
        return {one.place: one for one in sorted(found, key=lambda one: one.name)}

    def digest(self, found: Found) -> str:
        """Return the digest of a list's bytes."""
        with self._open(found.path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    @contextmanager
    def at_hand(self, found: Found, home: Path) -> Iterator[Path]:
        """Give a path by which a list can be read: its own, or that of a copy in ``home`` that nobody else can read."""
        if self.is_on_this_machine:
            yield Path(found.path)
            return
        with tempfile.TemporaryDirectory(dir=home, prefix="inbox-") as folder:
            copy = Path(folder) / found.name
            self._files.get_file(found.path, str(copy))
            yield copy

    def write_faults(self, found: Found, text: str) -> None:
        """Say beside a list what is wrong with it, if that place can be written to."""
        with suppress(Exception), self._open(found.path + FAULTS_SUFFIX, "wb") as file:
            file.write(text.encode())

    def forget_faults(self, found: Found) -> None:
        """Take away what was said of an earlier version of a list."""
        with suppress(Exception):
            self._files.rm_file(found.path + FAULTS_SUFFIX)

    def _open(self, path: str, mode: str) -> BufferedRandom:
        file: BufferedRandom = self._files.open(path, mode)
        return file

    def _found(self, entry: Mapping[str, Any]) -> Found:
        path = str(entry["name"])
        name = PurePosixPath(path).name
        told = repr([(key, str(entry[key])) for key in _TELLING if key in entry])
        return Found(f"{self.url}/{name}", name, path, hashlib.sha256(told.encode()).hexdigest())


def _is_a_list(path: str) -> bool:
    name = PurePosixPath(path).name
    return name.lower().endswith(_LISTS) and not name.startswith(_NOT_YET)


def _names(protocol: str | tuple[str, ...]) -> tuple[str, ...]:
    return (protocol,) if isinstance(protocol, str) else protocol


def shown(url: str) -> str:
    """Leave out what may stand between the scheme and the host: a name and a password."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}" if separator else url
