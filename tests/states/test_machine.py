"""The machine moves records along the table and nowhere else."""

from dataclasses import dataclass

import pytest

from states.machine import TransitionRefused, fire
from states.stage import Stage, Trigger
from states.transitions import LATEST_FIRST, TRANSITIONS, Transition

EVIDENCE = {"alloy_user_id": "u", "credential_id": "c", "installation_id": "i", "form": [], "answers": []}


@dataclass
class Record:
    stage: Stage


@pytest.mark.parametrize("row", TRANSITIONS, ids=lambda row: row.trigger)
def test_a_trigger_leads_from_its_source_to_its_destination(row: Transition) -> None:
    record = Record(row.source)

    fire(record, row.trigger, **EVIDENCE)

    assert record.stage is row.dest


@pytest.mark.parametrize(
    ("stage", "trigger"),
    [(stage, row.trigger) for stage in Stage for row in TRANSITIONS if row.source is not stage],
)
def test_a_trigger_is_refused_everywhere_but_at_its_source(stage: Stage, trigger: Trigger) -> None:
    record = Record(stage)

    with pytest.raises(TransitionRefused, match=trigger):
        fire(record, trigger, **EVIDENCE)

    assert record.stage is stage


@pytest.mark.parametrize("row", [row for row in TRANSITIONS if row.evidence], ids=lambda row: row.trigger)
def test_a_record_does_not_move_without_its_evidence(row: Transition) -> None:
    record = Record(row.source)

    with pytest.raises(TransitionRefused, match=row.evidence[0]):
        fire(record, row.trigger, **{**EVIDENCE, row.evidence[-1]: None})

    assert record.stage is row.source


def test_what_was_begun_is_finished_before_more_is_begun() -> None:
    assert (Stage.mapped, Stage.installing, Stage.authed, Stage.created, Stage.new) == LATEST_FIRST


@pytest.mark.parametrize("word", [*Stage, *Trigger])
def test_a_word_is_the_same_as_a_name_and_as_a_value(word: Stage | Trigger) -> None:
    assert word.name == word.value
