"""Opens a list as text, line by line, and says plainly what it is when it is none."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from store.lists.rows import Fault

LONGEST_LINE = 4_000_000
_SAVE_AS_TEXT = "save it as CSV in UTF-8 (in Excel: CSV UTF-8), or as JSONL"
_SIGNS = (
    (b"PK\x03\x04", "is a workbook or an archive, not text"),
    (b"\xd0\xcf\x11\xe0", "is an old Excel workbook, not text"),
    (b"\x1f\x8b", "is compressed, not text"),
    (b"%PDF", "is a PDF, not text"),
    (b"\xff\xfe", "is UTF-16, not UTF-8"),
    (b"\xfe\xff", "is UTF-16, not UTF-8"),
)


class UnreadableFile(Exception):
    """The file cannot be read as text at all."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.fault = fault


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """Open ``path`` for reading as UTF-8, with or without a byte order mark, its line ends as they are.

    Bytes that are not UTF-8 become lone surrogates, so that :func:`line_fault` can name their line and reading goes on.
    Raises :class:`UnreadableFile`.
    """
    try:
        if path.is_dir():
            raise UnreadableFile(Fault(0, "", f"{path} is a folder", "name a file"))
        if path.exists() and not path.is_file():
            # A list is read twice, to check all of it before any of it is used.
            raise UnreadableFile(Fault(0, "", f"{path} is not a regular file", "save the list to a file first"))
        with path.open("rb") as opened:
            _refuse_other_formats(path, opened.read(4096))
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as text:
            yield text
    except FileNotFoundError:
        raise UnreadableFile(Fault(0, "", f"there is no file {path}", "check the path")) from None
    except PermissionError:
        raise UnreadableFile(Fault(0, "", f"{path} may not be read", "check its permissions")) from None
    except OSError as fault:
        raise UnreadableFile(Fault(0, "", f"{path} cannot be read: {fault.strerror}", "check the file")) from None


def digest_of(path: Path) -> str:
    """Return a digest of the file's bytes; "" if it cannot be read, which :func:`open_text` says better."""
    try:
        with path.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest() if path.is_file() else ""
    except OSError:
        return ""


def line_fault(line: str, number: int) -> Fault | None:
    """Return what makes the physical line ``number`` unusable as text, if anything does."""
    if len(line) >= LONGEST_LINE:
        return Fault(number, "", f"the line has more than {LONGEST_LINE:,} characters", "check its line ends")
    if "\x00" in line:
        return Fault(number, "", "the line holds a NUL byte", _SAVE_AS_TEXT)
    if not line.isascii() and any("\ud800" <= character <= "\udfff" for character in line):
        return Fault(number, "", "the line is not UTF-8", _SAVE_AS_TEXT)
    return None


def _refuse_other_formats(path: Path, head: bytes) -> None:
    if not head:
        raise UnreadableFile(Fault(1, "", f"{path} is empty", "check that it was saved"))
    for sign, what in _SIGNS:
        if head.startswith(sign):
            raise UnreadableFile(Fault(1, "", f"{path} {what}", _SAVE_AS_TEXT))
    if head.count(0) * 4 >= len(head):
        what = "is UTF-16, not UTF-8" if not any(head[1::2]) or not any(head[::2]) else "is binary, not text"
        raise UnreadableFile(Fault(1, "", f"{path} {what}", _SAVE_AS_TEXT))
