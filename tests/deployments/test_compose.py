"""The compose file for several workers, held against what it names: settings, commands, services, the guide.

What is wrong with such a file is most often a name, and names can be looked up. What it starts is started, without
containers, in tests/journeys/test_composed.py.
"""

import re
import subprocess
import sys
from importlib import import_module
from typing import Any

import pytest
from typer.main import get_command

from deployments.cli import app
from deployments.prefect_server.environment import CLIENT_DEFAULTS, SERVER_DEFAULTS
from flows.settings import Settings
from tests.compose_file import COMPOSED, FOLDER, SERVICES, TEXT, filled_in

GUIDE = (FOLDER / "SCALING.md").read_text(encoding="utf-8")
SET = {name: value for service in SERVICES.values() for name, value in service.get("environment", {}).items()}
COMMANDS = get_command(app).commands


def settings_of_prefect() -> set[str]:
    """Every environment variable that Prefect, or its integration with Redis, reads."""
    from prefect.settings import Settings as PrefectSettings
    from prefect_redis.client import RedisMessagingSettings

    found = {f"PREFECT_REDIS_MESSAGING_{name.upper()}" for name in RedisMessagingSettings.model_fields}
    schemas: list[Any] = [PrefectSettings.model_json_schema()]
    while schemas:
        match schemas.pop():
            case dict(schema):
                found.update(schema.get("supported_environment_variables", ()))
                schemas.extend(schema.values())
            case list(several):
                schemas.extend(several)
    return found


@pytest.mark.parametrize("where", ["compose.yaml", "SCALING.md"])
def test_every_setting_that_is_named_exists(where: str):
    named = set(
        re.findall(r"\b(?:ALLOY|ONBOARD|PREFECT)_[A-Z_]+[A-Z]\b", {"compose.yaml": TEXT, "SCALING.md": GUIDE}[where])
    )
    ours = {name.upper() for name in Settings.model_fields}
    of_the_file = {"ONBOARD_WORKERS", "PREFECT_HOST"}

    assert named - ours - of_the_file - settings_of_prefect() == set()


def test_the_servers_have_the_settings_without_which_task_runs_are_lost():
    for name in ("prefect-server", "prefect-services"):
        settings = SERVICES[name]["environment"]
        expected = {**SERVER_DEFAULTS, "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect_redis.lease_storage"}
        assert {key: settings.get(key) for key in expected} == expected


def test_the_workers_have_what_our_own_commands_tell_prefect():
    settings = SERVICES["worker"]["environment"]
    assert settings["PREFECT_LOGGING_LEVEL"] == CLIENT_DEFAULTS["PREFECT_LOGGING_LEVEL"]


def test_the_workers_have_all_that_several_machines_share(monkeypatch: pytest.MonkeyPatch):
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in SERVICES["worker"]["environment"].items():
        monkeypatch.setenv(name, filled_in(value))

    settings = Settings(_env_file=None)

    assert settings.onboard_shared
    assert settings.of_this_machine == []


@pytest.mark.parametrize("name", sorted({value for value in SET.values() if value.startswith("prefect_redis.")}))
def test_what_prefect_is_to_load_is_there(name: str):
    wanted = {"messaging": ("Publisher", "Consumer", "Cache"), "ordering": ("CausalOrdering",)}
    module = import_module(name)
    for each in wanted.get(name.rpartition(".")[2], ("ConcurrencyLeaseStorage",)):
        assert hasattr(module, each)


@pytest.mark.parametrize("name", [name for name, service in SERVICES.items() if "command" in service])
def test_every_command_is_one_that_there_is(name: str):
    program, *words = [filled_in(word) for word in SERVICES[name]["command"]]
    if program == "onboard":
        COMMANDS[words[0]].make_context(words[0], words[1:])
        return
    assert program == "prefect"
    verbs = [word for word in words if word.isalpha()][:3]
    shown = subprocess.run(
        [sys.executable, "-m", "prefect", *verbs, "--help"], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert f"Usage: prefect {' '.join(verbs)}" in shown
    assert [word for word in words if word.startswith("--") and not re.search(rf"{word}(?![\w-])", shown)] == []


def test_whatever_is_waited_for_or_mounted_is_in_the_file():
    for service in SERVICES.values():
        for other, how in service.get("depends_on", {}).items():
            healthy = how["condition"] != "service_healthy" or "healthcheck" in SERVICES[other]
            assert healthy, f"{other} is waited for to be healthy, and nothing looks whether it is"
        assert {one["source"] for one in service.get("configs", [])} <= set(COMPOSED["configs"])
        assert {one.partition(":")[0] for one in service.get("volumes", [])} <= set(COMPOSED["volumes"])
        assert "image" in service


def test_the_image_is_made_of_this_package_and_what_the_servers_need():
    made = {name for name, service in SERVICES.items() if "build" in service}
    assert made == {"prefect-migrate"}, "one service builds the image, which all of them use"
    build = SERVICES["prefect-migrate"]["build"]
    assert (FOLDER / build["context"] / build["dockerfile"]).samefile(FOLDER / "Dockerfile")
    copied = re.findall(r"^COPY (.+) \S+$", (FOLDER / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert all((FOLDER.parent / word).exists() for line in copied for word in line.split())
    assert "servers" in (FOLDER.parent / "pyproject.toml").read_text(encoding="utf-8")


def test_the_guide_explains_every_variable_of_the_file():
    assert {name for name in re.findall(r"\$\{([A-Z_]+)", TEXT) if f"`{name}`" not in GUIDE} == set()


def test_the_guide_names_only_commands_that_there_are():
    named = re.findall(r"(?:^|`)onboard ([a-z]+)((?: --[a-z]+(?: [A-Z0-9]+\b)?)*)", GUIDE, re.MULTILINE)
    assert len(named) > 10
    for verb, options in named:
        known = {option for one in COMMANDS[verb].params for option in one.opts}
        assert set(re.findall(r"--[a-z]+", options)) <= known, f"onboard {verb}{options}"
