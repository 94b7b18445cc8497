"""Three hundred seeds keep every promise, and a seed takes the same path whenever and wherever it is played."""

import os
import subprocess
import sys
from dataclasses import asdict

import pytest

from tests.simulation.many import Sum, account, quietly, simulate_many, table
from tests.simulation.plan import FAULT_KINDS, KNOBS, draw_plan

PARTS, SEEDS_A_PART = 10, 30
SEEDS = range(PARTS * SEEDS_A_PART)
LONG_FORM = 10_000
_EVENTFUL = 5


@pytest.mark.parametrize("part", range(PARTS))
def test_every_promise_holds_after_every_step_and_everything_comes_to_an_end(part: int) -> None:
    total = Sum()
    for seed in SEEDS[part * SEEDS_A_PART : (part + 1) * SEEDS_A_PART]:
        outcome = quietly(seed)
        assert not outcome.broken, account(outcome)
        total.add(outcome)
    print(table(total, seconds=0))


@pytest.mark.long
@pytest.mark.timeout(0)
def test_ten_thousand_seeds_keep_every_promise() -> None:
    total = Sum()
    for outcome in simulate_many(range(LONG_FORM), jobs=os.cpu_count() or 1):
        total.add(outcome)
    assert not total.broken, "\n\n".join(map(account, total.broken))


def test_a_seed_played_twice_takes_the_same_path() -> None:
    first, second = quietly(_EVENTFUL), quietly(_EVENTFUL)
    assert asdict(first) == asdict(second)


def test_the_command_that_replays_a_seed_takes_the_same_path_in_a_process_of_its_own() -> None:
    replayed = subprocess.run(
        [sys.executable, "-m", "tests.simulation", "--seed", str(_EVENTFUL)],
        env={**os.environ, "PYTHONHASHSEED": "4711"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"path {quietly(_EVENTFUL).digest}:" in replayed.stdout


def test_different_seeds_take_different_paths() -> None:
    assert len({quietly(seed).digest for seed in range(4)}) == 4


@pytest.mark.parametrize("knob", KNOBS)
def test_every_knob_is_met_in_every_position(knob: str) -> None:
    met = {getattr(draw_plan(seed).knobs, knob) for seed in SEEDS}
    assert met >= set(KNOBS[knob])


@pytest.mark.parametrize("kind", FAULT_KINDS)
def test_every_kind_of_fault_is_met(kind: str) -> None:
    assert any(one.kind == kind and one.probability > 0 for seed in SEEDS for one in draw_plan(seed).faults)
