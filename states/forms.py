"""The fields that an installation asks for, and how they are answered.

Pure: a form, and up to three sources of answers, go in; answers, missing fields, faults and warnings come out. Field
names are opaque (``variables[0].value``) and one name may stand in several blocks, so an answer is matched by workflow,
block and name, as narrowly as whoever gave it said (vendor contract, section 9).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import isfinite

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

Scalar = str | int | float | bool
"""What the vendor takes as the value of a field."""

_KNOWN_TYPES = frozenset({"string", "number", "boolean", "dropdown", "select", "text"})
_TRUE = frozenset({"true", "yes", "1", "on"})
_FALSE = frozenset({"false", "no", "0", "off"})


class _Tolerant(BaseModel):
    model_config = ConfigDict(extra="allow", populate_by_name=True, coerce_numbers_to_str=True)


class Option(_Tolerant):
    """One choice of a drop-down."""

    label: str = Field(default="", alias="displayName")
    value: Scalar


class FormField(_Tolerant):
    """One question. A missing type is text; a missing ``required`` is optional."""

    name: str
    label: str = Field(default="", alias="displayName")
    type: str = "string"
    required: bool = False
    options: list[Option] | None = None


class FormBlock(_Tolerant):
    """The questions of one block of one workflow."""

    workflow_id: str = Field(alias="workflowId")
    block_id: str = Field(alias="blockId")
    app: str = ""
    fields: list[FormField] = Field(default_factory=list)


class Given(BaseModel):
    """An answer that somebody gave: for every block that asks for ``name``, unless it says which."""

    name: str
    value: JsonValue
    workflow_id: str | None = None
    block: str | None = None
    """A block's id, or the app that it belongs to."""

    def matches(self, block: FormBlock, name: str) -> bool:
        """Tell whether this answers the field ``name`` of ``block``."""
        return (
            self.name == name
            and self.workflow_id in (None, block.workflow_id)
            and (self.block is None or self.block in (block.block_id, block.app))
        )

    @property
    def narrowness(self) -> int:
        """How precisely it says what it answers; the narrower of two answers wins."""
        return (self.workflow_id is not None) + (self.block is not None)


@dataclass(slots=True)
class Filled:
    """What came of filling a form in: it may be sent when nothing is missing and nothing is at fault."""

    answers: list[dict[str, object]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


class InvalidAnswer(ValueError):
    """The value cannot be an answer to this field; the text says why, without the value."""


def parse_form(raw: Iterable[object]) -> list[FormBlock]:
    """Read the ``data`` of a start answer, or the ``formData`` of an installation; unknown keys are kept."""
    return [FormBlock.model_validate(block) for block in raw]


def readable_form(raw: Iterable[object] | None) -> list[FormBlock] | None:
    """Read a form like :func:`parse_form`; None if it is absent or unreadable, which is not to say that it is empty."""
    try:
        return None if raw is None else parse_form(raw)
    except ValidationError:
        return None


def named_fields(form: Iterable[FormBlock], sentence: str) -> list[str]:
    """Return the names of those fields of ``form`` that ``sentence`` speaks of."""
    words = f" {sentence.replace(':', ' ').replace(',', ' ')} "
    names = dict.fromkeys(asked.name for block in form for asked in block.fields)
    return [name for name in names if f" {name} " in words]


def fill(form: Sequence[FormBlock], sources: Sequence[Sequence[Given]]) -> Filled:
    """Answer every field of ``form`` from the first of ``sources`` that has an answer for it.

    The sources are in order of precedence: answers given by hand, the row, templates. The result's ``answers`` have the
    shape of the ``data`` of the complete call: blocks that asked for something, with name and value of each answer.
    """
    filled = Filled()
    for block in form:
        answered: list[dict[str, object]] = []
        for asked in block.fields:
            given = _find(block, asked.name, sources)
            where = _describe(block, asked)
            if given is None or given.value is None or given.value == "":
                if asked.required:
                    filled.missing.append(where)
                continue
            if asked.type not in _KNOWN_TYPES and not asked.options:
                filled.warnings.append(f"{where} has the unknown type {asked.type!r}: the answer is passed on as given")
            try:
                answered.append({"name": asked.name, "value": convert(asked, given.value)})
            except InvalidAnswer as fault:
                filled.faults.append(f"{where}: {fault}")
        if answered:
            filled.answers.append(
                {"workflowId": block.workflow_id, "blockId": block.block_id, "fields": answered},
            )
    return filled


def convert(asked: FormField, value: JsonValue) -> Scalar:
    """Turn a given value into one that ``asked`` accepts.

    An option's label becomes its value; text becomes a number or a truth value where the field is of that type; JSON
    types are kept. Raises :class:`InvalidAnswer`.
    """
    if isinstance(value, dict | list) or value is None:
        raise InvalidAnswer("an answer is a text, a number or true/false")
    if asked.options:
        return _choose(asked.options, value)
    if isinstance(value, str) and asked.type == "number":
        return _number(value)
    if isinstance(value, str) and asked.type == "boolean":
        return _truth(value)
    return value


def unused(form: Sequence[FormBlock], given: Sequence[Given]) -> list[str]:
    """Return the names in ``given`` that no field of ``form`` asks for."""
    return [
        answer.name
        for answer in given
        if not any(answer.matches(block, asked.name) for block in form for asked in block.fields)
    ]


def _find(block: FormBlock, name: str, sources: Sequence[Sequence[Given]]) -> Given | None:
    for source in sources:
        candidates = [given for given in source if given.matches(block, name)]
        if candidates:
            return max(candidates, key=lambda given: given.narrowness)
    return None


def _describe(block: FormBlock, asked: FormField) -> str:
    return f"{asked.name} ({block.app})" if block.app else asked.name


def _choose(options: Sequence[Option], value: Scalar) -> Scalar:
    for same in (
        lambda option: type(option.value) is type(value) and option.value == value,
        lambda option: option.label == value,
        lambda option: str(option.value) == str(value),
    ):
        for option in options:
            if same(option):
                return option.value
    shown = ", ".join(option.label or str(option.value) for option in options[:5])
    more = f" and {len(options) - 5} more" if len(options) > 5 else ""
    raise InvalidAnswer(f"not one of the options ({shown}{more})")


def _number(text: str) -> int | float:
    try:
        number = float(text)
    except ValueError:
        raise InvalidAnswer("not a number") from None
    if not isfinite(number):
        raise InvalidAnswer("not a finite number")
    return int(text) if text.strip().lstrip("+-").isdecimal() else number


def _truth(text: str) -> bool:
    word = text.strip().casefold()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise InvalidAnswer("neither true nor false")
