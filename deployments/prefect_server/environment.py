"""The Prefect settings that this project needs, and how they reach a process and its children.

What a user has set, in the environment, ``.env``, a profile or ``pyproject.toml``, is never replaced, with one
exception: the server that belongs to an ``.onboard/`` folder keeps its home and its database in that folder, or runs
would not be found again.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

CLIENT_DEFAULTS: Mapping[str, str] = {
    # Prefect logs several INFO lines for each task run and sends them to the server. Without them a bulk run is
    # a third faster; warnings still reach the run's page.
    "PREFECT_LOGGING_LEVEL": "WARNING",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
}

SERVER_DEFAULTS: Mapping[str, str] = {
    # With its default of one row a transaction the recorder writes 24 task runs a second and silently drops the rest.
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "500",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    # Kept in memory, the slots of a killed server stay taken for good: a limit of one then cancels every later run.
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
}


def configured_api_url() -> str | None:
    """Say which Prefect API the user has configured, wherever Prefect itself would look for it."""
    from prefect.settings import get_current_settings  # importing Prefect takes seconds

    return get_current_settings().api.url


def configured_ui_url() -> str | None:
    """Say where the configured API shows its pages, as far as Prefect can tell."""
    from prefect.settings import get_current_settings  # importing Prefect takes seconds

    return get_current_settings().ui_url


def server_environment(folder: Path, port: int) -> dict[str, str]:
    """Give the whole environment of a server process that keeps everything in ``folder``."""
    return {
        **os.environ,
        **_not_configured({**SERVER_DEFAULTS, **_retention()}),
        **_home(folder),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{folder / 'prefect.db'}",
        # On any port but 4200 the pages would look for their API in the wrong place.
        "PREFECT_SERVER_UI_API_URL": f"http://127.0.0.1:{port}/api",
        "DO_NOT_TRACK": "1",
    }


def client_environment(folder: Path | None = None, api_url: str | None = None) -> dict[str, str]:
    """Give what has to be added to the environment of a process that talks to Prefect, and of its children."""
    environment = {**_not_configured(CLIENT_DEFAULTS), "DO_NOT_TRACK": "1"}
    if folder is not None and api_url is not None:
        # Behind a corporate proxy, Prefect's client would ask the proxy for 127.0.0.1. The small letters win.
        spared = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
        environment |= {
            **_home(folder),
            "PREFECT_API_URL": api_url,
            "no_proxy": f"{spared},127.0.0.1" if spared else "127.0.0.1",
        }
    return environment


@contextmanager
def prefect_environment(environment: Mapping[str, str]) -> Iterator[None]:
    """Hold these settings for this process, all of its threads, and the processes it starts meanwhile."""
    from prefect.context import refresh_global_settings_context  # importing Prefect takes seconds
    from prefect.settings import temporary_settings

    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    # Prefect reads the environment when it is imported. Threads that carry no context see the global settings ...
    refresh_global_settings_context()
    try:
        # ... and code inside somebody else's temporary settings sees only those, unless ours are laid over them.
        with temporary_settings({name: value for name, value in environment.items() if name.startswith("PREFECT_")}):
            yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        refresh_global_settings_context()


def _retention() -> dict[str, str]:
    """Have the server delete what is old: nothing else ever does, and resumes alone are a hundred thousand a year."""
    from flows.settings import Settings

    keep = str(Settings().onboard_keep_days * 24 * 60 * 60)
    return {
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "true",  # runs, logs and artifacts, not only events
        "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": keep,
    }


def _not_configured(defaults: Mapping[str, str]) -> dict[str, str]:
    from prefect.settings import get_current_settings  # importing Prefect takes seconds

    configured = get_current_settings().to_environment_variables(exclude_unset=True)
    return {name: value for name, value in defaults.items() if name not in configured}


def _home(folder: Path) -> dict[str, str]:
    from prefect.settings import get_current_settings  # importing Prefect takes seconds

    # Moving Prefect's home would lose the user's profile, and with it what they have configured.
    return {"PREFECT_HOME": str(folder), "PREFECT_PROFILES_PATH": str(get_current_settings().profiles_path)}
