"""``onboard up`` in an empty folder, and a list dropped where it says: its customers are completed by themselves."""

import re
import signal
import socket
from typing import Any

import pytest

from deployments.prefect_server.process import end_server
from deployments.sandbox.control import SandboxControl
from tests.journeys.people import klaviyo, write_list
from tests.journeys.processes import Onboard, Prefect, Started, until
from tests.journeys.proofs import assert_exactly_once, completed, secrets_in

pytestmark = [pytest.mark.prefect, pytest.mark.timeout(300)]

EVERY_MINUTE = {"ONBOARD_INBOX_CRON": "* * * * *", "PREFECT_RUNNER_POLL_FREQUENCY": "1"}


def test_a_list_dropped_in_the_inbox_is_brought_to_the_end_and_a_faulty_one_is_told_beside_it(
    onboard: Onboard, own_database: str, alloy: SandboxControl
):
    del onboard.settings["PREFECT_API_URL"]
    up = onboard.start("up", "--port", unused_port(), **EVERY_MINUTE)
    try:
        until(lambda: "serving" in up.out.read_text(encoding="utf-8"), up)
        assert [run["auto_scheduled"] for run in overview_runs(onboard, up)].count(False) == 1
        inbox = onboard.home / "inbox"
        assert f"inbox: {inbox}" in up.out.read_text(encoding="utf-8")

        listed = [klaviyo("ann@example.test"), klaviyo("bob@example.test")]
        write_list(inbox / "spring.csv", listed)
        (inbox / "faulty.csv").write_text("username,integration\n,klaviyo\n", encoding="utf-8")
        until(lambda: (inbox / "faulty.csv.faults.txt").exists(), up)
        until(lambda: (onboard.home / "onboard.db").exists() and completed(own_database) == 2, up)

        up.process.send_signal(signal.SIGTERM)
        ended = up.ended(within=60)
    finally:
        end_server(onboard.home / "prefect")

    assert ended.code == 0, ended.err
    assert "line 2, username" in (inbox / "faulty.csv.faults.txt").read_text(encoding="utf-8")
    assert sorted(one.name for one in inbox.iterdir()) == ["faulty.csv", "faulty.csv.faults.txt", "spring.csv"]
    assert_exactly_once(alloy.ledger(), listed, own_database)
    assert secrets_in(onboard.home / "prefect") == []


def overview_runs(onboard: Onboard, up: Started) -> list[dict[str, Any]]:
    """Return the runs that make the overview, done and to come."""
    address = re.search(r"^Prefect: (\S+)$", up.out.read_text(encoding="utf-8"), re.MULTILINE)
    assert address is not None
    found: list[dict[str, Any]] = Prefect(f"{address[1]}/api", onboard.home / "prefect").ask(
        "flow_runs/filter", deployments={"name": {"any_": ["overview"]}}
    )
    return found


def unused_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])
