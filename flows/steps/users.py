"""``create_user``: one user at Alloy for each username, whoever created it."""

from flows.alloy.answers import User
from flows.steps.attempt import Attempt, Evidence
from flows.steps.rule import Again, Change, carry_out
from states.failures import Rejected
from store.records import Record

MAYBE_TAKEN = (400, 409, 422)
"""The statuses that a taken username may be answered with; which one is documented nowhere (contract, 5.2)."""


async def create_user(attempt: Attempt) -> Evidence:
    """Create the user, or adopt the one who has this username."""
    record, alloy = attempt.record, attempt.resources.alloy
    if record.alloy_user_id is not None:
        known = {"alloy_user_id": record.alloy_user_id, "adopted": record.adopted}
        return Evidence(known, "the user is known from another onboarding")
    if attempt.together is not None:
        return await attempt.together()

    async def look_up() -> Evidence | None:
        user = await alloy.get_user(record.username)
        return None if user is None else adopted(record, user)

    async def call() -> Evidence:
        try:
            user_id = await alloy.create_user(record.username, record.full_name or None)
        except Rejected as refusal:
            found = await look_up() if refusal.status in MAYBE_TAKEN else None
            if found is None:
                raise
            return found
        return Evidence({"alloy_user_id": user_id, "adopted": False})

    return await carry_out(attempt, Change(f"POST /users {record.username}", call, look_up, Again.harmless))


def adopted(record: Record, user: User) -> Evidence:
    """Return the evidence of a user who may have been there before us."""
    note = "adopted the user who has this username at Alloy"
    if record.full_name and user.full_name and user.full_name != record.full_name:
        note += "; the full name there is a different one"
    return Evidence({"alloy_user_id": user.user_id, "adopted": True}, note)
