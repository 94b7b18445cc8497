"""Open questions, a class at a time: who lacks the same answer, and who is held for an operator for the same reason.

An operator who decides for a class has seen some people, not a condition: whoever was in it then and still is, is
decided for; whoever came since is asked about the next time. So a class carries its people's ids, and deciding looks
once more who of them still asks the same.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from pydantic import JsonValue
from sqlalchemy import Engine, Row, func, or_, select

from states.forms import FormBlock, FormField, Given, InvalidAnswer, open_questions, readable_form, takes
from states.holds import HoldKind, Reason
from states.stage import Stage
from states.templates import render
from store.cancelling import cancel
from store.choosing import Chosen, leased_at
from store.desk import answer, redrive
from store.engine import reading
from store.finding import NotFound
from store.models import BATCH, CUSTOMER, ONBOARDING

EXAMPLES = 5
"""So many of a class are named."""


@dataclass(slots=True)
class LackedAnswer:
    """Those who lack an answer to the same question of an integration, or gave one that does not fit."""

    integration: str
    """As a list names it."""
    app: str
    name: str
    reason: Reason
    asked: dict[int, list[FormField]] = field(default_factory=dict)
    """By onboarding: the field as its own form has it, since options may differ from customer to customer."""
    examples: list[str] = field(default_factory=list)
    leased: int = 0
    """In a worker's hands at this moment."""

    def takers(self, value: JsonValue) -> list[int]:
        """Return the onboardings whose forms take ``value``."""
        return [one for one, fields in self.asked.items() if all(takes(asked, value) for asked in fields)]

    @property
    def fields(self) -> list[FormField]:
        """The different forms that the question has."""
        different = {id(asked): asked for fields in self.asked.values() for asked in fields}
        return list({asked.model_dump_json(): asked for asked in different.values()}.values())

    @property
    def choices(self) -> list[str]:
        """The labels of the options that everybody in it has; none where the answer is a text."""
        different = self.fields
        if not all(asked.options for asked in different):
            return []
        labels = [option.label or str(option.value) for option in different[0].options or ()]
        others = [{option.label or str(option.value) for option in asked.options or ()} for asked in different[1:]]
        return list(dict.fromkeys(label for label in labels if all(label in other for other in others)))


@dataclass(slots=True)
class Takers:
    """Who lacks something of what an operator answers: ``ids`` take it, ``left`` have forms that do not."""

    ids: list[int] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    refusing: dict[str, FormField] = field(default_factory=dict)
    """By the answer's name: a field that does not take it."""
    lacked: list[str] = field(default_factory=list)
    """The names of all fields that anybody lacks."""


@dataclass(slots=True)
class HeldAlike:
    """Those of one integration who are held for an operator for one reason."""

    integration: str
    reason: Reason
    ids: list[int] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)
    sentence: str = ""
    """What is written at the first of them."""


def lacked_answers(engine: Engine, chosen: Chosen, now: datetime) -> list[LackedAnswer]:
    """Return which answers are lacked among ``chosen``, the one that most lack first."""
    found: dict[tuple[str, str, str, Reason], LackedAnswer] = {}
    for row, block, asked in _lacking(engine, chosen, now):
        key = (row.integration_key, block.app, asked.name, row.reason)
        if key not in found:
            found[key] = LackedAnswer(row.integration, block.app, asked.name, row.reason)
        lacked = found[key]
        if row.id not in lacked.asked:
            lacked.leased += bool(row.leased)
            if len(lacked.examples) < EXAMPLES:
                lacked.examples.append(row.username)
        lacked.asked.setdefault(row.id, []).append(asked)
    return sorted(found.values(), key=lambda one: -len(one.asked))


def takers(engine: Engine, chosen: Chosen, answers: Sequence[Given], now: datetime) -> Takers:
    """Return who of ``chosen`` lacks one of ``answers``; whoever has an answer of their own that fits is not asked."""
    found, lacked = Takers(), dict[str, None]()
    fits: dict[int, bool] = {}
    for row, block, asked in _lacking(engine, chosen, now):
        lacked[asked.name] = None
        for given in answers:
            if given.matches(block, asked.name):
                fit = takes(asked, given.value)
                fits[row.id] = fits.get(row.id, True) and fit
                if not fit:
                    found.refusing[given.name] = asked
    found.ids = [one for one, fit in fits.items() if fit]
    found.left = [one for one, fit in fits.items() if not fit]
    found.lacked = list(lacked)
    return found


def answer_takers(engine: Engine, found: Takers, answers: Sequence[Given], *, by: str, now: datetime) -> int:
    """Give ``answers`` to those who were found to take them and still lack one; return how many."""
    number = 0
    for portion in Chosen(stage=Stage.installing).in_portions(found.ids):
        if still := takers(engine, portion, answers, now).ids:
            with suppress(NotFound):  # somebody else was faster
                number += answer(engine, replace(portion, ids=tuple(still)), answers, by=by, now=now)
    return number


def held_alike(engine: Engine, chosen: Chosen, *, but: Sequence[LackedAnswer] = ()) -> list[HeldAlike]:
    """Return who of ``chosen`` is held for an operator, by integration and reason, the largest class first.

    Whoever lacks one of the answers ``but`` is asked about there.
    """
    asked_elsewhere = {one for lacked in but for one in lacked.asked}
    found: dict[tuple[str, Reason], HeldAlike] = {}
    with reading(engine) as connection:
        for row in connection.execute(
            select(ONBOARDING.c.id, ONBOARDING.c.integration_key, ONBOARDING.c.integration, ONBOARDING.c.reason)
            .where(*replace(chosen, hold=HoldKind.operator).conditions())
            .order_by(ONBOARDING.c.id)
        ):
            if row.id not in asked_elsewhere:
                alike = found.setdefault(
                    (row.integration_key, row.reason), HeldAlike(row.integration, Reason(row.reason))
                )
                alike.ids.append(row.id)
        for alike in found.values():
            first = connection.execute(
                select(CUSTOMER.c.username, ONBOARDING.c.sentence)
                .join(CUSTOMER, CUSTOMER.c.id == ONBOARDING.c.customer_id)
                .where(ONBOARDING.c.id.in_(alike.ids[:EXAMPLES]))
                .order_by(ONBOARDING.c.id)
            ).all()
            alike.examples = [row.username for row in first]
            alike.sentence = next((row.sentence or "" for row in first), "")
    return sorted(found.values(), key=lambda one: -len(one.ids))


def answer_alike(engine: Engine, lacked: LackedAnswer, value: JsonValue, *, by: str, now: datetime) -> int:
    """Give ``value`` to those of ``lacked`` who still lack it and whose forms take it; return how many."""
    given = [Given(name=lacked.name, value=value, block=lacked.app or None)]
    same = Chosen(stage=Stage.installing, reason=lacked.reason)
    number = 0
    for portion in same.in_portions(sorted(lacked.asked)):
        fields: dict[int, list[FormField]] = defaultdict(list)
        for row, block, asked in _lacking(engine, portion, now):
            if (block.app, asked.name) == (lacked.app, lacked.name):
                fields[row.id].append(asked)
        still = replace(lacked, asked=fields).takers(value)
        if still:
            with suppress(NotFound):  # somebody else was faster
                number += answer(engine, replace(portion, ids=tuple(still)), given, by=by, now=now)
    return number


def redrive_alike(engine: Engine, alike: HeldAlike, *, by: str, now: datetime) -> int:
    """Let those of ``alike`` who are still held so be tried again; return how many."""
    return sum(redrive(engine, portion, by=by, now=now) for portion in _still(alike))


def cancel_alike(engine: Engine, alike: HeldAlike, *, by: str, now: datetime) -> int:
    """End those of ``alike`` who are still held so for good; return how many."""
    return sum(cancel(engine, portion, by=by, now=now).number for portion in _still(alike))


def _still(alike: HeldAlike) -> Iterator[Chosen]:
    return Chosen(hold=HoldKind.operator, reason=alike.reason).in_portions(alike.ids)


def _lacking(engine: Engine, chosen: Chosen, now: datetime) -> Iterator[tuple[Row[Any], FormBlock, FormField]]:
    """Yield whoever stands still for want of an answer that fits, with each field that is open."""
    forms = _Forms()
    with reading(engine) as connection:
        templates = {
            batch_id: [Given.model_validate(one) for one in raw]
            for batch_id, raw in connection.execute(select(BATCH.c.id, BATCH.c.templates))
        }
        rows = connection.execute(
            select(
                ONBOARDING.c.id, ONBOARDING.c.batch_id, ONBOARDING.c.integration, ONBOARDING.c.integration_key,
                ONBOARDING.c.reason, ONBOARDING.c.form, ONBOARDING.c.given, ONBOARDING.c.answered,
                ONBOARDING.c.columns, CUSTOMER.c.username, CUSTOMER.c.full_name,
                func.coalesce(leased_at(now), False).label("leased"),
            )
            .join(CUSTOMER, CUSTOMER.c.id == ONBOARDING.c.customer_id)
            .where(
                *chosen.conditions(),
                ONBOARDING.c.stage == Stage.installing,
                or_(
                    ONBOARDING.c.reason == Reason.awaiting_answer,
                    ONBOARDING.c.reason == Reason.invalid_answer,
                ),
            )
            .order_by(ONBOARDING.c.id)
        ).all()  # fmt: skip
    for row in rows:
        form = forms.read(row.form)
        context = {"username": row.username, "full_name": row.full_name, "columns": row.columns}
        try:
            sources = [
                [Given.model_validate(one) for one in row.answered],
                [Given.model_validate(one) for one in row.given],
                render(templates[row.batch_id], context),
            ]
        except InvalidAnswer:  # no answer helps while the mapping file does not fit
            continue
        for block, asked in open_questions(form, sources):
            yield row, block, asked


class _Forms:
    """Forms read from JSON, each different one once: thousands of customers have the same."""

    def __init__(self) -> None:
        self._read: dict[str, list[FormBlock]] = {}

    def read(self, raw: list[dict[str, JsonValue]] | None) -> list[FormBlock]:
        """Return the form; an absent or unreadable one asks for nothing."""
        text = json.dumps(raw)
        if text not in self._read:
            self._read[text] = readable_form(raw) or []
        return self._read[text]
