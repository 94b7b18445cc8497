"""How status and show look in windows of every width, and where colours are wanted and not."""

import re
from collections.abc import Callable

import pytest

from deployments.cli.tables import Row, tabulated
from deployments.cli.terminal import cells, cut_to_rows, styled
from states.holds import HoldKind, Reason
from states.stage import Stage
from tests.deployments.cli.conftest import Onboard

Put = Callable[..., None]


@pytest.mark.parametrize("width", [40, 60, 80, 120])
@pytest.mark.parametrize("verb", ["status", "show"])
def test_nothing_but_a_command_or_a_name_is_wider_than_the_window_and_nothing_is_cut(
    verb: str, width: int, onboard: Onboard, put: Put, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", str(width))
    sentence = "POST /headless/startInstallation was refused because of what cannot be said in a few words"
    for number, kind in enumerate(HoldKind):
        put(f"customer-{number}@example.test", stage=Stage.authed, hold=kind, reason=Reason.rejected, sentence=sentence)

    shown = onboard(*(["status"] if verb == "status" else ["show", "customer-0@example.test"])).out

    assert sentence in " ".join(shown.split())
    assert "customer-0@example.test" in shown
    prose = [line for line in shown.splitlines() if "onboard" not in line.replace("onboarding", "")]
    assert max(map(len, prose)) <= width or width == 40


def test_a_reason_of_few_is_shown_beside_one_of_many(onboard: Onboard, put: Put):
    for number in range(5):
        put(
            f"{number}@example.test", stage=Stage.created, hold=HoldKind.operator, reason=Reason.rejected, sentence="no"
        )
    put("late@example.test", stage=Stage.created, hold=HoldKind.operator, reason=Reason.missing_auth, sentence="key")

    shown = onboard("status").out

    assert "Waiting for you: 5 rejected" in shown
    assert "  and 2 more" in shown
    assert "Waiting for you: 1 missing_auth" in shown


def test_a_funnel_says_who_is_held_at_which_stage(onboard: Onboard, put: Put):
    put("ada@example.test", stage=Stage.created, hold=HoldKind.operator, reason=Reason.rejected, sentence="no")
    put("bo@example.test", stage=Stage.created)

    lines = onboard("status").out.splitlines()

    assert lines[1].split() == ["stage", "all", "operator"]
    assert next(line for line in lines if line.startswith("  created")).split()[:3] == ["created", "2", "1"]


@pytest.mark.parametrize("unwanted", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colours_are_left_out_where_they_are_not_wanted(unwanted: dict[str, str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert re.search("\x1b", styled("word", bold=True))
    for name, value in unwanted.items():
        monkeypatch.setenv(name, value)
    assert styled("word", bold=True, colour="red") == "word"


def test_wide_letters_take_two_columns(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "80")
    _, first, second = tabulated(("name", "stage"), [Row(("山田", "new")), Row(("Yuki", "new"))])

    assert cells(first) == cells(second)


def test_a_row_of_a_window_keeps_its_styles():
    assert cut_to_rows("\x1b[1mabcd\x1b[0m", 3) == ["\x1b[1mabc", "d\x1b[0m"]
