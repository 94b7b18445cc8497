"""Peaks of memory and seconds of CPU of processes that are at work, as the kernel counts them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from os import sysconf
from pathlib import Path

_TICKS = sysconf("SC_CLK_TCK")
_LOOK_EVERY_SECONDS = 0.05


class Peak:
    """The most memory that a process has held at once.

    Not what ``wait4`` tells: that also counts what its parent held when it was started.
    """

    def __init__(self) -> None:
        self.megabytes = 0.0


@contextmanager
def watching_memory(pid: int) -> Iterator[Peak]:
    """Look at a process again and again: once it has ended, there is nothing to be seen."""
    peak, ended = Peak(), threading.Event()

    def watch() -> None:
        while True:
            with suppress(OSError, StopIteration):
                lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
                peak.megabytes = int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024
            if ended.wait(_LOOK_EVERY_SECONDS):
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        ended.set()
        watcher.join()


def cpu_seconds(root: int) -> float:
    """Return what a process, and all that it has started, have used of the CPU so far."""
    stats = dict(_every_process())
    below = {root}
    for pid in sorted(stats):  # a child is younger than its parent, and its number is higher unless they have run out
        if int(stats[pid][1]) in below:
            below.add(pid)
    # User and system time, its own and that of the children that it has waited for.
    return sum(sum(map(int, stats[pid][11:15])) for pid in below if pid in stats) / _TICKS


def busy_seconds() -> float:
    """Return what everybody on this machine has used of the CPU so far: tells whether others were at work."""
    user, nice, system, _idle, _waiting, *interrupts = map(
        int, Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:]
    )
    return (user + nice + system + sum(interrupts[:2])) / _TICKS


def parent_of(pid: int) -> int:
    """Return the process that has started this one."""
    return int(_fields(pid)[1])


def _every_process() -> Iterator[tuple[int, list[str]]]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                yield int(folder.name), _fields(int(folder.name))


def _fields(pid: int) -> list[str]:
    """Return what follows the process's name in its line: its state first, then its parent."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
