"""Users: create one, create many, list, get, update, delete (alloy-api.md 4.1-4.5)."""

from deployments.sandbox.account import User
from deployments.sandbox.call import Answer, Call
from deployments.sandbox.refusal import Refused

BATCH_LIMIT = 1000


def create_user(call: Call) -> Answer:
    """Make a user; `seed` even without a username."""
    username = call.text("username") if call.knobs.strict or "username" in call.body else None
    full_name = call.optional_text("fullName")
    if username is not None:
        holder = call.account.holder_of(username, fold_case=call.knobs.fold_username_case)
        if holder is not None:
            call.account.tally.duplicate_user_creates += 1
            if call.knobs.dup_user == 200:
                return {"userId": holder.user_id}
            raise Refused(call.knobs.dup_user, "A user with this username already exists")
    return {"userId": call.account.add_user(username, full_name).user_id}


def create_users(call: Call) -> Answer:
    """Make those of a list that can be made, and echo the others."""
    submitted = call.body.get("users")
    if not isinstance(submitted, list) or not 1 <= len(submitted) <= BATCH_LIMIT:
        raise Refused(400, f"users must be an array of 1 to {BATCH_LIMIT} users")
    invalid: list[object] = []
    for entry in submitted:
        username = entry.get("username") if isinstance(entry, dict) else None
        if not isinstance(username, str) or not username:
            invalid.append(entry)
            continue
        if call.account.holder_of(username, fold_case=call.knobs.fold_username_case) is not None:
            call.account.tally.duplicate_user_creates += 1
            invalid.append(entry)
            continue
        full_name = entry.get("fullName")
        call.account.add_user(username, full_name if isinstance(full_name, str) else None)
    if len(invalid) == len(submitted):
        raise Refused(400, "No valid users provided")
    return {"message": "success", "invalidUsers": invalid}


def list_users(call: Call) -> Answer:
    """Return all users, or as many as the hidden cap lets through."""
    users = [shown(user) for user in call.account.users.values() if user.created_at <= call.as_of]
    if call.knobs.shuffle_users:
        call.random.shuffle(users)
    return {"data": users[: call.knobs.hidden_cap]}


def get_user(call: Call) -> Answer:
    """Return one user."""
    return shown(call.user(call.path["user"]))


def update_user(call: Call) -> Answer:
    """Change a user's names; the username stays unique."""
    user = call.user(call.path["user"])
    username = call.optional_text("username")
    if username is not None:
        holder = call.account.holder_of(username, fold_case=call.knobs.fold_username_case)
        if holder is not None and holder is not user:
            status = call.knobs.dup_user if call.knobs.dup_user != 200 else 409
            raise Refused(status, "A user with this username already exists")
    full_name = call.optional_text("fullName")
    call.account.change_user(user, username=username or user.username, full_name=full_name or user.full_name)
    return shown(user)


def delete_user(call: Call) -> Answer:
    """Delete a user with their credentials; their installations stay, disabled."""
    call.account.remove_user(call.user(call.path["user"]))
    return {"success": True}


def shown(user: User) -> Answer:
    """Return a user as the vendor shows one: what they do not have is absent."""
    answer: Answer = {"userId": user.user_id}
    if user.full_name is not None:
        answer["fullName"] = user.full_name
    if user.username is not None:
        answer["username"] = user.username
    return answer
