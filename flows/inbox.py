"""The inbox: whoever drops a list there has everybody on it onboarded, and need not type anything.

Each version of a list is taken in once, known by its place and by what is in it. A changed list goes into the same
batch, as if it had been run again by hand. One that is still being written is left for the next look: its size and its
time must be the same twice. Lists stay where they are, untouched, since they are the user's: what became of them is in
our records, in the artifact `onboarding-inbox`, and for a refused one in a file beside it.

Whoever can write to the inbox need not be trusted with this machine: auth values may not refer to its environment and
files there, as they may in a list that an operator takes in.
"""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime

from prefect import flow
from prefect.artifacts import acreate_table_artifact
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.states import Cancelled, Completed, Failed

from flows.events import EVERYTHING, PREFIX, tell_of_halt
from flows.inbox_folder import FAULTS_SUFFIX, Found, InboxFolder, InboxUnreachable, shown
from flows.onboard import onboard_customers
from flows.overdue import cancel_overdue
from flows.receive import ListRefused, receive_list
from flows.resources import Resources, open_resources
from flows.settings import Settings
from states.failures import Failure, Halted
from store.inbox import LookedInto, looked_into, note_looked_into
from store.intake.take_in import LONGEST_BATCH_NAME

INBOX_KEY = "onboarding-inbox"
"""The artifact that says what became of the latest lists."""
REFUSED = f"{PREFIX}list.refused"

SETTLED_AFTER_SECONDS = 5.0
_SHOWN = 50
_THEN = "When the list is saved again, it is looked into again."


@dataclass(slots=True)
class _Looked:
    """What a look into the inbox came to."""

    batches: list[str] = field(default_factory=list)
    """Those into which something was taken in."""
    refused: list[str] = field(default_factory=list)
    """The names of the lists."""
    unsettled: int = 0
    """How many are being written, or could not be read."""
    put_off: str = ""
    """Why the rest is left for the next look."""

    def describe(self) -> str:
        """Say it in a few words, as the name of a state."""
        parts = [
            f"{number} {words}"
            for number, words in (
                (len(self.batches), "taken in"),
                (len(self.refused), "refused"),
                (self.unsettled, "still being written"),
            )
            if number
        ]
        return ", ".join(parts) or ("Put off" if self.put_off else "Nothing new")


@flow(name="take-in-inbox", flow_run_name="inbox", retries=0, persist_result=False)
async def take_in_inbox() -> State[None]:
    """Take in the lists that are new in the inbox, or have changed, and onboard everybody on them."""
    settings = Settings()
    await cancel_overdue(before=datetime.now(UTC))
    try:
        async with open_resources(settings) as resources:
            looked = await _look(resources, InboxFolder(settings.inbox))
    except Halted as halted:
        await tell_of_halt(settings, halted)
        return Failed(name="Halted", message=halted.sentence)
    except InboxUnreachable as unreachable:
        return Failed(name="Inbox unreachable", message=str(unreachable))
    for batch in dict.fromkeys(looked.batches):
        state = await onboard_customers(batch=batch, return_state=True)
        if state.is_cancelled():
            return Cancelled(name="Interrupted", message=f"{looked.describe()}; a resume goes on with them.")
    if looked.refused:  # somebody must act
        where = ", ".join(f"{name}{FAULTS_SUFFIX}" for name in looked.refused)
        return Failed(name=looked.describe(), message=f"What is wrong stands beside the list: {where}")
    return Completed(name=looked.describe(), message=looked.put_off or shown(settings.inbox))


async def _look(resources: Resources, folder: InboxFolder) -> _Looked:
    """Take in what is new and has settled."""
    looked = _Looked()
    known = await resources.in_thread(looked_into, resources.engine)

    async def unknown() -> dict[str, Found]:
        there = await resources.in_thread(folder.look)
        return {place: one for place, one in there.items() if place not in known or known[place].stamp != one.stamp}

    before = await unknown()
    if not before:
        return looked
    await settle()
    for place, found in (await unknown()).items():
        if before.get(place) != found:
            looked.unsettled += 1
            continue
        try:
            await _take_in(resources, folder, found, known.get(place), looked)
        except Halted:
            raise
        except Failure as failure:  # Alloy is away: nothing is wrong with the list
            looked.put_off = failure.sentence
            break
        except OSError:
            looked.unsettled += 1
    if looked.batches or looked.refused:
        await _show(resources)
    return looked


async def settle() -> None:
    """Give whoever writes a list time to write some more of it."""
    await asyncio.sleep(SETTLED_AFTER_SECONDS)


async def _take_in(
    resources: Resources, folder: InboxFolder, found: Found, known: LookedInto | None, looked: _Looked
) -> None:
    digest = await resources.in_thread(folder.digest, found)
    refused: str | None = None
    if known is None or known.digest != digest or known.refused is not None:
        refused = await _receive(resources, folder, found)
        (looked.batches.append(found.batch) if refused is None else looked.refused.append(found.name))
    seen = LookedInto(found.place, found.stamp, digest, found.batch, refused, resources.clock.now())
    await resources.in_thread(note_looked_into, resources.engine, seen)
    if refused is not None:
        _tell_of_refusal(found, refused)


async def _receive(resources: Resources, folder: InboxFolder, found: Found) -> str | None:
    """Take a list in; return why it was refused, if it was."""
    if len(found.batch) > LONGEST_BATCH_NAME:
        return f"the name has more than {LONGEST_BATCH_NAME} characters"
    try:
        with folder.at_hand(found, resources.home) as path:
            await receive_list(resources, path, found.batch, references=False)
    except ListRefused as refusal:
        faults = [f"line {one.line}, {one.column}: {one.fault}; {one.remedy}" for one in refusal.faults]
        await resources.in_thread(
            folder.write_faults, found, "\n".join([f"{found.name}: {refusal}", *faults, _THEN, ""])
        )
        return str(refusal)
    await resources.in_thread(folder.forget_faults, found)
    return None


def _tell_of_refusal(found: Found, why: str) -> None:
    emit_event(
        REFUSED,
        resource={"prefect.resource.id": EVERYTHING},
        payload={"list": found.name, "sentence": f"{found.name} in the inbox was refused: {why}"},
    )


async def _show(resources: Resources) -> None:
    latest = list((await resources.in_thread(looked_into, resources.engine)).values())[-_SHOWN:]
    rows = [
        {
            "list": one.place.rpartition("/")[2],
            "batch": one.batch,
            "looked into": f"{one.at:%Y-%m-%d %H:%M} UTC",
            "what became of it": one.refused or "taken in",
        }
        for one in reversed(latest)
    ]
    await acreate_table_artifact(rows, key=INBOX_KEY, description="What became of the latest lists in the inbox.")
