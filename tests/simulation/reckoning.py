"""The end: everybody completed or rightly refused, and nothing at Alloy that our books do not account for.

What a lost answer can leave behind where Alloy gives no means to know is inert: a started installation that is never
completed, a credential that nothing uses. So is what a process leaves that was frozen between its decision to call
and the first byte, for longer than anybody waits. Each of them must be listed by us as a suspicion, unless an operator
is asked about it: then it may be used yet, and the hold says so.
"""

from collections import Counter
from collections.abc import Callable

from deployments.sandbox.account import Credential, Installation
from states.holds import Reason
from states.stage import Stage, Trigger
from tests.simulation.alloy import BASE_URL, SimulatedAlloy
from tests.simulation.beginning import Beginning
from tests.simulation.books import Books, Entry
from tests.simulation.misfortune import Blow, Fate
from tests.simulation.plan import Plan
from tests.simulation.virtual_time import Broken


class Reckoning:
    """Compares the list, our books and Alloy's account."""

    def __init__(self, plan: Plan, books: Books, alloy: SimulatedAlloy, beginning: Beginning, fate: Fate) -> None:
        self._plan = plan
        self._books = books
        self._alloy = alloy
        self._beginning = beginning
        self._fate = fate

    def is_over(self) -> bool:
        """Tell whether nobody can do anything any more."""
        return not self.unfinished()

    def unfinished(self) -> list[str]:
        """Return those who are neither completed nor rightly refused, and why not."""
        return [
            f"{entry} ({entry.sentence})"
            for entry in self._books.entries.values()
            if entry.stage is not Stage.completed and not self._is_rightly_refused(entry)
        ]

    def _is_rightly_refused(self, entry: Entry) -> bool:
        person, wish = self._books.wish(entry)
        knobs = self._plan.knobs
        if entry.hold != "operator":
            return False
        match entry.reason:
            case Reason.already_installed:
                return person.had_installation and wish is person.onboardings[0]
            case Reason.rejected:
                bad = wish.bad_secret and knobs.verify_secret and entry.stage is Stage.created
                return bad or (person.barred and entry.stage is Stage.authed)
            case Reason.installation_conflict:
                begun_before = knobs.dup_start == "409" and not self._shows_what_was_started()
                return begun_before or bool(entry.was_installed)
            case Reason.credential_in_doubt:  # an operator would delete what is in doubt at Alloy, and ours do not
                return len({one.offer.app for one in person.onboardings}) < len(person.onboardings)
            case _:
                return False

    def _shows_what_was_started(self) -> bool:
        knobs = self._plan.knobs
        return knobs.installations_resource and knobs.list_started and knobs.hidden_cap_installations is None

    def leftovers(self) -> int:
        """Return how many inert things are at Alloy; every one must be listed, and nothing else may be there."""
        account, entries = self._alloy.account, self._books.entries.values()
        if len(account.users) != len(self._plan.people):
            raise Broken(f"{len(account.users)} users for {len(self._plan.people)} customers")
        self._check_completed()
        self._check_secrets()
        booked = {entry.installation_id for entry in entries} | {entry.credential_id for entry in entries}
        started = [one for one in account.installations.values() if self._is_stray(one, booked)]
        credentials = [one for one in account.credentials.values() if self._is_unused(one, booked)]
        self._check_listed(
            Trigger.start_installation, Counter((one.user_id, one.integration_id) for one in started), self._installs
        )
        self._check_listed(
            Trigger.authenticate, Counter((one.user_id, one.type) for one in credentials), self._connects
        )
        nobody_called_late = not self._fate.struck[Blow.oversleep] and not self._fate.struck[Blow.freeze]
        if started and self._shows_what_was_started() and nobody_called_late:
            raise Broken(f"{len(started)} installations were started and forgotten though Alloy lists them")
        return len(started) + len(credentials)

    def _check_completed(self) -> None:
        """A completed record has one completed installation; any other record has none.

        But where it was installed before us Alloy may refuse a completion and not show why, and an operator looks.
        """
        entries = self._books.entries.values()
        unseen = {one.installation_id for one in entries if one.was_installed and one.stage is Stage.mapped}
        live = {
            one.installation_id
            for one in self._alloy.account.installations.values()
            if one.completed_at is not None and one.installation_id not in self._beginning.installations
        }
        ours = {one.installation_id for one in entries if one.stage is Stage.completed} - self._beginning.installations
        if live - unseen != ours:
            raise Broken(f"completed at Alloy: {sorted(live)}; by our books: {sorted(map(str, ours))}")

    def _check_secrets(self) -> None:
        """No auth value and no consent link stands anywhere but sealed."""
        secrets = {value for person in self._plan.people for wish in person.onboardings for value in wish.auth.values()}
        said = [
            *self._books.rows("SELECT sentence FROM history WHERE sentence IS NOT NULL"),
            *self._books.rows("SELECT sentence FROM onboarding WHERE sentence IS NOT NULL"),
            *self._books.rows("SELECT evidence FROM intent WHERE evidence IS NOT NULL"),
        ]
        for (words,) in said:
            told = [secret for secret in (*secrets, BASE_URL) if secret in str(words)]
            if told:
                raise Broken(f"{told} can be read in {words!r}")

    def _is_stray(self, one: Installation, booked: set[str | None]) -> bool:
        return one.installation_id not in booked | self._beginning.installations

    def _is_unused(self, one: Credential, booked: set[str | None]) -> bool:
        """Tell whether we made a credential that nothing uses; consents are the customers' own doing."""
        return not one.by_consent and one.credential_id not in booked | self._beginning.credentials

    def _installs(self, entry: Entry) -> str:
        return entry.integration

    def _connects(self, entry: Entry) -> str:
        """Return the app: a credential may have been made by any of a user's onboardings on it."""
        return self._books.wish(entry)[1].offer.app

    def _check_listed(self, trigger: Trigger, left: Counter[tuple[str, str]], what: Callable[[Entry], str]) -> None:
        """Each thing that is ``left`` of a user is listed, or in doubt, by an onboarding that may have made it."""
        for (user_id, made), number in left.items():
            theirs = [
                entry for entry in self._books.entries.values() if (entry.alloy_user_id, what(entry)) == (user_id, made)
            ]
            listed = sum(self._books.suspicions(entry, trigger) for entry in theirs)
            in_doubt = sum(self._books.in_doubt(entry, trigger) for entry in theirs)
            if number > listed + in_doubt:
                whose = "; ".join(map(str, theirs))
                raise Broken(
                    f"{number} things ({trigger}) of {whose} are left at Alloy, {listed} of them listed,"
                    f" {in_doubt} in doubt"
                )
