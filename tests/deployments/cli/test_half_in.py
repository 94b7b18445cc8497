"""A long list that is interrupted on its way in: what is said of it, how it goes on, and how it is taken out again."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import store.intake.take_in
from deployments.cli.driving import Driven
from deployments.cli.exits import ExitCode
from deployments.cli.intake_progress import so_far
from tests.deployments.cli.conftest import Ended, Onboard

CHUNK = 3
LISTED = 600


@pytest.fixture(autouse=True)
def taking_in_is_what_is_looked_at(account: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small chunks, and no flow is run."""
    monkeypatch.setattr(store.intake.take_in, "CHUNK", CHUNK)
    monkeypatch.setattr("deployments.cli.bulk.drive", lambda *_arguments: Driven())


@pytest.fixture
def listed(home: Path) -> Path:
    rows = (f"c{one}@example.test,klaviyo,canary-{one}\n" for one in range(LISTED))
    path = home / "customers.csv"
    path.write_text("username,integration,auth.apiKey\n" + "".join(rows))
    return path


Interrupt = Callable[..., Ended]


@pytest.fixture
def interrupt(onboard: Onboard, monkeypatch: pytest.MonkeyPatch) -> Interrupt:
    """Run the command, and send this process a signal when so many rows were checked or taken in."""

    def run(*words: str, number: int = signal.SIGINT, when: str = "taken in", rows: int = 2 * CHUNK) -> Ended:
        @contextmanager
        def watching() -> Iterator[Callable[[str, int, int | None], None]]:
            def show(done: str, so_many: int, of: int | None) -> None:
                if done == when and so_many >= rows and not sent:
                    sent.append(so_many)
                    os.kill(os.getpid(), number)

            yield show

        sent: list[int] = []
        with monkeypatch.context() as patched:
            patched.setattr("deployments.cli.taking_in.shown_intake", watching)
            return onboard(*words)

    return run


@pytest.fixture
def half_in(interrupt: Interrupt, listed: Path) -> Ended:
    return interrupt("run", listed.name, "--batch", "spring")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_intake_that_is_interrupted_says_how_far_it_is_and_both_remedies(
    interrupt: Interrupt, onboard: Onboard, listed: Path, number: int
):
    ended = interrupt("run", listed.name, "--batch", "spring", number=number)

    assert ended.code == ExitCode.interrupted
    assert "of 600 rows of customers.csv in batch spring are in" in ended.err
    assert "onboard run customers.csv --batch spring\n" in ended.err
    assert "onboard discard --batch spring\n" in ended.err
    assert "Traceback" not in ended.err
    assert 0 < onboard("status", "--json").json["total"] < LISTED


def test_an_intake_that_is_interrupted_while_the_list_is_checked_leaves_nothing(
    interrupt: Interrupt, onboard: Onboard, home: Path, monkeypatch: pytest.MonkeyPatch, listed: Path
):
    monkeypatch.setattr("store.lists.check._TOLD_EVERY", CHUNK)

    ended = interrupt("run", listed.name, when="checked")

    assert ended.code == ExitCode.interrupted
    assert "no list is left half in" in ended.err
    assert onboard("status", "--json").json["total"] == 0


def test_the_same_list_goes_on_and_says_how_many_rows_were_there(half_in: Ended, onboard: Onboard, listed: Path):
    [unfinished] = onboard("status", "--json").json["unfinished"]

    ended = onboard("run", listed.name, "--batch", "spring", "--json")

    assert ended.code == ExitCode.fine
    assert f"continued: {unfinished['rows']:,} of {LISTED} rows were there" in ended.err
    assert ended.json["total"] == LISTED
    assert "unfinished" not in ended.json


@pytest.mark.parametrize("verb", ["status", "resume"])
def test_a_list_that_is_half_in_is_named_with_both_remedies(half_in: Ended, onboard: Onboard, verb: str):
    ended = onboard(verb)

    assert "of 600 rows of customers.csv in batch spring" in ended.out
    assert "onboard run customers.csv --batch spring" in ended.out
    assert "onboard discard --batch spring" in ended.out
    assert "on the way" not in ended.out


def test_resume_ends_with_1_while_a_list_is_half_in(half_in: Ended, onboard: Onboard):
    assert onboard("resume").code == ExitCode.operator_needed


def test_one_who_is_held_back_is_shown_so(half_in: Ended, onboard: Onboard):
    shown = onboard("show", "c0@example.test")

    assert "its list is only half in" in shown.out
    assert "onboard discard --batch spring" in " ".join(shown.out.split())


def test_another_list_is_refused_before_it_is_checked(half_in: Ended, onboard: Onboard, home: Path):
    (home / "other.csv").write_text("username,integration\n,\n")

    ended = onboard("run", "other.csv", "--batch", "spring", "--json")

    assert ended.code == ExitCode.bad_input
    assert ended.json["error"] == "list_in_the_way"
    assert "customers.csv" in ended.err
    assert "onboard discard --batch spring" in ended.err


def test_a_list_that_was_edited_meanwhile_is_another_one(half_in: Ended, onboard: Onboard, listed: Path):
    listed.write_text(listed.read_text() + "more@example.test,klaviyo,canary\n")

    assert onboard("run", listed.name, "--batch", "spring", "--json").json["error"] == "list_in_the_way"


def test_a_list_that_is_written_to_while_it_is_taken_in_is_not_accepted(
    onboard: Onboard, listed: Path, monkeypatch: pytest.MonkeyPatch
):
    @contextmanager
    def writing() -> Iterator[Callable[[str, int, int | None], None]]:
        def show(done: str, rows: int, of: int | None) -> None:
            if done == "taken in" and rows == CHUNK:
                with listed.open("a") as file:
                    file.write("late@example.test,klaviyo,canary\n")

        yield show

    monkeypatch.setattr("deployments.cli.taking_in.shown_intake", writing)

    ended = onboard("run", listed.name, "--batch", "spring", "--json")

    assert ended.code == ExitCode.bad_input
    assert ended.json["error"] == "list_changed"
    assert onboard("status", "--json").json["unfinished"][0]["batch"] == "spring"


def test_discard_says_first_what_would_go_and_asks(half_in: Ended, onboard: Onboard, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stdin.readline", lambda: "", raising=False)

    ended = onboard("discard", "--batch", "spring")

    assert ended.code == ExitCode.bad_input
    assert "onboardings would be taken out" in ended.err
    assert "--yes confirms" in ended.err
    assert onboard("status", "--json").json["total"] > 0


def test_discard_in_json_without_yes_only_looks(half_in: Ended, onboard: Onboard):
    ended = onboard("discard", "--batch", "spring", "--json")

    assert ended.code == ExitCode.fine
    assert (ended.json["verb"], ended.json["source"], ended.json["done"]) == ("discard", "customers.csv", None)
    assert onboard("status", "--json").json["total"] == ended.json["total"]


def test_discard_takes_out_what_is_in(half_in: Ended, onboard: Onboard):
    total = onboard("status", "--json").json["total"]

    ended = onboard("discard", "--batch", "spring", "--yes")

    assert ended.code == ExitCode.fine
    assert f"{total} onboardings are taken out. The batch is gone." in ended.out
    after = onboard("status", "--json").json
    assert (after["total"], "unfinished" in after) == (0, False)


def test_a_batch_that_is_wholly_in_is_not_discarded(onboard: Onboard, listed: Path):
    onboard("run", listed.name, "--batch", "spring")

    ended = onboard("discard", "--batch", "spring", "--yes", "--json")

    assert ended.code == ExitCode.bad_input
    assert ended.json["error"] == "wholly_in"
    assert onboard("status", "--json").json["total"] == LISTED


def test_a_batch_that_is_not_there_is_not_discarded(onboard: Onboard):
    assert onboard("discard", "--batch", "nowhere", "--yes").code == ExitCode.bad_input


def test_no_secret_is_told(half_in: Ended, onboard: Onboard):
    said = [half_in, onboard("status"), onboard("discard", "--batch", "spring")]

    assert not any("canary" in one.out + one.err for one in said)


def test_progress_says_how_many_of_how_many():
    assert so_far("taken in", 412_000, 1_000_000) == "412,000 of 1,000,000 rows taken in"
    assert so_far("checked", 412_000, None) == "412,000 rows checked"
