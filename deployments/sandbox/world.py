"""All that stands behind the socket, in one place: the two spaces, the desk, the knobs, the faults, the log.

Requests are handled on one event loop, but a test may look or turn a knob from another thread; whoever changes
the accounts holds `lock` while doing so.
"""

from random import Random
from threading import RLock

from deployments.sandbox.account import Account, Credential, User
from deployments.sandbox.clock import IdGenerator, ManualClock
from deployments.sandbox.consent_desk import ConsentDesk, Question
from deployments.sandbox.faults import FaultBook, TokenBucket
from deployments.sandbox.knobs import KeyName
from deployments.sandbox.ledger import Ledger, ledger_of
from deployments.sandbox.refusal import Refused
from deployments.sandbox.request_log import RequestLog
from deployments.sandbox.settings import SandboxSettings


class World:
    """The state of one sandbox."""

    def __init__(self, settings: SandboxSettings) -> None:
        self.settings = settings
        self.clock = settings.clock
        self.knobs = settings.knobs
        self.catalogue = settings.catalogue
        self.lock = RLock()
        self.requests = RequestLog(settings.request_log_size)
        self.base_url = ""
        self.writes = 0
        self._begin()

    def _begin(self) -> None:
        seed = self.settings.seed
        self.random = Random(seed)  # noqa: S311 - repeatable, guards nothing
        self.faults = FaultBook(seed)
        self.buckets: dict[KeyName, TokenBucket] = {"dev": TokenBucket(), "prod": TokenBucket()}
        self.ids = IdGenerator(seed)
        self.accounts: dict[KeyName, Account] = {
            "dev": Account(clock=self.clock, ids=self.ids),
            "prod": Account(clock=self.clock, ids=self.ids),
        }
        self.desk = ConsentDesk(self.accounts, clock=self.clock, seed=seed)

    def reset(self) -> None:
        """Go back to what the settings say, with empty spaces."""
        with self.lock:
            self.knobs = self.settings.knobs
            self.catalogue = self.settings.catalogue
            self.requests.clear()
            self._begin()
            self.desk.base_url = self.base_url
            self.writes += 1

    def settle(self) -> None:
        """Let customers do what they were to have done by now."""
        if self.desk.due:
            with self.lock:
                self.writes += self.desk.settle(self.knobs)

    def ledger(self, space: KeyName = "dev") -> Ledger:
        """Count a space as it stands."""
        with self.lock:
            self.settle()
            return ledger_of(self.accounts[space])

    def grant(self, user: str, app: str, properties: dict[str, str] | None = None) -> Credential:
        """Let a user grant what they were last asked about an app, or what `properties` say."""
        with self.lock:
            credential = self.desk.grant(self._question(user, app, properties), self.knobs)
            self.writes += 1
            return credential

    def deny(self, user: str, app: str, properties: dict[str, str] | None = None) -> None:
        """Let a user decline."""
        with self.lock:
            self.desk.deny(self._question(user, app, properties))
            self.writes += 1

    def advance(self, milliseconds: int) -> int:
        """Advance the clock, if it is a manual one, and return the time."""
        if not isinstance(self.clock, ManualClock):
            raise Refused(400, "The clock is not a manual one")
        self.clock.advance(milliseconds)
        self.settle()
        return self.clock.now()

    def _question(self, user_name: str, app_name: str, properties: dict[str, str] | None) -> Question:
        app = self.catalogue.app(app_name)
        if app is None or not app.is_oauth:
            raise Refused(404, "Not an OAuth app")
        user = self._user(user_name)
        if properties is not None:
            return Question.about(user.user_id, app, properties)
        asked = self.desk.question(user, app.connector)
        if asked is None and app.properties:
            raise Refused(409, "This user was not asked about this app; give the properties")
        return asked or Question.about(user.user_id, app, {})

    def _user(self, id_or_username: str) -> User:
        for account in self.accounts.values():
            user = account.find_user(id_or_username)
            if user is not None:
                return user
        raise Refused(404, "User not found")
