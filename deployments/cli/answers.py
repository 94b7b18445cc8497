"""Answers given by hand: read from the command line, and held against the forms that are known before they are kept.

A wrong field name or option is refused here, where somebody sees it, rather than noticed days later by a resume.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from deployments.cli.exits import ExitCode, Fault, Refused
from deployments.cli.wording import count
from states.holds import HoldKind, Reason
from states.stage import Stage

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from states.forms import FormBlock, FormField, Given
    from store.story import OnboardingStory

Answers = Sequence["Given"]

_ANSWERABLE = (Stage.new, Stage.created, Stage.authed, Stage.installing)
_OPTIONS_SHOWN = 20
_EVERYBODY = 1_000_000


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


def who_lacks(
    engine: "Engine", answers: Answers, *, username: str | None, integration: str | None, batch: str | None
) -> list[tuple[str, str]]:
    """Return the onboardings to answer for, as username and integration.

    Raises :class:`Refused` if a form that is known does not ask for a field or does not take a value, and
    :class:`store.finding.NotFound` if there is nobody to answer for.
    """
    if username is not None:
        return _of_customer(engine, answers, username, integration)
    return _of_everyone(engine, answers, integration, batch)


def _of_customer(engine: "Engine", answers: Answers, username: str, integration: str | None) -> list[tuple[str, str]]:
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
    return [(username, one.integration) for one in open_ones if one.form is None or one in asking]


def _of_everyone(
    engine: "Engine", answers: Answers, integration: str | None, batch: str | None
) -> list[tuple[str, str]]:
    from store.finding import NotFound
    from store.standing import waiting
    from store.story import story

    rows = waiting(engine, batch=batch, kind=HoldKind.customer, limit=_EVERYBODY)
    lacking = [row for row in rows if row.reason is Reason.awaiting_answer]
    chosen: list[tuple[str, str]] = []
    forms: list[list[FormBlock]] = []
    for row in lacking:
        for one in story(engine, row.username).onboardings:
            if one.integration != row.integration or not _is_of(one, integration) or one.form is None:
                continue
            form = _form(one)
            forms.append(form)
            # Whoever has an answer of their own for it keeps that: only a field named as missing is filled in.
            if any(f"{given.name} " in f"{row.sentence} " and _asked(form, given) for given in answers):
                chosen.append((row.username, row.integration))
    if not forms:
        raise NotFound("nobody waits for an answer")
    asking = [form for form in forms if any(_asked(form, given) for given in answers)]
    _check(answers, asking or forms)
    if not chosen:
        raise NotFound("nobody lacks this answer")
    return chosen


def _check(answers: Answers, forms: "Sequence[list[FormBlock]]") -> None:
    """Refuse an answer that none of ``forms`` asks for, or that one of them does not take."""
    from states.forms import InvalidAnswer, convert

    faults: dict[str, Fault] = {}
    for given in answers:
        asked = [field for form in forms for field in _asked(form, given)]
        if not asked:
            names = dict.fromkeys(field.name for form in forms for block in form for field in block.fields)
            known = f"it asks for {', '.join(names)}" if names else "it asks for nothing"
            faults[given.name] = Fault(0, given.name, "the form does not ask for this", known)
        for field in asked:
            try:
                convert(field, given.value)
            except InvalidAnswer as fault:
                faults[given.name] = Fault(0, given.name, str(fault), _choices(field))
    if faults:
        raise Refused(
            ExitCode.bad_input,
            "bad_answer",
            f"{count(len(faults), 'answer does', 'answers do')} not fit; nothing was kept",
            list(faults.values()),
        )


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
