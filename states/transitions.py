"""The table of transitions, as data: the machine, the loop, the diagram and the documentation all read this one."""

from dataclasses import dataclass

from states.stage import Stage, Trigger


@dataclass(frozen=True, slots=True)
class Transition:
    """One row of the table: ``trigger`` leads from ``source`` to ``dest`` once every ``evidence`` is there."""

    trigger: Trigger
    source: Stage
    dest: Stage
    call: str
    evidence: tuple[str, ...]


TRANSITIONS: tuple[Transition, ...] = (
    Transition(Trigger.create_user, Stage.new, Stage.created, "POST /users", ("alloy_user_id",)),
    Transition(
        Trigger.authenticate,
        Stage.created,
        Stage.authed,
        "GET /headless/oauthUrl or POST /headless/credentials",
        ("credential_id",),
    ),
    Transition(
        Trigger.start_installation,
        Stage.authed,
        Stage.installing,
        "POST /headless/startInstallation",
        ("installation_id",),
    ),
    Transition(Trigger.map_fields, Stage.installing, Stage.mapped, "none", ("answers",)),
    Transition(
        Trigger.complete_installation,
        Stage.mapped,
        Stage.completed,
        "POST /headless/completeInstallation",
        (),
    ),
)

BY_TRIGGER = {transition.trigger: transition for transition in TRANSITIONS}
BY_SOURCE = {transition.source: transition for transition in TRANSITIONS}

LATEST_FIRST: tuple[Stage, ...] = tuple(transition.source for transition in reversed(TRANSITIONS))
"""The stages that can be left, the furthest first: what was begun is finished before more is begun."""
