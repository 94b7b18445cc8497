"""Answers for everyone: a mapping file's values may be templates, filled in for each customer.

Jinja2 in its immutable sandbox, since a template can come from another hand than the program; an undefined name is a
fault, never an empty answer, since an installation that is completed with a hole in it looks finished.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

from states.forms import Given, InvalidAnswer

NAMES = ("username", "full_name", "columns")
"""What a template may speak of; ``columns`` are the row's own, by name."""

# finalize: a column that is null is a blank answer, not the word "None".
_ENVIRONMENT = ImmutableSandboxedEnvironment(
    undefined=StrictUndefined, finalize=lambda value: "" if value is None else value, keep_trailing_newline=True
)


def render(given: Sequence[Given], context: Mapping[str, object]) -> list[Given]:
    """Return ``given`` with every template filled in from ``context``; values that are none stay what they are.

    Raises :class:`states.forms.InvalidAnswer`, naming the field but no value, if a template cannot be filled in.
    """
    return [
        answer.model_copy(update={"value": _fill(answer.name, answer.value, context)})
        if isinstance(answer.value, str) and _is_template(answer.value)
        else answer
        for answer in given
    ]


def check_template(value: str) -> None:
    """Raise :class:`states.forms.InvalidAnswer` if ``value`` can be filled in for nobody."""
    try:
        unknown = meta.find_undeclared_variables(_ENVIRONMENT.parse(value)) - set(NAMES)
    except TemplateSyntaxError as fault:
        raise InvalidAnswer(f"not a template: {fault.message}") from None
    if unknown:
        raise InvalidAnswer(f"a template knows {', '.join(NAMES)}, and not {', '.join(sorted(unknown))}")


def _is_template(value: str) -> bool:
    return any(mark in value for mark in ("{{", "{%", "{#"))


def _fill(name: str, value: str, context: Mapping[str, object]) -> str:
    try:
        return _compiled(value).render(context)
    except TemplateError as fault:
        raise InvalidAnswer(f"the template for {name}: {fault.message}") from None
    except Exception as fault:  # an expression may raise anything, and its text may quote a customer's data
        raise InvalidAnswer(f"the template for {name} cannot be filled in ({type(fault).__name__})") from None


@lru_cache(maxsize=1024)
def _compiled(value: str) -> Template:
    return _ENVIRONMENT.from_string(value)
