"""--watch: on a terminal, which is a real one here, and elsewhere."""

import json
import os
import pty
import select
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deployments.cli.exits import database_is_away
from deployments.cli.watching import Seen, watch
from states.holds import HoldKind, Reason
from states.stage import Stage
from tests.deployments.cli.conftest import Onboard

Put = Callable[..., None]
AWAITING = {
    "stage": Stage.created,
    "hold": HoldKind.customer,
    "reason": Reason.awaiting_consent,
    "sentence": "no consent",
}
OWN_SCREEN, BACK, CURSOR_AGAIN = "\x1b[?1049h", "\x1b[?1049l", "\x1b[?25h"


@dataclass
class Watched:
    """A command in a terminal of its own, and all that it has written there."""

    process: subprocess.Popen[bytes]
    terminal: int
    written: str = field(default="")

    def until(self, words: str, *, after: int = 0) -> None:
        deadline = time.monotonic() + 60
        while words not in self.written[after:]:
            assert time.monotonic() < deadline, f"{words!r} is not in {self.written!r}"
            self.read()

    def read(self) -> None:
        if select.select([self.terminal], [], [], 0.2)[0]:
            with suppress(OSError):  # the other end is closed
                self.written += os.read(self.terminal, 65536).decode()

    def ended(self) -> int:
        deadline = time.monotonic() + 60
        while self.process.poll() is None:
            assert time.monotonic() < deadline
            self.read()
        self.read()
        return self.process.returncode


@contextmanager
def in_a_terminal(*words: str, **more: str) -> Iterator[Watched]:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", "from deployments.cli import main; main()", *words],
        stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "xterm", "COLUMNS": "80", **more},
    )  # fmt: skip
    os.set_inheritable(theirs, False)
    os.close(theirs)
    # A window that nobody has drawn has no size: sixty rows of eighty columns.
    import fcntl
    import struct
    import termios

    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 60, 80, 0, 0))
    try:
        yield Watched(process, ours)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_terminal_is_redrawn_in_place_and_given_back_with_the_last_look_in_it(put: Put, number: int):
    put("ada@example.test", **AWAITING)
    with in_a_terminal("status", "--every", "0.2") as watched:
        watched.until("1 onboarding")
        put("bo@example.test", **AWAITING)
        watched.until("2 onboardings")
        watched.process.send_signal(number)

        assert watched.ended() == 0
        assert watched.written.count(OWN_SCREEN) == watched.written.count(BACK) == 1
        own, _, left = watched.written.partition(BACK)
        assert CURSOR_AGAIN in own
        assert "2 onboardings" in left
        assert "no consent" in left


def test_it_ends_by_itself_once_everybody_is_completed_or_cancelled(put: Put, database: str):
    put("ada@example.test", **AWAITING)
    put("bo@example.test", hold=HoldKind.cancelled, reason=Reason.cancelled, sentence="cancelled")
    with in_a_terminal("status", "--every", "0.2") as watched:
        watched.until("no consent")
        with sqlite3.connect(database.removeprefix("sqlite:///"), timeout=30) as connection:
            connection.execute("UPDATE onboarding SET stage = 'completed', hold = NULL WHERE hold = 'customer'")
        connection.close()

        assert watched.ended() == 0
        assert "1 completed (50 %)" in watched.written.partition(BACK)[2]


def test_without_a_terminal_each_look_follows_the_other(capsys: pytest.CaptureFixture[str]):
    looks = iter([Seen(["one"], over=False), Seen(["two"], over=True)])

    watch(lambda: next(looks), 0.01, one_a_line=False)

    assert capsys.readouterr().out == "one\n\ntwo\n"


def test_a_database_that_is_away_for_a_moment_ends_nothing(capsys: pytest.CaptureFixture[str]):
    looks: Iterator[Seen | Exception] = iter(
        [Seen(["one"], over=False), sqlite3.OperationalError("database is locked"), Seen(["two"], over=True)]
    )

    def look() -> Seen:
        seen = next(looks)
        if isinstance(seen, Exception):
            raise seen
        return seen

    watch(look, 0.01, one_a_line=False)

    said = capsys.readouterr()
    assert said.out == "one\n\ntwo\n"
    assert said.err == "the database does not answer: database is locked\n"


def test_a_fault_of_our_own_is_not_taken_for_a_database_that_is_away():
    assert database_is_away(RuntimeError("no")) is None


def test_json_is_one_object_a_line(onboard: Onboard, put: Put):
    put("ada@example.test", stage=Stage.completed)
    for words in (["status"], ["show", "ada@example.test"]):
        ended = onboard(*words, "--watch", "--json")

        [line] = ended.out.splitlines()
        assert json.loads(line)


def test_who_is_not_there_is_not_watched_for(onboard: Onboard, put: Put, home: Path):
    assert onboard("show", "nobody@example.test", "--watch").code == 2
