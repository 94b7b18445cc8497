"""What commands open before they can work: the settings and the database.

Everything heavy is imported when it is opened, so that ``onboard --help`` pays for none of it.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from deployments.cli.exits import ExitCode, Fault, Refused

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Engine

    from flows.settings import Settings
    from store.read_only import Database

_NO_KEY = (
    "ALLOY_API_KEY is not set: put it into the environment or into .env. "
    "Without an account, `onboard demo` shows everything against a local Alloy"
)


def read_settings(*, with_key: bool = False) -> "Settings":
    """Read the settings from the environment and ``.env``; refuse if one is wrong, or the key needed and missing."""
    from pydantic import ValidationError

    from flows.settings import Settings

    try:
        settings = Settings()
    except ValidationError as wrong:
        # Pydantic's own text would quote the value, which may be a key.
        faults = [
            Fault(0, str(one["loc"][0]).upper() if one["loc"] else "", one["msg"], "correct or unset it")
            for one in wrong.errors(include_input=False, include_url=False, include_context=False)
        ]
        raise Refused(ExitCode.cannot_start, "configuration", "a setting is wrong", faults) from None
    except (OSError, UnicodeDecodeError) as wrong:
        raise Refused(ExitCode.cannot_start, "configuration", f".env cannot be read: {type(wrong).__name__}") from None
    if with_key and (settings.alloy_api_key is None or not settings.alloy_api_key.get_secret_value().strip()):
        raise Refused(ExitCode.cannot_start, "no_api_key", _NO_KEY)
    return settings


@contextmanager
def open_database(settings: "Settings | None" = None) -> Iterator["Engine"]:
    """Open the database, its tables up to date, and close it with the block."""
    from sqlalchemy.exc import DatabaseError

    from store.engine import make_engine, migrate

    settings = settings or read_settings()
    try:
        engine = make_engine(settings.database_url)
    except OSError as fault:
        raise _unusable(fault.strerror or type(fault).__name__) from None
    try:
        try:
            migrate(engine)
        except DatabaseError as fault:
            raise _unusable(str(fault.orig).strip().partition("\n")[0]) from None
        yield engine
    finally:
        engine.dispose()


def time_by(engine: "Engine") -> "datetime":
    """Return the time by the database's clock: one that workers on other machines reckon their leases by (D10).

    Asked anew after a prompt, before which somebody may have sat for an hour.
    """
    from store.engine import time_of

    return time_of(engine)


@contextmanager
def open_to_ask(settings: "Settings | None" = None) -> Iterator["Database"]:
    """Open the database for what is asked in plain SQL (:mod:`store.read_only`), without SQLAlchemy.

    That spares whoever looks most of a second.

    Where the tables have to be made first, or something is wrong, it is :func:`open_database` that does it or says so.
    """
    from store.read_only import open_read_only

    settings = settings or read_settings()
    database = open_read_only(settings.database_url)
    if database is None:
        with open_database(settings) as engine:
            yield engine
    else:
        with closing(database):
            yield database


def _unusable(why: str) -> Refused:
    return Refused(ExitCode.cannot_start, "database", f"the database cannot be used: {why}; check ONBOARD_DATABASE_URL")
