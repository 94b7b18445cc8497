"""What the command costs to start, and that it explains itself."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.resources import files
from pathlib import Path

import pytest
from typer.main import get_command

from deployments.cli import app, exits
from states.holds import HoldKind, Reason
from states.stage import Stage
from tests.deployments.cli.conftest import Onboard

ROOT = Path(__file__).parents[3]
GROUP = get_command(app)
COMMANDS = sorted(GROUP.commands)

SAY_WHAT_IS_IMPORTED = """
import json, sys
from deployments.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""
NEEDS_PREFECT = {"run", "resume", "demo", "doctor", "up", "deploy", "work"}
NEEDS_NO_PREFECT = {
    "status": [],
    "show": ["ada@example.test"],
    "links": [],
    "leftovers": [],
    "answer": ["ada@example.test", "channel=#orders"],
    "redrive": ["--username", "ada@example.test", "--yes"],
    "cancel": ["--username", "ada@example.test", "--yes"],
    "erase": ["ada@example.test", "--yes"],
    "discard": ["--batch", "spring", "--yes"],
    "sandbox": ["--help"],
}
SLOW_TO_IMPORT = {"prefect", "httpx", "aiohttp", "rich"}
OF_ANOTHER_DATABASE = {"psycopg", "sqlalchemy.dialects.postgresql"}


def imported(*words: str) -> set[str]:
    """Run the command as a process, and return all that it imported."""
    ended = subprocess.run(
        [sys.executable, "-c", SAY_WHAT_IS_IMPORTED, *words], capture_output=True, text=True, check=True
    )
    return set(json.loads(ended.stderr.splitlines()[-1]))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_it_does(name: str):
    assert GROUP.commands[name].help, f"{name} has no help"


@pytest.mark.parametrize("room", ["states", "store", "flows", "deployments"])
def test_every_command_that_is_named_to_somebody_exists(room: str):
    named = {
        word
        for file in (ROOT / room).rglob("*.py")
        for word in re.findall(r"`onboard (?:--demo )?([a-z]+)", file.read_text(encoding="utf-8"))
    }
    assert named - set(COMMANDS) == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_the_first_line_of_a_commands_help_is_not_cut_in_the_list_of_commands(name: str, onboard: Onboard):
    shown = onboard("--help").out
    line = next(line for line in shown.splitlines() if line.strip().startswith(f"{name} "))
    assert "..." not in line


@pytest.mark.parametrize(
    "parameter", [f"{name} {one.name}" for name in COMMANDS for one in GROUP.commands[name].params if one.name]
)
def test_every_option_says_what_it_means(parameter: str):
    name, option = parameter.split()
    found = next(one for one in GROUP.commands[name].params if one.name == option)
    assert found.help


def test_the_commands_are_those_that_were_promised():
    promised = {
        "demo",
        "run",
        "resume",
        "status",
        "show",
        "links",
        "leftovers",
        "answer",
        "redrive",
        "cancel",
        "erase",
        "discard",
        "sandbox",
        "doctor",
        "up",
        "deploy",
        "work",
    }
    assert set(COMMANDS) == promised


def test_help_lists_the_exit_codes(onboard: Onboard):
    shown = onboard("--help")
    assert shown.code == 0
    assert "130" in shown.out


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["status"], ["status", "--json"]])
def test_starting_up_imports_neither_prefect_nor_an_http_library(words: list[str]):
    assert not imported(*words) & SLOW_TO_IMPORT


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("words", [["status"], ["status", "--json"]])
def test_status_of_a_database_that_is_there_needs_no_sqlalchemy(
    words: list[str], database_url: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ONBOARD_DATABASE_URL", database_url)
    modules = imported(*words)
    assert "store.standing" in modules
    assert not modules & {*SLOW_TO_IMPORT, "sqlalchemy", "sqlmodel"}


def test_status_needs_no_sqlalchemy_to_say_who_waits_for_what(put: Callable[..., None]):
    put(
        "ada@example.test",
        stage=Stage.installing,
        hold=HoldKind.customer,
        reason=Reason.awaiting_answer,
        sentence="no answer yet for channel (slack)",
        form=[{"workflowId": "w", "blockId": "b", "app": "slack", "fields": [{"name": "channel", "type": "text"}]}],
    )
    put("bo@example.test", hold=HoldKind.operator, reason=Reason.rejected, sentence="refused")
    for words in (["status"], ["status", "--batch", "spring"], ["status", "--batch", "none"]):
        assert not imported(*words) & {*SLOW_TO_IMPORT, "sqlalchemy", "sqlmodel"}


@pytest.mark.parametrize("words", [["show", "ada@example.test"], ["links"], ["leftovers"], ["status", "--every", "1"]])
def test_whoever_only_looks_needs_no_sqlalchemy(words: list[str], put: Callable[..., None]):
    put("ada@example.test", stage=Stage.completed)
    assert not imported(*words) & {*SLOW_TO_IMPORT, "sqlalchemy", "sqlmodel"}


def test_whoever_acts_on_sqlite_waits_for_no_other_database(put: Callable[..., None]):
    put("ada@example.test", hold=HoldKind.operator, reason=Reason.rejected, sentence="refused")

    modules = imported("redrive", "--username", "ada@example.test", "--yes")

    assert "store.models" in modules
    assert not modules & OF_ANOTHER_DATABASE


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_imports_neither_prefect_nor_the_store(name: str):
    assert not imported(name, "--help") & {"prefect", "httpx", "sqlalchemy", "sqlmodel", "cryptography"}


def test_every_command_is_known_to_need_prefect_or_not_to():
    assert NEEDS_PREFECT | set(NEEDS_NO_PREFECT) == set(COMMANDS)
    assert not NEEDS_PREFECT & set(NEEDS_NO_PREFECT)


@pytest.mark.parametrize("name", NEEDS_NO_PREFECT)
def test_a_command_that_needs_no_prefect_does_not_import_it(name: str, put: Callable[..., None]):
    put(
        "ada@example.test",
        stage=Stage.installing,
        hold=HoldKind.customer,
        reason=Reason.awaiting_answer,
        sentence="no answer yet for channel (slack)",
        form=[{"workflowId": "w", "blockId": "b", "app": "slack", "fields": [{"name": "channel", "type": "text"}]}],
    )
    assert not imported(name, *NEEDS_NO_PREFECT[name]) & {"prefect", "httpx"}


@pytest.mark.parametrize("name", exits._KNOWN)
def test_every_failure_that_is_known_by_name_has_that_name(name: str):
    module, _, kind = name.rpartition(".")
    found = getattr(import_module(module), kind)
    assert f"{found.__module__}.{found.__qualname__}" == name


@pytest.mark.parametrize("words", [["frobnicate"], ["status", "--frobnicate"], ["run"], ["redrive"], ["answer", "ada"]])
def test_wrong_usage_is_exit_2_and_no_traceback(words: list[str], onboard: Onboard):
    ended = onboard(*words)
    assert ended.code == 2
    assert "Traceback" not in ended.err


def test_wrong_usage_under_json_is_the_one_object(onboard: Onboard):
    ended = onboard("status", "--frobnicate", "--json")
    assert ended.code == 2
    assert ended.json["error"] == "usage"
    assert set(ended.json) == {"error", "message", "faults"}


def test_the_examples_ship_with_the_package_and_hold_made_up_addresses_only():
    for name in ("demo.csv", "customers.csv", "customers.jsonl", "mapping.toml"):
        text = files("deployments.examples").joinpath(name).read_text(encoding="utf-8")
        assert all(
            word.endswith("example.test") for word in text.replace('"', " ").replace(",", " ").split() if "@" in word
        )
