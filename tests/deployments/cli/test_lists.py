"""Lists that cannot be taken in: every fault with its line, exit 2, no traceback, and nothing taken in."""

import stat
from importlib.resources import files
from pathlib import Path

import pytest
from sqlalchemy import func, select

from deployments.cli.driving import Driven
from deployments.cli.exits import ExitCode
from store.engine import make_engine, reading
from store.models import Batch, Customer, Onboarding
from tests.deployments.cli.conftest import Onboard

pytestmark = pytest.mark.usefixtures("account")

HEADER = b"username,full_name,integration,auth.apiKey\n"
GOOD = b"ada@example.test,Ada,klaviyo,made-up\n"

MALFORMED: dict[str, tuple[str, bytes, set[int]]] = {
    "nothing at all": ("list.csv", b"", {1}),
    "only a header": ("list.csv", HEADER, {1}),
    "only blank lines": ("list.csv", b"\n\n\n", {1}),
    "a header without username": ("list.csv", b"name,integration\nada,slack\n", {1}),
    "a header without integration": ("list.csv", b"username,full_name\nada@example.test,Ada\n", {1}),
    "a misspelt auth column": ("list.csv", b"username,integration,auht.apiKey\nada@example.test,klaviyo,x\n", {2}),
    "a column twice": ("list.csv", b"username,username,integration\na,b,slack\n", {1}),
    "no header": ("list.csv", b"ada@example.test,Ada,slack\nbo@example.test,Bo,slack\n", {1}),
    "Latin-1": ("list.csv", HEADER + GOOD + "zoë@example.test,Zoë,klaviyo,x\n".encode("latin-1"), {3}),
    "UTF-16": ("list.csv", (HEADER + GOOD).decode().encode("utf-16"), {1}),
    "binary": ("list.csv", bytes([0, 1, 0, 255]) * 100, {1}),
    "a workbook": ("list.csv", b"PK\x03\x04" + b"\x00" * 100, {1}),
    "a NUL byte": ("list.csv", HEADER + b"ada\x00@example.test,Ada,klaviyo,x\n" + GOOD, {2}),
    "a quote that is not closed": ("list.csv", HEADER + GOOD + b'bo@example.test,"Bo,klaviyo,x\n', {3}),
    "a cell that goes on after its quote": ("list.csv", HEADER + b'bo@example.test,"Bo"b,klaviyo,x\n', {2}),
    "rows too short and too long": ("list.csv", HEADER + b"bo@example.test\n" + GOOD[:-1] + b",1,2\n", {2, 3}),
    "a blank username": ("list.csv", HEADER + b",Ada,klaviyo,x\n", {2}),
    "a username that looks like an id": ("list.csv", HEADER + b"a" * 24 + b",Ada,klaviyo,x\n", {2}),
    "a blank integration": ("list.csv", HEADER + b"ada@example.test,Ada,,x\n", {2}),
    "an unknown integration": ("list.csv", HEADER + GOOD + b"bo@example.test,Bo,klavyio,x\n", {3}),
    "an ambiguous integration": ("list.csv", HEADER + b"bo@example.test,Bo,hubspot,\n", {2}),
    "a missing auth value": ("list.csv", HEADER + b"ada@example.test,Ada,klaviyo,\n", {2}),
    "an auth value too many": ("list.csv", b"username,integration,auth.nothing\na@example.test,klaviyo,x\n", {2}),
    "duplicates that disagree": ("list.csv", HEADER + GOOD + b"ada@example.test,Eva,klaviyo,other\n", {3}),
    "a reference that leads nowhere": ("list.csv", HEADER + b"ada@example.test,Ada,klaviyo,env:NOT_SET_HERE\n", {2}),
    "a cell too long": ("list.csv", HEADER + b"ada@example.test," + b"x" * 100_001 + b",klaviyo,x\n", {2}),
    "an ending that is no list": ("list.txt", HEADER + GOOD, {0}),
    "JSON that is none": ("list.jsonl", b'{"username": "a@example.test"\n[]\n"text"\n', {1, 2, 3}),
    "JSON without a username": ("list.jsonl", b'{"integration": "slack"}\n', {1}),
    "many faults at once": (
        "list.csv",
        HEADER + b",Ada,klaviyo,x\nbo@example.test,Bo,nowhere,x\n" + GOOD + b"cleo@example.test,Cleo,klaviyo,\n",
        {2, 3, 5},
    ),
}  # fmt: skip


def counted(home: Path) -> list[int | None]:
    engine = make_engine(f"sqlite:///{home / '.onboard' / 'onboard.db'}")
    with reading(engine) as connection:
        counts = [connection.scalar(select(func.count()).select_from(table)) for table in (Batch, Customer, Onboarding)]
    engine.dispose()
    return counts


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_list_is_refused_with_every_fault_and_its_line(name: str, onboard: Onboard, home: Path):
    file, content, lines = MALFORMED[name]
    (home / file).write_bytes(content)
    ended = onboard("run", file, "--json")
    assert ended.code == ExitCode.bad_input
    assert ended.json["error"] == "bad_list"
    assert {fault["line"] for fault in ended.json["faults"]} == lines
    for fault in ended.json["faults"]:
        assert fault["fault"]
        assert fault["remedy"]
    for line in lines - {0}:
        assert f"{file}:{line}:" in ended.err
    assert "Traceback" not in ended.err
    assert counted(home) == [0, 0, 0]


def test_a_folder_and_a_file_that_is_not_there_are_refused(onboard: Onboard, home: Path):
    (home / "folder.csv").mkdir()
    for name in ("folder.csv", "nothing.csv"):
        ended = onboard("run", name, "--json")
        assert ended.code == ExitCode.bad_input
        assert name in ended.json["faults"][0]["fault"]
    assert counted(home) == [0, 0, 0]


def test_all_of_thousands_of_faults_are_told(onboard: Onboard, home: Path):
    (home / "list.csv").write_bytes(HEADER + b"".join(b"u%d@example.test,U,nowhere,x\n" % n for n in range(1500)))
    ended = onboard("run", "list.csv", "--json")
    assert len(ended.json["faults"]) == 1500
    assert "list.csv:1501:" in ended.err


def test_a_wrong_mapping_file_is_refused_as_such(onboard: Onboard, home: Path):
    (home / "list.csv").write_bytes(HEADER + GOOD)
    (home / "mapping.json").write_text('{"channel": "{{ nobody }}"}')
    ended = onboard("run", "list.csv", "--map", "mapping.json", "--json")
    assert ended.code == ExitCode.bad_input
    assert ended.json["error"] == "bad_mapping"
    assert "mapping.json" in ended.err
    assert counted(home) == [0, 0, 0]


def test_without_a_key_run_says_so_and_points_to_the_demo(
    onboard: Onboard, home: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("ALLOY_API_KEY")
    (home / "list.csv").write_bytes(HEADER + GOOD)
    ended = onboard("run", "list.csv", "--json")
    assert ended.code == ExitCode.cannot_start
    assert ended.json["error"] == "no_api_key"
    assert "onboard demo" in ended.err


def test_a_wrong_key_is_exit_3_and_one_line(onboard: Onboard, home: Path, monkeypatch: pytest.MonkeyPatch):
    (home / "list.csv").write_bytes(HEADER + GOOD)
    monkeypatch.setenv("ALLOY_API_KEY", "canary-key")
    ended = onboard("run", "list.csv")
    assert ended.code == ExitCode.cannot_start
    assert len(ended.err.splitlines()) == 1
    assert "ALLOY_API_KEY" in ended.err
    assert "canary" not in ended.err + ended.out
    assert counted(home) == [0, 0, 0]


def test_a_host_that_is_not_there_is_exit_3(onboard: Onboard, home: Path, monkeypatch: pytest.MonkeyPatch):
    (home / "list.csv").write_bytes(HEADER + GOOD)
    monkeypatch.setenv("ALLOY_BASE_URL", "http://127.0.0.1:1")
    ended = onboard("run", "list.csv")
    assert ended.code == ExitCode.cannot_start
    assert "ALLOY_BASE_URL" in ended.err


@pytest.fixture
def nobody_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Taking in is what is looked at: no flow is run."""
    monkeypatch.setattr("deployments.cli.bulk.drive", lambda *_arguments: Driven())


HALF_GOOD = (
    HEADER + GOOD + b'bo@example.test,"Bo\nBo",nowhere,x\n' + b"cleo@example.test,Cleo,klaviyo,made-up\n,D,klaviyo,x\n"
)


@pytest.mark.usefixtures("nobody_moves")
def test_with_accept_valid_good_rows_are_taken_in_and_the_faulty_ones_go_to_a_private_file(
    onboard: Onboard, home: Path
):
    (home / "list.csv").write_bytes(HALF_GOOD)
    ended = onboard("run", "list.csv", "--accept-valid", "--json")
    assert ended.code == ExitCode.fine
    assert ended.json["total"] == 2
    rejected = home / "list.rejected.csv"
    assert rejected.read_bytes() == HEADER + b'bo@example.test,"Bo\nBo",nowhere,x\n,D,klaviyo,x\n'
    assert stat.S_IMODE(rejected.stat().st_mode) == 0o600
    assert str(rejected.name) in ended.err
    assert "list.csv:3:" in ended.err
    onboard("run", "list.csv", "--accept-valid", "--rejected", "elsewhere.csv")
    assert (home / "elsewhere.csv").read_bytes() == rejected.read_bytes()


@pytest.mark.usefixtures("nobody_moves")
def test_the_same_list_again_changes_nothing_and_says_so(onboard: Onboard, home: Path):
    (home / "list.csv").write_bytes(HEADER + GOOD)
    assert "1 taken in" in onboard("run", "list.csv").err
    assert "1 known already" in onboard("run", "list.csv").err
    assert "stay in the batch" in onboard("run", "list.csv", "--batch", "other").err
    assert counted(home) == [2, 1, 1]


@pytest.mark.usefixtures("nobody_moves")
@pytest.mark.parametrize("name", ["customers.csv", "customers.jsonl", "demo.csv"])
def test_the_shipped_lists_are_good(name: str, onboard: Onboard, home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CLEO_KLAVIYO_KEY", "made-up")
    (home / name).write_bytes(files("deployments.examples").joinpath(name).read_bytes())
    (home / "mapping.toml").write_bytes(files("deployments.examples").joinpath("mapping.toml").read_bytes())
    ended = onboard("run", name, "--map", "mapping.toml", "--json")
    assert ended.code == ExitCode.fine, ended.err
    assert ended.json["total"] > 0
