"""Answers given by hand: read from the command line, and held against the forms that are known before they are kept.

A wrong field name or option is refused here, where somebody sees it, rather than noticed days later by a resume.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from deployments.cli.exits import ExitCode, Fault, Refused
from deployments.cli.wording import count
from states.holds import HoldKind
from states.stage import Stage
from store.wanted import Wanted

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from states.forms import FormBlock, FormField, Given
    from store.questions import Takers
    from store.story import OnboardingStory

Answers = Sequence["Given"]

_ANSWERABLE = (Stage.new, Stage.created, Stage.authed, Stage.installing)
_OPTIONS_SHOWN = 20
_NAMES_SHOWN = 20


def take_apart(words: Sequence[str], *, everyone: bool) -> tuple[str | None, list[tuple[str, str]]]:
    """Return who is meant and what they answer. Raises :class:`Refused` for a word that is no answer."""
    username, answers = (None, list(words)) if everyone else (words[0], list(words[1:]))
    if not answers:
        raise Refused(ExitCode.bad_input, "usage", "an answer is missing: write FIELD=VALUE after the username")
    pairs = []
    for word in answers:
        name, equals, value = word.partition("=")
        if not equals or not name or not value:
            hint = ", without a username after --everyone" if everyone else ""
            raise Refused(ExitCode.bad_input, "usage", f"an answer is FIELD=VALUE{hint}, not {word!r}")
        pairs.append((name, value))
    return username, pairs


def read_answers(pairs: Sequence[tuple[str, str]], *, block: str | None) -> "list[Given]":
    """Return the answers as the store keeps them."""
    from states.forms import Given

    return [Given(name=name, value=value, block=block) for name, value in pairs]


def of_customer(engine: "Engine", answers: Answers, username: str, integration: str | None) -> list[str]:
    """Return the integrations of one customer to answer for.

    Raises :class:`Refused` if a form that is known does not ask for a field or does not take a value, and
    :class:`store.finding.NotFound` if the customer has nothing that takes answers.
    """
    from store.finding import NotFound
    from store.story import story

    every = story(engine, username).onboardings
    open_ones = [
        one
        for one in every
        if one.stage in _ANSWERABLE and one.hold is not HoldKind.cancelled and _is_of(one, integration)
    ]
    if not open_ones:
        raise NotFound(f"{username} has no onboarding that still takes answers: see `onboard show {username}`")
    known = [(one, _form(one)) for one in open_ones if one.form is not None]
    asking = [one for one, form in known if any(_asked(form, given) for given in answers)]
    if known and (not asking or len(known) == len(open_ones)):
        _check(answers, [form for one, form in known if not asking or one in asking])
    # Where the form is not known yet, the answer is kept and checked when it is.
    return [one.integration for one in open_ones if one.form is None or one in asking]


def of_everyone(engine: "Engine", answers: Answers, whom: Wanted) -> "Takers":
    """Return those of ``whom`` who lack one of ``answers`` and can take it.

    Raises :class:`Refused` if none of their forms takes them, and :class:`store.finding.NotFound` if nobody lacks any.
    """
    from store.engine import time_of
    from store.finding import NotFound
    from store.questions import takers

    now = time_of(engine)
    found = takers(engine, whom.look_up(engine, now), answers, now)
    if not found.lacked:
        raise NotFound("nobody waits for an answer")
    if not (found.ids or found.left):
        raise NotFound(f"nobody lacks this answer; what is lacked: {', '.join(found.lacked[:_NAMES_SHOWN])}")
    if not found.ids:
        refusing = [(given, found.refusing[given.name]) for given in answers if given.name in found.refusing]
        raise _do_not_fit([fault for given, field in refusing for fault in _unfit(given, field)])
    return found


def _check(answers: Answers, forms: "Sequence[list[FormBlock]]") -> None:
    """Refuse an answer that none of ``forms`` asks for, or that one of them does not take."""
    faults: list[Fault] = []
    for given in answers:
        asked = [field for form in forms for field in _asked(form, given)]
        if not asked:
            names = dict.fromkeys(field.name for form in forms for block in form for field in block.fields)
            known = f"it asks for {', '.join(names)}" if names else "it asks for nothing"
            faults.append(Fault(0, given.name, "the form does not ask for this", known))
        faults += [fault for field in asked for fault in _unfit(given, field)][:1]
    if faults:
        raise _do_not_fit(faults)


def _do_not_fit(faults: Sequence[Fault]) -> Refused:
    sentence = f"{count(len(faults), 'answer does', 'answers do')} not fit; nothing was kept"
    return Refused(ExitCode.bad_input, "bad_answer", sentence, faults)


def _unfit(given: "Given", field: "FormField") -> list[Fault]:
    from states.forms import InvalidAnswer, convert

    try:
        convert(field, given.value)
    except InvalidAnswer as fault:
        return [Fault(0, given.name, str(fault), _choices(field))]
    return []


def _choices(field: "FormField") -> str:
    if not field.options:
        return f"give a {field.type}"
    labels = [option.label or str(option.value) for option in field.options]
    more = f" and {len(labels) - _OPTIONS_SHOWN} more" if len(labels) > _OPTIONS_SHOWN else ""
    return f"choose one of {', '.join(labels[:_OPTIONS_SHOWN])}{more}"


def _asked(form: "list[FormBlock]", given: "Given") -> "list[FormField]":
    return [field for block in form for field in block.fields if given.matches(block, field.name)]


def _form(one: "OnboardingStory") -> "list[FormBlock]":
    from states.forms import readable_form

    form = readable_form(one.form or [])
    if form is None:
        raise Refused(
            ExitCode.bad_input,
            "unreadable_form",
            f"the form of {one.integration} cannot be read, so no answer can be held against it; nothing was kept: "
            f"see what is to be done with `onboard show`, or answer for another --integration",
        )
    return form


def _is_of(one: "OnboardingStory", integration: str | None) -> bool:
    return integration is None or integration.casefold() in (one.integration.casefold(), one.integration_id)
