"""The PostgreSQL of this machine, where there is one with its contributed extensions.

Prefect's own tables want the extension `pg_trgm`. The PostgreSQL that the tests get out of a wheel comes without it, so
a Prefect server on PostgreSQL needs one that was installed. Where there is none, Prefect keeps its SQLite file.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.engine import URL

_UNPRIVILEGED = "postgres"
"""Whom the server runs as where we are root, whom it refuses. Debian's package makes this user."""


@contextmanager
def machines_postgresql() -> Iterator[URL | None]:
    """Run a server of the installed PostgreSQL over a folder of its own; yield None if it cannot serve Prefect."""
    programs = {name: shutil.which(name) for name in ("initdb", "pg_ctl", "pg_config")}
    if None in programs.values() or not _has_pg_trgm(str(programs["pg_config"])) or not _may_run():
        yield None
        return
    folder = Path(tempfile.mkdtemp(prefix="prefect-pg-"))
    data, user = folder / "data", _UNPRIVILEGED if os.geteuid() == 0 else None
    if user is not None:
        os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
    options = f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off -c synchronous_commit=off"

    def ask(program: str, *words: str) -> None:
        subprocess.run([str(programs[program]), *words], user=user, cwd=folder, check=True, stdout=subprocess.DEVNULL)

    try:
        ask("initdb", "-D", str(data), "-U", "prefect", "-A", "trust", "-E", "UTF8")
        ask("pg_ctl", "-D", str(data), "-l", str(folder / "log"), "-o", options, "-w", "start")
        try:
            yield URL.create("postgresql", username="prefect", database="postgres", query={"host": str(folder)})
        finally:
            ask("pg_ctl", "-D", str(data), "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _has_pg_trgm(pg_config: str) -> bool:
    shared = subprocess.run([pg_config, "--sharedir"], check=True, capture_output=True, text=True).stdout.strip()
    return (Path(shared) / "extension" / "pg_trgm.control").exists()


def _may_run() -> bool:
    if os.geteuid() != 0:
        return True
    return any(one.pw_name == _UNPRIVILEGED for one in pwd.getpwall())
