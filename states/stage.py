"""The words for how far an onboarding is, and for what moves it on.

Member names equal their values, so that the enum, the database's text, a command line argument and a Prefect tag
are one and the same word.
"""

from enum import StrEnum, auto


class Stage(StrEnum):
    """How far an onboarding is. A failure is never a stage: the record keeps its stage and gets a hold."""

    new = auto()
    created = auto()
    authed = auto()
    installing = auto()
    mapped = auto()
    completed = auto()


class Trigger(StrEnum):
    """The verb that leaves a stage."""

    create_user = auto()
    authenticate = auto()
    start_installation = auto()
    map_fields = auto()
    complete_installation = auto()
