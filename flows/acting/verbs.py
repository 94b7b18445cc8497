"""The operators' verbs as forms: by a query, with a preview before anything changes.

Parameters are shown to everybody who sees Prefect's pages: none of them takes a secret.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed
from sqlalchemy import ColumnElement, Engine

from flows.acting.choices import Age, AgeUnit, AnyHold, AnyReason, AnyStage, WhatToDo, wanted
from flows.acting.deciding import Refused, in_named_states, previewed, require_operator, run_name
from flows.acting.opening import open_store, time_by
from flows.acting.showing import RELEASED, count, show_preview
from flows.settings import Settings
from store.cancelling import cancel
from store.choosing import Chosen, preview, standing_still, under_way, with_a_link
from store.desk import redrive, renew_links
from store.wanted import Wanted


@dataclass(frozen=True, slots=True)
class Verb:
    """What can be done to those whom a query finds."""

    name: str
    done: str
    """As in "12 would be ..."."""
    reaches: Callable[[Chosen], Sequence[ColumnElement[bool]]]
    do: Callable[[Engine, Chosen, str, datetime], int]
    """Is told who decides and when; returns how many it reached."""
    after: str


REDRIVE = Verb(
    "redrive",
    "redriven",
    standing_still,
    lambda engine, chosen, by, now: redrive(engine, chosen, by=by, now=now),
    RELEASED,
)
CANCEL = Verb(
    "cancel",
    "cancelled",
    under_way,
    lambda engine, chosen, by, now: cancel(engine, chosen, by=by, now=now).number,
    "Their sealed auth values and consent links are deleted; nothing at Alloy is. To take it back, redrive with "
    "hold = cancelled.",
)
RENEW = Verb(
    "renew-links",
    "sent for a new link",
    with_a_link,
    lambda engine, chosen, by, now: renew_links(engine, chosen, by=by, now=now),
    f"{RELEASED} It has the new links issued; `onboard links` prints them.",
)


@flow(name="redrive-onboardings", flow_run_name=run_name, retries=0, persist_result=False)
async def redrive_onboardings(
    what_to_do: WhatToDo = WhatToDo.preview,
    stage: AnyStage = AnyStage.any,
    hold: AnyHold = AnyHold.any,
    reason: AnyReason = AnyReason.any,
    integration: str = "",
    batch: str = "",
    username: str = "",
    older_than: Age = 0,
    older_than_unit: AgeUnit = AgeUnit.hours,
    everybody: bool = False,
    decided_by: str = "",
) -> State[None]:
    """Let those who stand still be tried again.

    Args:
        what_to_do: Preview changes nothing and shows whom the rest of the form means; apply does it.
        stage: Only at this stage.
        hold: Only held by this kind of hold. Cancelled ones are let go on only if cancelled is chosen here.
        reason: Only held for this reason.
        integration: Only this integration: its id, its name in the list, or its app. Blank: all.
        batch: Only this batch. Blank: all.
        username: Only this customer. Blank: all.
        older_than: Only those at their stage for at least this long, in the unit below. 0: any.
        older_than_unit: What the age above is counted in.
        everybody: Allows a form that names no condition, which means everybody who stands still.
        decided_by: Your name, for the history of each customer. Needed to apply.
    """
    whom = wanted(
        stage=stage, hold=hold, reason=reason, integration=integration, batch=batch, username=username,
        older_than=older_than, older_than_unit=older_than_unit,
    )  # fmt: skip
    return await _act(REDRIVE, whom, what_to_do, decided_by, everybody=everybody)


@flow(name="cancel-onboardings", flow_run_name=run_name, retries=0, persist_result=False)
async def cancel_onboardings(
    what_to_do: WhatToDo = WhatToDo.preview,
    stage: AnyStage = AnyStage.any,
    hold: AnyHold = AnyHold.any,
    reason: AnyReason = AnyReason.any,
    integration: str = "",
    batch: str = "",
    username: str = "",
    older_than: Age = 0,
    older_than_unit: AgeUnit = AgeUnit.hours,
    everybody: bool = False,
    decided_by: str = "",
) -> State[None]:
    """End onboardings for good: their sealed auth values and consent links are deleted, completed ones stay.

    Args:
        what_to_do: Preview changes nothing and shows whom the rest of the form means; apply does it.
        stage: Only at this stage.
        hold: Only held by this kind of hold.
        reason: Only held for this reason.
        integration: Only this integration: its id, its name in the list, or its app. Blank: all.
        batch: Only this batch. Blank: all.
        username: Only this customer. Blank: all.
        older_than: Only those at their stage for at least this long, in the unit below. 0: any.
        older_than_unit: What the age above is counted in.
        everybody: Allows a form that names no condition, which means everybody who is not completed.
        decided_by: Your name, for the history of each customer. Needed to apply.
    """
    whom = wanted(
        stage=stage, hold=hold, reason=reason, integration=integration, batch=batch, username=username,
        older_than=older_than, older_than_unit=older_than_unit,
    )  # fmt: skip
    return await _act(CANCEL, whom, what_to_do, decided_by, everybody=everybody)


@flow(name="renew-consent-links", flow_run_name=run_name, retries=0, persist_result=False)
async def renew_consent_links(
    what_to_do: WhatToDo = WhatToDo.preview,
    integration: str = "",
    batch: str = "",
    username: str = "",
    older_than: Age = 0,
    older_than_unit: AgeUnit = AgeUnit.days,
    everybody: bool = False,
    decided_by: str = "",
) -> State[None]:
    """Have new consent links issued to those who have not consented yet. A consent already given still counts.

    The links themselves are shown only by the command `onboard links`, never here.

    Args:
        what_to_do: Preview changes nothing and shows whom the rest of the form means; apply does it.
        integration: Only this integration: its id, its name in the list, or its app. Blank: all.
        batch: Only this batch. Blank: all.
        username: Only this customer. Blank: all.
        older_than: Only those who have been waited for at least this long, in the unit below. 0: any.
        older_than_unit: What the age above is counted in.
        everybody: Allows a form that names no condition, which means everybody who has a link.
        decided_by: Your name, for the history of each customer. Needed to apply.
    """
    whom = wanted(
        integration=integration, batch=batch, username=username, older_than=older_than, older_than_unit=older_than_unit
    )
    return await _act(RENEW, whom, what_to_do, decided_by, everybody=everybody)


async def _act(verb: Verb, whom: Wanted, what_to_do: WhatToDo, decided_by: str, *, everybody: bool) -> State[None]:
    async def work() -> State[None]:
        if whom.is_everybody and not everybody:
            raise Refused("the form names nobody: choose a condition, or switch everybody on to mean all there are")
        async with open_store(Settings()) as engine:
            chosen = await asyncio.to_thread(whom.look_up, engine, await time_by(engine))
            if what_to_do is WhatToDo.preview:
                found = await asyncio.to_thread(preview, engine, verb.reaches(chosen), await time_by(engine))
                await show_preview(verb.name, verb.done, found, asked=str(whom))
                return previewed(found.total, verb.done)
            by = require_operator(decided_by)
            number = await asyncio.to_thread(verb.do, engine, chosen, by, await time_by(engine))
        if not number:
            return Completed(name="Nobody matches", message="Nothing was changed.")
        return Completed(name=f"{number:,} {verb.done} by {by}", message=f"{count(number)}. {verb.after}")

    return await in_named_states(work)
