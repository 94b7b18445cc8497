"""What all forms have in common: who decides, and what keeps a form from being carried out becomes a named state."""

from collections.abc import Awaitable, Callable

from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from flows.acting.choices import WhatToDo
from states.failures import Halted
from store.finding import NotFound

LONGEST_NAME = 200


class Refused(ValueError):
    """The form was filled in so that it cannot be done; the text says what to change."""


def require_operator(decided_by: str) -> str:
    """Return who decides, as the history is to name them. Raises :class:`Refused` if nobody is named."""
    name = " ".join("".join(letter if letter.isprintable() else " " for letter in decided_by).split())
    if not name:
        raise Refused("say who decides: fill in decided_by, which is written into the history of each customer")
    return name[:LONGEST_NAME]


async def in_named_states(work: Callable[[], Awaitable[State[None]]]) -> State[None]:
    """Do ``work``; what keeps us from it becomes a named state."""
    try:
        return await work()
    except Refused as refused:
        return Failed(name="Refused", message=str(refused))
    except NotFound as missing:
        return Failed(name="Not found", message=str(missing))
    except Halted as halted:
        return Failed(name="Halted", message=halted.sentence)


def previewed(total: int, what: str) -> State[None]:
    """Return the state of a run that changed nothing."""
    return Completed(
        name=f"Preview: {total:,} would be {what}",
        message="Nothing was changed. The run's artifact shows whom it means; to do it, run it with what_to_do = apply "
        "and decided_by filled in.",
    )


def run_name() -> str:
    """Name a run by what it does and to whom, so that an operator finds it in a list of runs."""
    parameters = flow_run.parameters
    said = [
        str(value)
        for name in ("field", "username", "batch", "integration", "stage", "hold", "reason")
        if (value := parameters.get(name)) and str(value) != "any"
    ]
    what = "preview " if parameters.get("what_to_do") == WhatToDo.preview else ""
    return f"{what}{str(flow_run.flow_name or '').split('-')[0]} {', '.join(said) or 'everybody'}"
