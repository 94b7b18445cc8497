"""Our books, read beside everybody who writes them, and the promises that hold after every single step.

Read with a connection of its own, past the store: what is judged does not judge itself.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from deployments.sandbox.account import Installation, digest_of
from states.holds import HoldKind, Reason
from states.stage import Stage, Trigger
from states.transitions import TRANSITIONS
from tests.simulation.alloy import SimulatedAlloy
from tests.simulation.beginning import Beginning
from tests.simulation.plan import Person, Plan, Wish
from tests.simulation.trace import Trace
from tests.simulation.virtual_time import Broken
from tests.simulation.worker import Process, Surroundings

_STAGES = [Stage.new, *(transition.dest for transition in TRANSITIONS)]
_TRIGGERS = [str(transition.trigger) for transition in TRANSITIONS]
_KEPT = ("alloy_user_id", "credential_id", "installation_id")
_OUTCOMES = ("hold", "reason", "sentence", "attempts", "link_issued_at")
"""What a process writes of nobody but those whose lease it holds."""

_READ = """
    SELECT onboarding.id, username, integration, stage, version, hold, reason, sentence, due_at, attempts,
           lease_token, lease_owner, lease_until, link_issued_at,
           alloy_user_id, credential_id, installation_id, was_installed
    FROM onboarding JOIN customer ON customer.id = onboarding.customer_id ORDER BY onboarding.id
"""


@dataclass(frozen=True)
class Entry:
    """One onboarding as it stands."""

    id: int
    username: str
    integration: str
    stage: Stage
    version: int
    hold: HoldKind | None
    reason: str | None
    sentence: str | None
    due_at: str | None
    attempts: int
    lease_token: str | None
    lease_owner: str | None
    lease_until: str | None
    link_issued_at: str | None
    alloy_user_id: str | None
    credential_id: str | None
    installation_id: str | None
    was_installed: int

    @classmethod
    def read(cls, row: Sequence[Any]) -> "Entry":
        """Make an entry of what :data:`_READ` asks for."""
        number, username, integration, stage, version, hold, *others = row
        return cls(number, username, integration, Stage(stage), version, HoldKind(hold) if hold else None, *others)

    def __str__(self) -> str:
        held = f" held by {self.hold}: {self.reason}" if self.hold else ""
        lease = " leased" if self.lease_token else ""
        return f"{self.username} {self.integration[:4]} {self.stage} v{self.version}{held}{lease}"


class Books:
    """What our database says, and what must be true of it, compared with Alloy's account."""

    def __init__(self, plan: Plan, around: Surroundings, alloy: SimulatedAlloy, beginning: Beginning) -> None:
        self._plan = plan
        self._around = around
        self._alloy = alloy
        self._beginning = beginning
        self._trace: Trace = around.trace
        self._connection = sqlite3.connect(around.home / "onboard.db", isolation_level=None)
        self._connection.execute("PRAGMA query_only=ON")
        self._seen_version = -1
        self._wishes = {
            (person.username, wish.offer.integration_id): (person, wish)
            for person in plan.people
            for wish in person.onboardings
        }
        self._tolerance = timedelta(seconds=2 * plan.misfortunes.skewed_seconds)
        self.entries: dict[int, Entry] = {}
        self.is_paused = False
        """Whether the list's failure budget is spent."""
        self.checks = 0
        self.look(None)

    def close(self) -> None:
        self._connection.close()

    def rows(self, statement: str, *parameters: object) -> list[tuple[object, ...]]:
        """Ask the database."""
        return self._connection.execute(statement, parameters).fetchall()

    def suspicions(self, entry: Entry, trigger: Trigger) -> int:
        """Return how many calls of ``entry`` we list that may have left something at Alloy."""
        [(listed,)] = self._connection.execute(
            "SELECT count(*) FROM intent WHERE onboarding_id = ? AND trigger = ? AND outcome IN ('leftover', 'late')",
            (entry.id, str(trigger)),
        )
        return int(listed)

    def in_doubt(self, entry: Entry, trigger: Trigger) -> int:
        """Return how many calls of ``entry`` an operator is asked about: Alloy does not tell whose effect is whose.

        Their outcome is open still: what they made is no leftover, since it may yet be used. The hold names it, says
        what to do with it, and is looked up anew as soon as that is done.
        """
        if entry.hold is not HoldKind.operator or entry.reason != Reason.credential_in_doubt:
            return 0
        [(unsettled,)] = self._connection.execute(
            "SELECT count(*) FROM intent WHERE onboarding_id = ? AND trigger = ? AND closed_at IS NULL",
            (entry.id, str(trigger)),
        )
        return int(unsettled)

    def wish(self, entry: Entry) -> tuple[Person, Wish]:
        """Return whose onboarding it is, and what was wished for."""
        return self._wishes[entry.username, entry.integration]

    def look(self, process: Process | None) -> None:
        """Check everything, if somebody wrote since; ``process`` is who did, None for people at their desks."""
        [(version,)] = self._connection.execute("PRAGMA data_version").fetchall()
        if version == self._seen_version:
            return
        self._seen_version = version
        self.checks += 1
        before, self.entries = self.entries, {}
        self.is_paused = bool(self.rows("SELECT 1 FROM batch WHERE paused_at IS NOT NULL"))
        for row in self._connection.execute(_READ):
            entry = Entry.read(row)
            self.entries[entry.id] = entry
            if (earlier := before.get(entry.id)) is not None and earlier != entry:
                self._trace.note(process.name if process else "desk", str(entry))
                self._changed(earlier, entry, process)
        if before and before.keys() != self.entries.keys():
            raise Broken("an onboarding came or went")
        if len(self.entries) != len(self._wishes):
            raise Broken(f"{len(self.entries)} onboardings on the books, {len(self._wishes)} on the list")
        self._check_history()

    # --- one writer

    def _changed(self, before: Entry, after: Entry, process: Process | None) -> None:
        if after.version < before.version:
            raise Broken(f"a version went back: {before} -> {after}")
        for name in _KEPT:
            if getattr(before, name) not in (None, getattr(after, name)):
                raise Broken(f"{name} was {getattr(before, name)}, now {after}: {getattr(after, name)}")
        taken = after.lease_token != before.lease_token and after.lease_token is not None
        if taken and before.lease_until is not None and self._is_ahead(before.lease_until):
            raise Broken(f"taken over while {before.lease_owner} had it: {before}")
        if after.stage is not before.stage:
            self._moved(before, after, process)
        if process is not None and before.lease_owner != process.known_as:
            for name in _OUTCOMES:
                if getattr(before, name) != getattr(after, name):
                    raise Broken(f"{name} written by {process.name}, who had no lease: {before} -> {after}")
        self._check_hold(after)

    def _check_hold(self, entry: Entry) -> None:
        """Nobody is lost: whoever stands still has a reason and a sentence, and is due or waits for an operator."""
        if entry.hold is not None and not (entry.reason and entry.sentence):
            raise Broken(f"a hold without a reason or a sentence: {entry}")
        is_over = entry.hold is HoldKind.cancelled or entry.stage is Stage.completed
        if is_over and entry.due_at is not None:
            raise Broken(f"it is over, and due at {entry.due_at}: {entry}")
        # One that an operator is asked about may be due all the same: somebody had it tried again meanwhile.
        if not (is_over or entry.hold is HoldKind.operator or entry.due_at or self.is_paused):
            raise Broken(f"nobody will ever look at it again: {entry}")

    def _moved(self, before: Entry, after: Entry, process: Process | None) -> None:
        if _STAGES.index(after.stage) != _STAGES.index(before.stage) + 1:
            raise Broken(f"no transition leads there: {before} -> {after}")
        if process is None or before.lease_owner != process.known_as:
            raise Broken(f"moved by {process.name if process else 'a desk'}, who had no lease: {before} -> {after}")
        if not self._is_ahead(before.lease_until or "", -self._tolerance):
            raise Broken(f"moved by {process.name}, whose lease had run out: {before} -> {after}")
        self._check_evidence(after)

    def _is_ahead(self, lease_until: str, by: timedelta | None = None) -> bool:
        until = datetime.fromisoformat(lease_until).replace(tzinfo=UTC)
        return until - self._around.now() > (by if by is not None else self._tolerance)

    # --- the history, and what Alloy has

    def _check_history(self) -> None:
        fired: dict[object, list[object]] = {}
        for onboarding_id, trigger in self.rows(
            "SELECT onboarding_id, trigger FROM history WHERE trigger IS NOT NULL ORDER BY id"
        ):
            fired.setdefault(onboarding_id, []).append(trigger)
        for entry in self.entries.values():
            expected = _TRIGGERS[: _STAGES.index(entry.stage)]
            if fired.get(entry.id, []) != expected:
                raise Broken(f"the history of {entry} tells {fired.get(entry.id)}")

    def _check_evidence(self, entry: Entry) -> None:
        account, (_, wish) = self._alloy.account, self.wish(entry)
        user = account.users.get(entry.alloy_user_id or "")
        if user is None or user.username != entry.username:
            raise Broken(f"the user of {entry} is {user}")
        if entry.stage >= Stage.created and entry.credential_id is not None:
            credential = account.credentials.get(entry.credential_id)
            if credential is None or credential.user_id != user.user_id or credential.type != wish.offer.app:
                raise Broken(f"the credential of {entry} is {credential}")
            if credential.digest != digest_of(credential.credential_id, wish.auth):
                raise Broken(f"the credential of {entry} is not the one that it brought: {credential}")
            renewed = credential.updated_at > credential.created_at
            if credential.credential_id in self._beginning.credentials and not renewed:
                raise Broken(f"the credential of {entry} was there before: {credential}")
        if entry.installation_id is not None:
            self._check_installation(entry)

    def _check_installation(self, entry: Entry) -> None:
        _, wish = self.wish(entry)
        installation = self._alloy.account.installations.get(entry.installation_id or "")
        if (
            installation is None
            or (installation.user_id, installation.integration_id) != (entry.alloy_user_id, entry.integration)
            or not (
                installation.credential_ids == {wish.offer.app: entry.credential_id} or self._is_unseen(installation)
            )
            or (
                installation.installation_id in self._beginning.installations
                and not self._is_handed_out_again(entry, installation)
            )
        ):
            raise Broken(f"the installation of {entry} is {installation}")
        if entry.stage is Stage.completed and not (installation.completed_at and installation.enabled):
            raise Broken(f"the installation of {entry} is not completed: {installation}")

    def check_alloy(self) -> None:
        """Check what there is at Alloy: one user each, and at most one completed installation for each onboarding."""
        account = self._alloy.account
        if len(account.users) > len(self._plan.people):
            raise Broken(f"{len(account.users)} users for {len(self._plan.people)} customers")
        completed: dict[tuple[str, str], str] = {}
        for one in account.installations.values():
            if one.completed_at is None or one.installation_id in self._beginning.installations:
                continue
            twin = completed.setdefault((one.user_id, one.integration_id), one.installation_id)
            if twin != one.installation_id:
                raise Broken(f"{twin} and {one.installation_id} are both completed for one onboarding")

    def _is_handed_out_again(self, entry: Entry, installation: Installation) -> bool:
        """Tell whether Alloy begins no second installation for one who was asked, and is to be installed once more.

        It hands the old one out, or it refuses and lists it. Then ours must be the very credential of the old one,
        which the customer's consent has renewed: with another one it would be guessed that it is to be used.
        """
        refused_and_seen = self._plan.knobs.dup_start == "409" and list(installation.credential_ids.values()) == [
            entry.credential_id
        ]
        return bool(entry.was_installed) and (self._plan.knobs.dup_start == "existing" or refused_and_seen)

    def _is_unseen(self, installation: Installation) -> bool:
        """Tell whether it was there before us, and Alloy does not show with which credential."""
        knobs = self._plan.knobs
        shows = knobs.installations_resource and knobs.hidden_cap_installations is None
        return installation.installation_id in self._beginning.installations and not shows
