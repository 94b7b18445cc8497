"""A review: goes through the open questions a class at a time, and pauses with a form made for each.

It pauses in its process and holds nothing meanwhile: no transaction, no lease, no database connection. So records may
move while somebody thinks, and two reviews may ask the same; what is decided reaches those who still wait for it.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed
from pydantic import Field

from flows.acting.choices import wanted
from flows.acting.deciding import in_named_states, require_operator, run_name
from flows.acting.opening import open_store, time_by
from flows.acting.pausing import Interrupted, ask
from flows.acting.review_forms import CANCEL, LEAVE, Question, form_for, number_of
from flows.acting.showing import RELEASED, count
from flows.settings import Settings
from flows.stopping import stopped_by_signals
from store.questions import (
    LackedAnswer,
    answer_alike,
    cancel_alike,
    held_alike,
    lacked_answers,
    redrive_alike,
)
from store.wanted import Wanted

_MOST_ATTEMPTS = 20
"""So often is a form shown again that was filled in with what nobody can be given."""


@dataclass(slots=True)
class Decided:
    """What the answers came to; whoever was not reached is left."""

    questions: int = 0
    answered: int = 0
    redriven: int = 0
    cancelled: int = 0
    left: int = 0

    def __str__(self) -> str:
        """Say it as the name of a state."""
        said = [
            f"{number:,} {what}"
            for number, what in (
                (self.answered, "answered"),
                (self.redriven, "redriven"),
                (self.cancelled, "cancelled"),
                (self.left, "left"),
            )
            if number
        ]
        return f"Decided: {', '.join(said) or 'nothing'}"


@flow(name="review-open-questions", flow_run_name=run_name, retries=0, persist_result=False)
async def review_open_questions(
    batch: str = "",
    integration: str = "",
    timeout_minutes: Annotated[float, Field(gt=0, le=1440)] = 60,
    at_most: Annotated[int, Field(ge=1, le=100)] = 20,
) -> State[None]:
    """Ask what is to be done with those who wait for a decision, a class at a time, and do it.

    The run pauses with a form for each class: those who lack the same answer, and those who are held for an operator
    for the same reason. "Resume", in the menu of the run's page, shows the form.

    Args:
        batch: Only this batch. Blank: all.
        integration: Only this integration: its id, its name in the list, or its app. Blank: all.
        timeout_minutes: How long each form waits to be filled in; then the review ends, and nothing more is done.
        at_most: So many forms at most, the classes with the most customers first.
    """
    whom = wanted(batch=batch, integration=integration)

    async def work() -> State[None]:
        questions = await _open_questions(whom)
        if not questions:
            return Completed(name="Nothing to review", message="Nobody waits for an operator's decision.")
        stop, decided = asyncio.Event(), Decided()
        with stopped_by_signals(stop):
            try:
                return await _go_through(questions, decided, stop, timeout_minutes, at_most)
            except Interrupted:
                return Cancelled(name="Interrupted", message=f"{decided}. Nothing else was changed.")

    return await in_named_states(work)


async def _open_questions(whom: Wanted) -> list[Question]:
    async with open_store(Settings()) as engine:
        now = await time_by(engine)
        chosen = await asyncio.to_thread(whom.look_up, engine, now)
        lacked = await asyncio.to_thread(lacked_answers, engine, chosen, now)
        held = await asyncio.to_thread(held_alike, engine, chosen, but=lacked)
    return sorted([*lacked, *held], key=number_of, reverse=True)


async def _go_through(
    questions: Sequence[Question], decided: Decided, stop: asyncio.Event, timeout_minutes: float, at_most: int
) -> State[None]:
    by = ""
    for number, question in enumerate(questions[:at_most]):
        filled = await _ask(question, number, stop, by, timeout_minutes)
        if filled is None:
            return _nobody_decided(decided, questions[number:], timeout_minutes)
        by = require_operator(filled.decided_by)
        await _decide(question, filled.decision, by, decided)
    return _ended(decided, by, questions[at_most:])


async def _ask(question: Question, number: int, stop: asyncio.Event, by: str, timeout_minutes: float) -> Any | None:
    """Pause until the form is filled in so that it can be carried out; None if nobody does in time."""
    fault = ""
    for attempt in range(_MOST_ATTEMPTS):
        form = form_for(question, decided_by=by, fault=fault)
        filled: Any = await ask(form, stop, key=f"{number}-{attempt}", seconds=timeout_minutes * 60)
        if filled is None:
            return None
        if isinstance(question, LackedAnswer) and not question.choices:
            filled.decision = filled.decision.strip()
        fault = _fault(question, filled.decision)
        if not fault:
            return filled
        by = filled.decided_by
    return None


def _fault(question: Question, decision: str) -> str:
    if not isinstance(question, LackedAnswer) or decision in ("", LEAVE):
        return ""
    return "" if question.takers(decision) else "Nobody's form takes that value; nothing was changed yet."


async def _decide(question: Question, decision: str, by: str, decided: Decided) -> None:
    decided.questions += 1
    done = 0
    if decision not in ("", LEAVE):
        async with open_store(Settings()) as engine:
            now = await time_by(engine)
            if isinstance(question, LackedAnswer):
                done = await asyncio.to_thread(answer_alike, engine, question, decision, by=by, now=now)
                decided.answered += done
            elif decision == CANCEL:
                done = await asyncio.to_thread(cancel_alike, engine, question, by=by, now=now)
                decided.cancelled += done
            else:
                done = await asyncio.to_thread(redrive_alike, engine, question, by=by, now=now)
                decided.redriven += done
    decided.left += number_of(question) - done


def _ended(decided: Decided, by: str, beyond: Sequence[Question]) -> State[None]:
    said = [f"Decided by {by}."]
    if decided.answered or decided.redriven:
        said.append(f"Who was let go: {RELEASED[0].lower()}{RELEASED[1:]}")
    if beyond:
        said.append(f"{count(len(beyond), 'question')} more: start another review.")
    return Completed(name=str(decided), message=" ".join(said))


def _nobody_decided(decided: Decided, unanswered: Sequence[Question], timeout_minutes: float) -> State[None]:
    decided.left += sum(number_of(question) for question in unanswered)
    said = (
        f"Nobody filled the form in within {timeout_minutes:g} minutes; {count(len(unanswered), 'question')} "
        "stay open: start another review."
    )
    if not decided.questions:
        return Completed(name=f"Nobody decided: {decided.left:,} left", message=said)
    return Completed(name=str(decided), message=f"{said} {RELEASED}")
