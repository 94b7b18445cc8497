"""Markdown from what we know and what others wrote: their text stays text, in a table, a heading or a list.

Punctuation is written as character references, which every reader of markdown decodes only after it has found the
tables, code and links; a backslash is not safe inside a table everywhere.
"""

import re
from collections.abc import Iterable, Sequence

LONGEST = 300
"""So many letters of a text that came from outside are shown."""

# What no markup is made of; a dot, a colon or an @ may still make an address, which `_unlinked` sees to.
_HARMLESS = re.compile(r"[\w .,:;@/%+=?'-]", re.ASCII)
_ADDRESS = re.compile(r"(://|www\.)", re.IGNORECASE)
_COMMAND = re.compile(r"[\w .,:;@/%+='\"-]+", re.ASCII)
_ZERO_WIDTH_SPACE = "&#8203;"


def text(words: str) -> str:
    """Return ``words`` of others as plain text: neither markup nor a link, on one line, and not endless."""
    words = " ".join(words.split())
    if len(words) > LONGEST:
        words = f"{words[:LONGEST]}…"
    return "".join(_unlinked(part) if _ADDRESS.fullmatch(part) else _escaped(part) for part in _ADDRESS.split(words))


def prose(words: str) -> str:
    """Return a sentence as plain text that may be broken after each slash: a path must not widen a table."""
    return text(words).replace("/", f"/{_ZERO_WIDTH_SPACE}")


def code(words: str) -> str:
    """Return a command as code, to be copied; as plain text where it holds something that could end the code."""
    return f"`{words}`" if _COMMAND.fullmatch(words) else text(words)


def link(words: str, address: str) -> str:
    """Return a link to a page of ours."""
    return f"[{text(words)}]({address})"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of cells that are markdown already; a column whose head begins with ``#`` holds numbers."""
    lines = [
        f"| {' | '.join(name.lstrip('#') for name in head)} |",
        f"|{'|'.join('---:' if name.startswith('#') else '---' for name in head)}|",
    ]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def page(*parts: str) -> str:
    """Return the parts that say something, one below the other."""
    return "\n\n".join(part for part in parts if part) + "\n"


def _escaped(words: str) -> str:
    return "".join(_letter(letter) for letter in words)


def _letter(letter: str) -> str:
    if _HARMLESS.fullmatch(letter) and letter != "_":
        return letter
    if not letter.isprintable():
        return "�"
    return letter if letter.isalnum() or letter == "…" else f"&#{ord(letter)};"


def _unlinked(address: str) -> str:
    """Break what some readers would make a link of."""
    return f"{address[:-1]}{_ZERO_WIDTH_SPACE}{address[-1]}"
