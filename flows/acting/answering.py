"""One answer for everybody who lacks it, as a form: whoever has an answer of their own that fits keeps it."""

import asyncio
from collections.abc import Sequence

from prefect import flow
from prefect.artifacts import acreate_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed
from sqlalchemy import Engine

from flows.acting.choices import WhatToDo, wanted
from flows.acting.deciding import Refused, in_named_states, previewed, require_operator, run_name
from flows.acting.opening import open_store, time_by
from flows.acting.showing import RELEASED, count, plain, table
from flows.settings import Settings
from store.choosing import Chosen
from store.questions import LackedAnswer, answer_alike, lacked_answers

_SHOWN = 20


@flow(name="answer-everyone", flow_run_name=run_name, retries=0, persist_result=False)
async def answer_everyone(
    field: str,
    value: str,
    what_to_do: WhatToDo = WhatToDo.preview,
    integration: str = "",
    app: str = "",
    batch: str = "",
    username: str = "",
    decided_by: str = "",
) -> State[None]:
    """Give one answer to everybody whose installation waits for it.

    Args:
        field: The name of the field, as `onboard show` and the table of those who wait name it.
        value: The answer: a text, a number, yes or no, or an option's label. Never a password or a key.
        what_to_do: Preview changes nothing and shows whom the rest of the form means; apply does it.
        integration: Only this integration: its id, its name in the list, or its app. Blank: all.
        app: Only where this app's part of the form asks. Blank: wherever a field of that name is.
        batch: Only this batch. Blank: all.
        username: Only this customer. Blank: all.
        decided_by: Your name, for the history of each customer. Needed to apply.
    """
    whom = wanted(integration=integration, batch=batch, username=username)

    async def work() -> State[None]:
        if not value.strip():
            raise Refused("the answer is blank")
        async with open_store(Settings()) as engine:
            chosen = await asyncio.to_thread(whom.look_up, engine, await time_by(engine))
            return await _answer(engine, chosen, (field.strip(), app.strip()), value.strip(), what_to_do, decided_by)

    return await in_named_states(work)


async def _answer(
    engine: Engine, chosen: Chosen, wanted_field: tuple[str, str], value: str, what_to_do: WhatToDo, decided_by: str
) -> State[None]:
    field, app = wanted_field
    every = await asyncio.to_thread(lacked_answers, engine, chosen, await time_by(engine))
    lacked = [one for one in every if one.name == field and app in ("", one.app)]
    if not lacked:
        names = ", ".join(list(dict.fromkeys(one.name for one in every))[:_SHOWN])
        return Completed(name="Nobody lacks it", message=f"What is lacked: {names}." if names else "Nothing is lacked.")
    number = sum(len(one.takers(value)) for one in lacked)
    if not number:
        choices = ", ".join(list(dict.fromkeys(choice for one in lacked for choice in one.choices))[:_SHOWN])
        raise Refused(
            f"no form takes this value for {field}" + (f": choose one of {choices}" if choices else ": see its type")
        )
    if what_to_do is WhatToDo.preview:
        await _show(field, value, lacked)
        return previewed(number, "answered")
    by = require_operator(decided_by)
    answered = 0
    for one in lacked:
        answered += await asyncio.to_thread(answer_alike, engine, one, value, by=by, now=await time_by(engine))
    left = sum(len(one.asked) for one in lacked) - answered
    return Completed(
        name=f"{answered:,} answered by {by}" + (f", {left:,} left" if left else ""),
        message=f"{count(answered)}. {RELEASED}",
    )


async def _show(field: str, value: str, lacked: Sequence[LackedAnswer]) -> None:
    would = {f"{one.integration} ({one.app})": len(one.takers(value)) for one in lacked}
    left = {f"{one.integration} ({one.app})": len(one.asked) - len(one.takers(value)) for one in lacked}
    parts = [
        f"## {count(sum(would.values()))} would be answered",
        f"Field: {plain(field)}",
        table(("integration", "would be answered"), would),
    ]
    if any(left.values()):
        parts.append(table(("integration", "left: their forms do not take this value"), left))
    parts.append(
        "**Nothing was changed.** To do it, start this deployment again with the same values, with *what_to_do* set "
        "to *apply* and *decided_by* filled in."
    )
    await acreate_markdown_artifact("\n\n".join(parts), key="preview-answer", description="Preview of an answer")
