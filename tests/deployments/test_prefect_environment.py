"""What a server that we start is told: Prefect ignores a setting that it does not know without a word."""

from datetime import timedelta
from pathlib import Path

import pytest

from deployments.prefect_server.environment import server_environment


def test_every_setting_of_a_server_that_we_start_is_one_that_the_installed_prefect_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.settings.models.root import Settings

    monkeypatch.chdir(tmp_path)
    given = {name: value for name, value in server_environment(tmp_path, 4200).items() if name.startswith("PREFECT_")}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    settings = Settings()

    assert given.keys() - settings.to_environment_variables().keys() == set()
    vacuum = settings.server.services.db_vacuum
    assert (vacuum.enabled, vacuum.retention_period) == (True, timedelta(days=30))
