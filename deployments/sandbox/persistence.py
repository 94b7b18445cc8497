"""The truth outlives the process: a snapshot in one file, replaced as a whole or not at all.

The vendor does not forget when it restarts, so a test that kills the sandbox must find everything again. Knobs and
faults are not kept: they belong to the run, not to the account.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from deployments.sandbox.account import Account, Credential, Form, Installation, Tally, User
from deployments.sandbox.clock import ManualClock
from deployments.sandbox.consent_desk import Question
from deployments.sandbox.knobs import KeyName
from deployments.sandbox.world import World


@dataclass(frozen=True, kw_only=True)
class SpaceSnapshot:
    """One space."""

    users: list[User]
    credentials: list[Credential]
    installations: list[Installation]
    forms: dict[str, Form]
    tally: Tally


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """All that is kept."""

    now: int
    ids_issued: int
    spaces: dict[KeyName, SpaceSnapshot]
    issued: list[tuple[Question, int]]
    due: list[tuple[int, Question, bool]]
    self_granted: list[Question]


_SNAPSHOT = TypeAdapter(Snapshot)


def save(world: World, path: Path) -> None:
    """Write the world's state; a reader finds the old file or the new one, never a part."""
    with world.lock:
        text = snapshot_json(world)
    beside = path.with_name(f"{path.name}.new")
    # Readable by its owner only, from its first byte.
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def load(world: World, path: Path) -> None:
    """Put a saved state into a fresh world; without a file there is nothing to do."""
    if not path.exists():
        return
    snapshot = _SNAPSHOT.validate_json(path.read_bytes())
    world.ids.issued = snapshot.ids_issued
    if isinstance(world.clock, ManualClock):
        world.clock.advance(max(0, snapshot.now - world.clock.now()))
    for name, space in snapshot.spaces.items():
        _restore(world.accounts[name], space)
    world.desk.issued = dict(snapshot.issued)
    world.desk.self_granted = set(snapshot.self_granted)
    for at, question, granted in snapshot.due:
        world.desk.postpone(question, at, granted=granted)


def snapshot_json(world: World) -> bytes:
    """Return the world's state as JSON. There are no secrets in it: of credentials it has digests."""
    return _SNAPSHOT.dump_json(
        Snapshot(
            now=world.clock.now(),
            ids_issued=world.ids.issued,
            spaces={name: _space(account) for name, account in world.accounts.items()},
            issued=list(world.desk.issued.items()),
            due=list(world.desk.due),
            self_granted=list(world.desk.self_granted),
        )
    )


def _space(account: Account) -> SpaceSnapshot:
    return SpaceSnapshot(
        users=list(account.users.values()),
        credentials=list(account.credentials.values()),
        installations=list(account.installations.values()),
        forms=account.forms,
        tally=account.tally,
    )


def _restore(account: Account, space: SpaceSnapshot) -> None:
    account.tally = space.tally
    account.forms = dict(space.forms)
    for user in space.users:
        account.restore_user(user)
    for credential in space.credentials:
        account.restore_credential(credential)
    for installation in space.installations:
        account.restore_installation(installation)
