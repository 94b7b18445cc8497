"""One list with everybody on it: who finishes, who waits for a consent or an answer, who is refused.

Told in full by one run and one resume; the tests look at what was said, what is on the disk, and what Prefect shows.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from deployments.sandbox.control import SandboxControl
from tests.journeys.people import CONSENT_LINK, klaviyo, netsuite, shopify, slack, write_list
from tests.journeys.processes import Ended, Onboard, Prefect, running_alloy, settings_for, until
from tests.journeys.proofs import assert_not_told, secrets_in

pytestmark = pytest.mark.prefect

ADA, BO, CLEO, IVY, OMAR, VIKTOR = (f"{name}@example.test" for name in ("ada", "bo", "cleo", "ivy", "omar", "viktor"))
LISTED = [klaviyo(ADA), slack(BO), netsuite(CLEO), shopify(IVY), netsuite(OMAR, answered=False)]
REFUSED = klaviyo(VIKTOR, "refused-canary")
MOVES = ("create_user", "authenticate", "start_installation", "map_fields", "complete_installation")


@dataclass
class Told:
    """What the commands said, and where secrets were found on the way."""

    run: Ended
    said: dict[str, Ended]
    links: dict[str, Ended]
    resumed: Ended
    secrets: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def told(prefect: Prefect, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    with running_alloy() as alloy:
        onboard = Onboard(tmp_path_factory.mktemp("everybody"), settings_for(alloy, prefect))
        try:
            yield tell(onboard, alloy, prefect)
        finally:
            onboard.close()


def tell(onboard: Onboard, alloy: SandboxControl, prefect: Prefect) -> Told:
    places: list[Path] = [onboard.home, prefect.folder]
    alloy.turn(verify_secret=True)
    write_list(onboard.folder / "everybody.csv", [*LISTED, REFUSED])
    # Slower than Prefect can record: then every customer's every transition is a task run of its own.
    run = onboard.start("run", "everybody.csv", ALLOY_RATE="10")
    until(lambda: asked_for_a_link(alloy) == {BO, IVY}, run)
    secrets = secrets_in(*places)
    alloy.grant(BO, "slack")
    told = Told(
        run.ended(),
        {words: onboard(*words.split()) for words in sayings()},
        {words: onboard("links", *words.split()) for words in ("", "--json", "--csv")},
        Ended(0, "", ""),
        secrets + secrets_in(*places),
    )
    alloy.grant(IVY, "shopify")
    told.said["answer"] = onboard("answer", OMAR, "customerEmail=omar@shop.test")
    told.said["redrive"] = onboard("redrive", "--username", IVY, "--yes")
    told.resumed = onboard("resume", "--json")
    told.said["status at the end"] = onboard("status")
    told.secrets += secrets_in(*places)
    return told


def sayings() -> list[str]:
    """Return the commands that read: of everybody, and of those whose secrets were sealed, sent and refused."""
    return ["status", "status --json", *(f"show {one}{how}" for one in (IVY, CLEO, VIKTOR) for how in ("", " --json"))]


def asked_for_a_link(alloy: SandboxControl) -> set[str | None]:
    return {one.user for one in alloy.requests("oauth_url") if one.status == 200}


def test_who_is_refused_makes_exit_1_until_their_row_is_corrected(told: Told):
    assert told.run.code == 1, told.run.err
    assert told.resumed.code == 1, told.resumed.err
    assert told.resumed.json["stages"]["completed"] == 5
    assert told.resumed.json["reasons"] == {"rejected": 1}


def test_the_run_says_who_waits_for_what(told: Told):
    counts = told.said["status --json"].json
    assert counts["stages"]["completed"] == 3
    assert counts["reasons"] == {"awaiting_consent": 1, "awaiting_answer": 1, "rejected": 1}
    for username, words in ((IVY, "onboard links"), (OMAR, "onboard answer"), (VIKTOR, "refused")):
        assert username in told.run.out
        assert words in told.run.out


def test_no_secret_is_on_the_disk_at_any_time_neither_ours_nor_prefects(told: Told):
    assert told.secrets == []


def test_no_secret_is_told_on_the_terminal(told: Told):
    assert_not_told(told.run, told.resumed, *told.said.values())


def test_links_tells_the_one_link_that_waits_and_no_other_secret(told: Told):
    [link] = told.links["--json"].json
    assert link["username"] == IVY
    assert CONSENT_LINK in link["link"]
    for ended in told.links.values():
        assert ended.code == 0
        assert ended.out.count(link["link"]) == 1
        assert_not_told(Ended(ended.code, ended.out.replace(link["link"], ""), ended.err))
    rows = list(csv.DictReader(io.StringIO(told.links["--csv"].out)))
    assert rows == [link]


def test_prefect_has_a_readable_task_run_for_every_transition_and_every_wait(told: Told, prefect: Prefect):
    pages = prefect.task_runs(flow_run_id(told.run))
    assert {page["state"]["type"] for page in pages} == {"COMPLETED"}
    seen = Counter((page["name"], page["state"]["name"]) for page in pages)
    for username, done in ((ADA, 5), (BO, 5), (CLEO, 5), (IVY, 1), (OMAR, 3), (VIKTOR, 1)):
        for trigger in MOVES[:done]:
            assert seen.pop((f"{trigger} · {username}", "Moved")) == 1
    assert seen.pop((f"authenticate · {VIKTOR}", "1 for an operator")) == 1
    waits = {(f"authenticate · {BO}", "1 waiting"), (f"authenticate · {IVY}", "1 waiting")}
    assert set(seen) == waits | {(f"map_fields · {OMAR}", "1 waiting")}
    assert all(number >= 1 for number in seen.values())


def test_the_flow_runs_state_is_the_tally_of_its_task_runs(told: Told, prefect: Prefect):
    run = flow_run_of(told, prefect)
    tally = read_tally(run["state"]["name"])
    assert (tally["moved"], tally["for an operator"]) == (20, 1)
    assert tally["waiting"] >= 3
    pages = prefect.task_runs(run["id"])
    assert sum((read_tally(page["state"]["message"]) for page in pages), Counter()) == tally


def test_the_flow_run_says_when_the_next_one_falls_due(told: Told, prefect: Prefect):
    message = flow_run_of(told, prefect)["state"]["message"]
    assert re.fullmatch(r"The next one falls due at [-\d]+ [:\d]+ UTC\.", message)


def flow_run_of(told: Told, prefect: Prefect) -> dict[str, Any]:
    """Return the flow run that the first command was, by its name and by the page that the command points to."""
    [run] = [one for one in prefect.flow_runs("onboard everybody") if one["id"] == flow_run_id(told.run)]
    return run


def flow_run_id(ended: Ended) -> str:
    """Read which page of Prefect the command points to."""
    found = re.search(r"/runs/flow-run/([-0-9a-f]+)", ended.out)
    assert found is not None, ended.out
    return found[1]


def read_tally(words: str) -> "Counter[str]":
    """Read "48 moved, 2 waiting"."""
    return Counter({what: int(number) for number, what in re.findall(r"(\d+) ([a-z ]+)", words)})
