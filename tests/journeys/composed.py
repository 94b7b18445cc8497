"""All that the compose file starts, started here without containers: its own commands, with its own settings.

Only addresses differ. PostgreSQL and Redis are Debian's, since Prefect's tables need an extension of PostgreSQL that no
wheel has. One more API server is started than the file has, for which its settings are meant as well.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.fernet import Fernet

from tests.compose_file import COMPOSED, SERVICES, filled_in
from tests.journeys.processes import LONGEST_SECONDS, Prefect, until, untouched_environment

_PROGRAMS = Path(sys.executable).parent
_GIVEN = {"POSTGRES_PASSWORD": "lettersAnd4Digits", "ONBOARD_SECRET_KEY": Fernet.generate_key().decode()}


class DebianPackagesMissing(AssertionError):
    """The servers that the compose file names are not here."""

    def __init__(self) -> None:
        super().__init__(
            "This test needs PostgreSQL and Redis: `apt-get install --no-install-recommends postgresql redis-server`"
        )


@dataclass(frozen=True, slots=True)
class Composed:
    """What is running: two API servers of one Prefect, and what the commands are told."""

    one: Prefect
    two: Prefect
    first_server: "subprocess.Popen[bytes]"
    settings: dict[str, str]
    """The environment of the file's workers, less the address of a server."""


def command(service: str) -> list[str]:
    """Return the words of a service's command."""
    return [filled_in(word) for word in SERVICES[service]["command"]]


@contextmanager
def composed(folder: Path) -> Iterator[Composed]:
    """Start everything but the workers, in the file's order; end it with the block.

    The second API server waits for the first: on an empty database two of them trip over each other's first rows.
    """
    with ExitStack() as stack:
        postgresql = stack.enter_context(_postgresql())
        redis = stack.enter_context(_redis(folder))
        addresses = {
            "@postgres:5432/": f"@127.0.0.1:{postgresql}/",
            "redis://redis:6379/": f"redis://127.0.0.1:{redis}/",
        }
        told = {
            **untouched_environment(),
            **_environment("prefect-server", addresses),
            "PREFECT_REDIS_MESSAGING_HOST": "127.0.0.1",
            "PREFECT_REDIS_MESSAGING_PORT": str(redis),
            "PREFECT_HOME": str(folder / "prefect-home"),
        }
        subprocess.run(_prefect("prefect-migrate"), env=told, check=True, capture_output=True, timeout=LONGEST_SECONDS)
        stack.enter_context(_running(_prefect("prefect-services"), told, folder / "services.log"))
        one, first_server = stack.enter_context(_api_server(folder / "one", told))
        two, _ = stack.enter_context(_api_server(folder / "two", told))
        yield Composed(one, two, first_server, _environment("worker", addresses))


def _environment(service: str, addresses: dict[str, str]) -> dict[str, str]:
    environment = {name: filled_in(value, _GIVEN) for name, value in SERVICES[service]["environment"].items()}
    for name, value in environment.items():
        for address, ours in addresses.items():
            environment[name] = value = value.replace(address, ours)
    return environment


def _prefect(service: str) -> list[str]:
    program, *words = command(service)
    return [str(_PROGRAMS / program), *words]


@contextmanager
def _api_server(folder: Path, told: dict[str, str]) -> Iterator[tuple[Prefect, "subprocess.Popen[bytes]"]]:
    folder.mkdir()
    port = _free_port()
    here = {"0.0.0.0": "127.0.0.1", "4200": str(port)}  # noqa: S104 - what is replaced
    words = [here.get(word, word) for word in _prefect("prefect-server")]
    with _running(words, told, folder / "server.log") as process:
        server = Prefect(f"http://127.0.0.1:{port}/api", folder)
        until(lambda: _is_up(server, process))
        yield server, process


def _is_up(server: Prefect, process: "subprocess.Popen[bytes]") -> bool:
    assert process.poll() is None, (server.folder / "server.log").read_text(encoding="utf-8")[-2000:]
    try:
        server.ask("flow_runs/count")
    except OSError:
        return False
    return True


@contextmanager
def _redis(folder: Path) -> Iterator[int]:
    program = shutil.which("redis-server")
    if program is None:
        raise DebianPackagesMissing
    port = _free_port()
    words = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with _running([program, *words], dict(os.environ), folder / "redis.log"):
        until(lambda: _answers(port))
        yield port


@contextmanager
def _postgresql() -> Iterator[int]:
    """Run a server with both databases of the file; as root, as the user whom Debian made for it."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not found:
        raise DebianPackagesMissing
    programs, port = found[-1], _free_port()
    # Not tmp_path: as root the server runs as another user, whom pytest's private folders keep out.
    folder = Path(tempfile.mkdtemp(prefix="onboard-composed-"))
    password = folder / "password"
    password.write_text(_GIVEN["POSTGRES_PASSWORD"], encoding="ascii")
    as_user: list[str] = []
    if os.geteuid() == 0:
        as_user = ["runuser", "-u", "postgres", "--"]
        shutil.chown(folder, "postgres")
        shutil.chown(password, "postgres")

    def run(name: str, *words: str) -> None:
        subprocess.run([*as_user, programs / name, *words], check=True, cwd=folder, stdout=subprocess.DEVNULL)

    data = str(folder / "data")
    run("initdb", "-D", data, "-U", "postgres", "--auth", "scram-sha-256", "--pwfile", str(password), "--no-sync")
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=200"
    run("pg_ctl", "-D", data, "-l", str(folder / "log"), "-o", options, "-w", "start")
    try:
        for statement in ("CREATE DATABASE prefect;", COMPOSED["configs"]["second-database"]["content"]):
            address = f"postgresql://postgres:{_GIVEN['POSTGRES_PASSWORD']}@127.0.0.1:{port}/postgres"
            run("psql", "-q", "-v", "ON_ERROR_STOP=1", "-c", statement, address)
        yield port
    finally:
        run("pg_ctl", "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _running(words: Sequence[str], told: dict[str, str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with log.open("wb") as said:
        process = subprocess.Popen(words, env=told, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as candidate:
        candidate.bind(("127.0.0.1", 0))
        port: int = candidate.getsockname()[1]
        return port
