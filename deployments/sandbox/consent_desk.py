"""Who was asked for consent, and what they said: by a browser, by a test, or by themselves after a while.

The vendor's link carries the user and the properties and no token, so two links for the same (user, app,
properties) are the same question. The desk keeps decisions that fall due later as data and applies them when
somebody looks, so that they need no timer and obey a manual clock.
"""

import heapq
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from urllib.parse import quote, urlencode

from deployments.sandbox.account import Account, Credential, User, digest_of
from deployments.sandbox.catalogue import App
from deployments.sandbox.clock import Clock
from deployments.sandbox.knobs import KeyName, Knobs
from deployments.sandbox.refusal import Refused

OPEN_PAGES = 10_000
"""How many consent pages may be open at once; the oldest is forgotten."""


@dataclass(frozen=True, order=True)
class Question:
    """One user asked to connect one app with these properties."""

    user_id: str
    connector: str
    properties: tuple[tuple[str, str], ...]
    label: str

    @classmethod
    def about(cls, user_id: str, app: App, properties: Mapping[str, str]) -> "Question":
        """Ask a user to connect an app."""
        return cls(user_id, app.connector, tuple(properties.items()), app.label)


@dataclass(slots=True)
class OpenPage:
    """A page with its two buttons, of which one may be pressed, once."""

    question: Question
    decided: bool = False


class ConsentDesk:
    """Issues links, takes decisions, makes the credentials."""

    def __init__(self, accounts: Mapping[KeyName, Account], *, clock: Clock, seed: int) -> None:
        self._accounts = accounts
        self._clock = clock
        self._seed = seed
        self._pages: dict[str, tuple[OpenPage, bool]] = {}
        self.base_url = ""
        self.issued: dict[Question, int] = {}
        self._undecided: set[Question] = set()
        self.due: list[tuple[int, Question, bool]] = []
        self.self_granted: set[Question] = set()

    def issue(self, user: User, app: App, properties: Mapping[str, str], knobs: Knobs) -> str:
        """Return the link for a question, and let the customer make up their mind if they do so by themselves."""
        question = Question.about(user.user_id, app, properties)
        now = self._clock.now()
        self.issued[question] = now
        if knobs.auto != "ignore" and not self._abandons(user, knobs) and not self._settled(question, knobs):
            self.postpone(question, now + knobs.auto_after_ms, granted=knobs.auto == "grant")
        query = urlencode({"userId": user.user_id, **properties})
        return f"{self.base_url}/api/strategy/{quote(app.connector)}/authorize?{query}"

    def postpone(self, question: Question, until: int, *, granted: bool) -> None:
        """Let a decision fall due later."""
        heapq.heappush(self.due, (until, question, granted))
        self._undecided.add(question)

    def settle(self, knobs: Knobs) -> bool:
        """Apply the decisions that have fallen due; return whether there were any."""
        settled = False
        while self.due and self.due[0][0] <= self._clock.now():
            at, question, granted = heapq.heappop(self.due)
            self._undecided.discard(question)
            user = self._find_user(question.user_id)
            if user is None:
                continue
            settled = True
            if granted:
                self.self_granted.add(question)
                self._grant(*user, question, knobs, at)
            else:
                user[0].tally.consents_denied += 1
        return settled

    def open_page(self, question: Question, knobs: Knobs) -> tuple[str, str]:
        """Return the one-time nonces for Grant and Deny, or refuse: the link is dead."""
        if self._find_user(question.user_id) is None:
            raise Refused(404, "Unknown user")
        if knobs.link_life_ms is not None or knobs.link_single_use:
            issued_at = self.issued.get(question)
            expired = knobs.link_life_ms is not None and (
                issued_at is None or self._clock.now() > issued_at + knobs.link_life_ms
            )
            if expired or issued_at is None:
                raise Refused(410, "This link has expired")
        page = OpenPage(question)
        nonces = secrets.token_urlsafe(18), secrets.token_urlsafe(18)
        self._pages[nonces[0]] = page, True
        self._pages[nonces[1]] = page, False
        while len(self._pages) > 2 * OPEN_PAGES:
            del self._pages[next(iter(self._pages))]
        return nonces

    def press(self, nonce: str, connector: str, knobs: Knobs) -> bool:
        """Take the decision that a nonce stands for, once; return whether it was a grant."""
        page, granted = self._pages.get(nonce, (None, False))
        if page is None or page.question.connector != connector:
            raise Refused(400, "This page is not known")
        if page.decided:
            raise Refused(409, "This page was answered already")
        page.decided = True
        if granted:
            self.grant(page.question, knobs)
        else:
            self.deny(page.question)
        return granted

    def grant(self, question: Question, knobs: Knobs) -> Credential:
        """Grant now."""
        account, user = self._user(question)
        if knobs.link_single_use:
            self.issued.pop(question, None)
        return self._grant(account, user, question, knobs, self._clock.now())

    def deny(self, question: Question) -> None:
        """Deny now: nothing is left behind but a count."""
        self._user(question)[0].tally.consents_denied += 1

    def question(self, user: User, connector: str) -> Question | None:
        """Return what a user was last asked about an app."""
        asked = [one for one in self.issued if (one.user_id, one.connector) == (user.user_id, connector)]
        return max(asked, key=self.issued.__getitem__) if asked else None

    def _grant(self, account: Account, user: User, question: Question, knobs: Knobs, at: int) -> Credential:
        account.tally.consents_granted += 1
        data = dict(question.properties)
        lag = knobs.visibility_lag_ms + knobs.grant_lag_ms
        for credential in reversed(account.credentials_of(user.user_id)):
            same = (
                credential.by_consent
                and credential.type == question.connector
                and credential.digest == digest_of(credential.credential_id, data)
            )
            if same and knobs.regrant == "refresh":
                account.refresh_credential(credential, lag=lag, at=at)
                return credential
        name = " ".join([question.label, *data.values()])
        made = account.add_credential(user, connector=question.connector, name=name, data=data, lag=lag, at=at)
        made.by_consent = True
        return made

    def _settled(self, question: Question, knobs: Knobs) -> bool:
        """Whether the customer has nothing left to decide: they are about to, or they have granted."""
        return question in self._undecided or (question in self.self_granted and not knobs.auto_repeats)

    def _abandons(self, user: User, knobs: Knobs) -> bool:
        if not knobs.abandonment:
            return False
        digest = blake2b(f"{self._seed}/{user.username or user.user_id}".encode(), digest_size=8).digest()
        return int.from_bytes(digest) / 2**64 < knobs.abandonment

    def _user(self, question: Question) -> tuple[Account, User]:
        found = self._find_user(question.user_id)
        if found is None:
            raise Refused(404, "Unknown user")
        return found

    def _find_user(self, user_id: str) -> tuple[Account, User] | None:
        for account in self._accounts.values():
            user = account.users.get(user_id)
            if user is not None:
                return account, user
        return None
