"""The faulty rows of a list that was taken in without them, as they came: to be corrected there and run again."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from store.lists.check import Repeated
    from store.lists.rows import CustomerRow, Fault


def write_rejected(list_path: Path, checked: "Iterable[CustomerRow | Fault | Repeated]", wanted: Path | None) -> Path:
    """Write the header and the faulty rows of ``list_path`` to ``wanted``, or to a new file beside the list.

    ``checked`` are the list's rows and faults in the order of their lines. Returns the file.
    """
    from store.lists.text_file import open_text

    file = wanted or _beside(list_path)
    how = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if wanted else os.O_EXCL)
    # For its owner alone: the rows hold auth values, as the list does.
    with (
        os.fdopen(os.open(file, how, 0o600), "w", encoding="utf-8", errors="surrogateescape", newline="") as rejected,
        open_text(list_path) as text,
    ):
        rejected.writelines(_faulty_lines(text, checked))
    return file


def _faulty_lines(text: Iterable[str], checked: "Iterable[CustomerRow | Fault | Repeated]") -> Iterator[str]:
    """Yield what stands before the first row, and every row with a fault; a row goes on until the next one begins."""
    from store.lists.rows import Fault

    starts = ((item.line, isinstance(item, Fault)) for item in checked)
    ahead = next(starts, None)
    wanted = True
    for number, line in enumerate(text, start=1):
        at_row = False
        while ahead is not None and ahead[0] <= number:
            wanted = ahead[1] or (at_row and wanted)
            at_row = True
            ahead = next(starts, None)
        if wanted:
            yield line


def _beside(list_path: Path) -> Path:
    names = [f"{list_path.stem}.rejected{number}{list_path.suffix}" for number in ("", *range(2, 1000))]
    return next(path for path in map(list_path.with_name, names) if not path.exists())
