"""Journeys of real processes: one Prefect server for all of them, the local Alloy emptied for each."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.sandbox.control import SandboxControl
from tests.journeys.processes import Onboard, Prefect, running_alloy, running_prefect, settings_for


@pytest.fixture(scope="session")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prefect]:
    """One Prefect for all: each command would start its own, which takes ten seconds.

    Also for the workers of pytest-xdist, should these tests be spread over several: they share the folder.
    """
    base = tmp_path_factory.getbasetemp()
    with running_prefect((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "prefect") as server:
        yield server


@pytest.fixture(scope="session")
def alloy_of_all() -> Iterator[SandboxControl]:
    with running_alloy() as alloy:
        yield alloy


@pytest.fixture
def alloy(alloy_of_all: SandboxControl) -> SandboxControl:
    """The local Alloy: an empty account, and customers who consent at once."""
    alloy_of_all.reset()
    alloy_of_all.turn(auto="grant", latency_ms=10)
    return alloy_of_all


@pytest.fixture
def onboard(alloy: SandboxControl, prefect: Prefect, tmp_path: Path) -> Iterator[Onboard]:
    """The command in a folder of its own, with the local Alloy and the Prefect of all."""
    command = Onboard(tmp_path, settings_for(alloy, prefect))
    yield command
    command.close()


@pytest.fixture
def own_database(onboard: Onboard) -> str:
    """The database that the command makes for itself."""
    return f"sqlite:///{onboard.home / 'onboard.db'}"
