"""The forms of a review: made for one class of open questions, with the choices that the store can carry out for it.

What a class could only be guessed at is not offered: which of two credentials is meant, say, is settled at Alloy, and
here only that it was.
"""

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import pydantic
from prefect.input import RunInput

from flows.acting.deciding import LONGEST_NAME
from flows.acting.showing import count, plain
from states.holds import REMEDIES, Reason
from store.questions import HeldAlike, LackedAnswer

LEAVE = "leave them"
CANCEL = "cancel them for good"
_MOST_CHOICES = 200
_TRY_AGAIN = {
    Reason.already_installed: "install it once more",
    Reason.credential_in_doubt: "their newest credential was deleted at Alloy: have it made anew",
    Reason.unreadable_form: "read the form once more",
    Reason.installation_conflict: "it was put right at Alloy: try again",
    Reason.user_of_another_customer: "the other customer was erased: try again",
    Reason.sealed_value_lost: "the key was restored: try again",
}

Question: TypeAlias = LackedAnswer | HeldAlike


def number_of(question: Question) -> int:
    """Return how many are asked about."""
    return len(question.asked if isinstance(question, LackedAnswer) else question.ids)


def try_again(reason: Reason) -> str:
    """Say what trying again means for those who are held for ``reason``."""
    return _TRY_AGAIN.get(reason, "try again")


def form_for(question: Question, *, decided_by: str = "", fault: str = "") -> type[RunInput]:
    """Return the form that asks ``question``; ``fault`` says what was wrong with what it was filled in with before."""
    answer = _answer_field(question) if isinstance(question, LackedAnswer) else _decision_field(question)
    who: Any = pydantic.Field(
        default=decided_by or ...,
        title="Decided by",
        description="Your name, for the history of each customer.",
        pattern=r"\S",
        max_length=LONGEST_NAME,
        json_schema_extra={"position": 1},
    )
    form: type[RunInput] = pydantic.create_model("Decision", __base__=RunInput, decision=answer, decided_by=(str, who))
    return form.with_initial_data(description=describe(question, fault=fault))


def describe(question: Question, *, fault: str = "") -> str:
    """Say in markdown what is asked and about whom."""
    number = number_of(question)
    if isinstance(question, LackedAnswer):
        lacks = "lack" if number > 1 else "lacks"
        what = f"{lacks} `{_code(question.name)}`"
        if question.reason is Reason.invalid_answer:
            what = f"gave an answer to `{_code(question.name)}` that does not fit"
        text = f"**{count(number, 'customer')} of {plain(question.integration)} {what}: which value?**"
        labels = list(dict.fromkeys(asked.label for asked in question.fields if asked.label))
        text += f"\n\nThe form calls it: {plain(', '.join(labels[:3]))}." if labels else ""
    else:
        are = "are" if number > 1 else "is"
        text = f"**{count(number, 'onboarding')} of {plain(question.integration)} {are} held: {question.reason}.**"
        remedy = REMEDIES.get(question.reason, "")
        text += f"\n\nFor example: {plain(question.sentence)}" if question.sentence else ""
        text += f"\n\nThe remedy: {remedy}." if remedy and remedy not in question.sentence else ""
    names = ", ".join(plain(name) for name in question.examples)
    more = f" and {number - len(question.examples):,} more" if number > len(question.examples) else ""
    return "\n\n".join([*([f"**{plain(fault)}**"] if fault else []), text, f"Who: {names}{more}."])


def _answer_field(question: LackedAnswer) -> tuple[Any, Any]:
    choices = question.choices
    if all(asked.type == "boolean" and not asked.options for asked in question.fields):
        choices = ["yes", "no"]
    if choices and len(choices) <= _MOST_CHOICES and LEAVE not in choices:
        return _choose([LEAVE, *choices], f"The answer to {question.name}, for all of them.")
    kinds = ", ".join(dict.fromkeys(asked.type for asked in question.fields))
    text: Any = pydantic.Field(
        default="",
        title="Value",
        description=f"The answer to {question.name} ({kinds}), for all of them. Blank: {LEAVE}.",
        json_schema_extra={"position": 0},
    )
    return str, text


def _decision_field(question: HeldAlike) -> tuple[Any, Any]:
    return _choose([LEAVE, try_again(question.reason), CANCEL], "What is to be done with all of them.")


def _choose(choices: Sequence[str], description: str) -> tuple[Any, Any]:
    chosen: Any = pydantic.Field(
        default=LEAVE, title="Decision", description=description, json_schema_extra={"position": 0}
    )
    return Literal[tuple(choices)], chosen


def _code(text: str) -> str:
    return "".join(letter if letter.isprintable() and letter != "`" else " " for letter in text)
