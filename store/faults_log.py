"""Where a fault of this program is written down, without the values that it came upon: messages may quote secrets."""

import os
import sys
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from store.private_folder import make_private

FILE = "faults.log"


def write_down(fault: BaseException, home: Path) -> Path:
    """Append where ``fault`` and its causes came through, and their kinds, to the log in ``home``; return its path.

    A log that cannot be written raises nothing, and is said to be nowhere: the fault itself matters more.
    """
    file = home / FILE
    try:
        make_private(home)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8") as log:
            log.write(f"--- {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC, pid {os.getpid()}, {Path(sys.argv[0]).name}\n")
            log.writelines(_without_values(fault))
    except OSError:
        return Path(os.devnull)
    return file


def _without_values(fault: BaseException) -> Iterator[str]:
    seen: set[int] = set()
    current: BaseException | None = fault
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield f"{type(current).__module__}.{type(current).__qualname__}\n"
        yield from traceback.format_tb(current.__traceback__)
        current = current.__cause__ or current.__context__
