"""What scripts rely on: the same list again is a no-op, one JSON object, the exit codes, and the defaults."""

import json
from dataclasses import replace
from typing import Any

import pytest

from deployments.sandbox.control import SandboxControl
from states.holds import HoldKind
from states.stage import Stage
from tests.journeys.people import klaviyo, people, write_list
from tests.journeys.processes import Ended, Onboard, Prefect
from tests.journeys.proofs import assert_exactly_once, assert_not_told, secrets_in

pytestmark = pytest.mark.prefect

COUNTS = ["batch", "total", "stages", "holds", "reasons", "calls", "seconds"]
MOVES = ("create_user", "authenticate", "start_installation", "map_fields", "complete_installation")
CATALOGUE = {"list_integrations", "get_integration", "get_metadata", "list_metadata", "list_users"}


def the_counts(ended: Ended) -> dict[str, Any]:
    """Return the one object that is on standard output, if it is as promised."""
    counts: dict[str, Any] = json.loads(ended.out)
    assert list(counts) == COUNTS
    assert list(counts["stages"]) == [stage.value for stage in Stage]
    assert list(counts["holds"]) == [kind.value for kind in HoldKind]
    assert sum(counts["stages"].values()) == counts["total"]
    assert isinstance(counts["calls"], int)
    assert isinstance(counts["seconds"], float)
    return counts


def test_the_same_list_again_changes_nothing_and_calls_for_nothing_but_the_catalogue(
    onboard: Onboard, own_database: str, alloy: SandboxControl
):
    listed = people(8)
    write_list(onboard.folder / "list.csv", listed)
    first = onboard("run", "list.csv", "--json")
    assert first.code == 0, first.err
    counts = the_counts(first)
    assert (counts["batch"], counts["total"], counts["stages"]["completed"]) == ("list", 8, 8)
    assert counts["calls"] == len(alloy.requests())
    assert counts["seconds"] > 0
    story = onboard("show", listed[0].username, "--json").json
    before = len(alloy.requests())

    again = onboard("run", "list.csv", "--json")

    assert again.code == 0, again.err
    since = alloy.requests()[before:]
    assert {one.route for one in since} <= CATALOGUE
    assert the_counts(again) == {**counts, "calls": len(since), "seconds": 0.0}
    assert "8 known already" in again.err
    assert onboard("show", listed[0].username, "--json").json == story
    assert_exactly_once(alloy.ledger(), listed, own_database)
    told = onboard("status", "--json")
    assert len(told.json["pace"]) == 1, "one account was called"
    assert told.json["last_hour"] == {"completed": 8, "seconds_left": 0}
    the_rest = {name: value for name, value in told.json.items() if name not in ("pace", "last_hour")}
    status = the_counts(replace(told, out=json.dumps(the_rest)))
    assert {**status, "calls": 0, "seconds": 0.0, "batch": "list"} == {**counts, "calls": 0, "seconds": 0.0}
    assert status["calls"] == len(alloy.requests())


def test_a_short_list_is_shown_customer_by_customer_even_where_alloy_is_fast(onboard: Onboard, prefect: Prefect):
    listed = [klaviyo(f"c{one}@example.test") for one in range(8)]
    write_list(onboard.folder / "short.csv", listed)

    ended = onboard("run", "short.csv")

    assert ended.code == 0, ended.err
    [run] = prefect.flow_runs("onboard short")
    names = sorted(page["name"] for page in prefect.task_runs(run["id"]) if page["state"]["name"] == "Moved")
    assert names == sorted(f"{trigger} · {one.username}" for one in listed for trigger in MOVES)


def test_a_faulty_list_is_exit_2_with_every_fault_and_nothing_is_taken_in(onboard: Onboard, alloy: SandboxControl):
    rows = (
        "username,integration,auth.apiKey\nada@example.test,klaviyo,canary\n,klaviyo,canary\nbo@example.test,,canary\n"
    )
    (onboard.folder / "list.csv").write_text(rows)

    ended = onboard("run", "list.csv", "--json")

    assert ended.code == 2
    assert list(ended.json) == ["error", "message", "faults"]
    assert [(one["line"], one["column"]) for one in ended.json["faults"]] == [(3, "username"), (4, "integration")]
    assert all(list(one) == ["line", "column", "fault", "remedy"] for one in ended.json["faults"])
    assert_not_told(ended)
    assert onboard("status", "--json").json["total"] == 0
    assert alloy.ledger().users == 0


@pytest.mark.parametrize("words", [["run", "none.csv"], ["run"], ["resume", "--batch", "none"], ["frobnicate"]])
def test_wrong_usage_is_exit_2(words: list[str], onboard: Onboard):
    ended = onboard(*words)
    assert ended.code == 2
    assert ended.out == ""
    assert_not_told(ended)


def test_without_a_key_it_is_exit_3_and_the_demo_is_offered(onboard: Onboard):
    write_list(onboard.folder / "list.csv", people(1))
    ended = onboard("run", "list.csv", "--json", ALLOY_API_KEY="")
    assert ended.code == 3
    assert list(ended.json) == ["error", "message", "faults"]
    assert "onboard demo" in ended.err
    assert_not_told(ended)


def test_a_host_that_does_not_answer_is_exit_3(onboard: Onboard):
    write_list(onboard.folder / "list.csv", people(1))
    ended = onboard("run", "list.csv", "--json", ALLOY_BASE_URL="http://127.0.0.1:9")
    assert ended.code == 3
    assert_not_told(ended)


def test_with_nothing_set_but_the_account_everything_is_kept_in_the_current_folder(
    onboard: Onboard, own_database: str, alloy: SandboxControl, prefect: Prefect
):
    listed = [klaviyo("ada@example.test")]
    write_list(onboard.folder / "alone.csv", listed)
    onboard.settings = {name: onboard.settings[name] for name in ("ALLOY_API_KEY", "ALLOY_BASE_URL")}

    ended = onboard("run", "alone.csv")

    assert ended.code == 0, ended.err
    assert_exactly_once(alloy.ledger(), listed, own_database)
    assert prefect.flow_runs("onboard alone") == [], "it is in a Prefect of its own"
    assert (onboard.home / "prefect" / "prefect.db").exists()
    assert not (onboard.home / "prefect" / "server.json").exists(), "the last one out ends it"
    assert secrets_in(onboard.home) == []
    assert_not_told(ended)
