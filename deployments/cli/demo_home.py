"""The demo's own home: a folder with its database, its key, its Prefect and its Alloy, apart from everything real.

``onboard --demo COMMAND`` works in it as ``onboard COMMAND`` does in the real one. What is set for the real account is
laid aside meanwhile, so a demo can touch neither the account nor the records of anybody.
"""

import fcntl
import json
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import typer

from deployments.cli.exits import ExitCode, Refused
from deployments.cli.opening import read_settings
from deployments.cli.wording import IN_DEMO

FOLDER = "demo"
PORT = 8017
CALLS_PER_SECOND = "40"
BATCH = "demo"

_NEEDS_ALLOY = frozenset({"run", "resume", "doctor", "up"})


def demo_home() -> Path:
    """Say where the demo lives: beside the real records, in a folder of its own."""
    return read_settings().onboard_home / FOLDER


def enter(context: typer.Context) -> None:
    """Let the command of ``context`` work in the demo's home, with its Alloy at hand if it will call it."""
    home = demo_home()
    if not _facts_file(home).exists():
        raise Refused(ExitCode.bad_input, "no_demo", "there is no demo here yet: run `onboard demo` first")
    context.with_resource(_share(home))
    context.with_resource(demo_environment(home))
    if context.invoked_subcommand in _NEEDS_ALLOY:
        context.with_resource(local_alloy(home))


@contextmanager
def fresh_home() -> Iterator[Path]:
    """Give an empty home to the demo alone. What Prefect remembers of earlier demos is kept.

    Raises :class:`Refused` while another command works in it.
    """
    from store.private_folder import make_private

    home = demo_home()
    make_private(home)
    with _lock_file(home) as lock:
        _lock(lock, fcntl.LOCK_EX, home)
        for entry in home.iterdir():
            if entry.name == "prefect" or entry == _lock_path(home):
                continue
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        _facts_file(home).write_text(json.dumps({"port": _free_port()}))
        with demo_environment(home):
            yield home


@contextmanager
def local_alloy(home: Path) -> Iterator[None]:
    """Have the demo's Alloy answer while the block runs: the one that runs already, or one in this process."""
    from deployments.cli.demo_alloy import running_demo_alloy

    if _answers(_port(home)):
        yield
    else:
        with running_demo_alloy(home, _port(home)):
            yield


@contextmanager
def demo_environment(home: Path) -> Iterator[None]:
    """Hold the demo's settings in the environment, for this process and those that it starts."""
    settings = {
        "ONBOARD_HOME": str(home.absolute()),
        "ONBOARD_DATABASE_URL": "",
        "ONBOARD_SECRET_KEY": "",
        "ALLOY_API_KEY": "sandbox-dev-key",
        "ALLOY_BASE_URL": f"http://127.0.0.1:{_port(home)}",
        "ALLOY_API_VERSION": "",
        "ALLOY_RATE": CALLS_PER_SECOND,
    }
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    IN_DEMO.set(True)  # for good: what is said of a failure, after the block, has to name the demo's commands too
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def sandbox_arguments() -> list[str]:
    """Return how `onboard sandbox` is to be started inside the demo; outside, as the user says."""
    if not IN_DEMO.get():
        return []
    home = read_settings().onboard_home
    return [f"--port={_port(home)}", f"--state={state_file(home)}", "--knob=verify_secret=true"]


def state_file(home: Path) -> Path:
    """Say where the demo's Alloy remembers its account."""
    return home / "alloy.json"


def port_of(home: Path) -> int:
    """Say where the demo's Alloy listens: always the same, since the consent links lead there."""
    return _port(home)


def _port(home: Path) -> int:
    try:
        return int(json.loads(_facts_file(home).read_text())["port"])
    except (OSError, ValueError, KeyError, TypeError):
        raise Refused(
            ExitCode.cannot_start, "no_demo", f"{_facts_file(home)} is damaged: run `onboard demo` again"
        ) from None


def _facts_file(home: Path) -> Path:
    return home / "demo.json"


def _lock_path(home: Path) -> Path:
    return home / "in-use.lock"


def _lock_file(home: Path) -> IO[bytes]:
    return _lock_path(home).open("ab")


@contextmanager
def _share(home: Path) -> Iterator[None]:
    with _lock_file(home) as lock:
        _lock(lock, fcntl.LOCK_SH, home)
        yield


def _lock(lock: IO[bytes], kind: int, home: Path) -> None:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Refused(
            ExitCode.cannot_start, "demo_in_use", f"another command works in {home}: end it first, and try again"
        ) from None


def _free_port() -> int:
    for wanted in (PORT, 0):
        with socket.socket() as candidate:
            candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                candidate.bind(("127.0.0.1", wanted))
            except OSError:
                continue
            return int(candidate.getsockname()[1])
    raise Refused(ExitCode.cannot_start, "no_port", "no port is free on this machine")


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
