"""The truth about one key's space: users, credentials, installations, and nothing about HTTP.

Everything that really happened is here, and only these methods change it. What a client may *see* of it (lags,
caps, spellings) is decided elsewhere, so a test can always ask the account what is so.
"""

from dataclasses import dataclass, field
from hashlib import blake2b
from json import dumps

from deployments.sandbox.clock import Clock, IdGenerator

Form = list[dict[str, object]]
"""The blocks and fields that an installation asks for, in the vendor's spelling."""


@dataclass(slots=True)
class User:
    """An end user. Without a username only in the `seed` profile."""

    user_id: str
    username: str | None
    full_name: str | None
    created_at: int


@dataclass(slots=True)
class Credential:
    """A connection to an app. What was posted is kept as a digest only."""

    credential_id: str
    user_id: str
    type: str
    name: str
    digest: str
    created_at: int
    visible_from: int
    updated_at: int
    shown_updated_at: int
    """The `updatedAt` that the list shows until `visible_from`."""
    by_consent: bool = False


@dataclass(slots=True)
class Installation:
    """An integration for a user: started, and perhaps completed."""

    installation_id: str
    integration_id: str
    user_id: str
    workflow_versions: dict[str, int]
    credential_ids: dict[str, str]
    """Connector to credential."""
    form_digest: str
    started_at: int
    completed_at: int | None = None
    enabled: bool = False
    answers: list[dict[str, object]] = field(default_factory=list)


def digest_of(credential_id: str, data: object) -> str:
    """Return what is kept of posted credential data; the id is the salt, so equal secrets do not look equal."""
    text = dumps(data, sort_keys=True, separators=(",", ":"))
    return blake2b(text.encode(), key=credential_id.encode()[:64], digest_size=20).hexdigest()


@dataclass
class Tally:
    """What has happened so far; deleting does not take it back."""

    duplicate_user_creates: int = 0
    credentials_created: int = 0
    credentials_refreshed: int = 0
    installations_started: int = 0
    completions: int = 0
    consents_granted: int = 0
    consents_denied: int = 0


class Account:
    """One space. Ids are unique over all spaces that share an id generator."""

    def __init__(self, *, clock: Clock, ids: IdGenerator) -> None:
        self._clock = clock
        self._ids = ids
        self.users: dict[str, User] = {}
        self.credentials: dict[str, Credential] = {}
        self.installations: dict[str, Installation] = {}
        self.forms: dict[str, Form] = {}
        self.tally = Tally()
        self._by_username: dict[str, str] = {}
        self._by_folded: dict[str, str] = {}
        self._credentials_of: dict[str, list[str]] = {}
        self._installations_of: dict[str, list[str]] = {}

    # --- users

    def find_user(self, id_or_username: str, *, fold_case: bool = False) -> User | None:
        """Return the user with this id, else with this username."""
        user = self.users.get(id_or_username)
        if user is not None:
            return user
        user_id = self._by_username.get(id_or_username)
        if user_id is None and fold_case:
            user_id = self._by_folded.get(id_or_username.casefold())
        return self.users[user_id] if user_id is not None else None

    def holder_of(self, username: str, *, fold_case: bool = False) -> User | None:
        """Return the user who has this username."""
        user_id = (self._by_folded if fold_case else self._by_username).get(
            username.casefold() if fold_case else username
        )
        return self.users[user_id] if user_id is not None else None

    def add_user(self, username: str | None, full_name: str | None) -> User:
        """Make a user; the caller has checked that the name is free."""
        user = User(self._ids.new(), username, full_name, self._clock.now())
        self.restore_user(user)
        return user

    def change_user(self, user: User, *, username: str | None, full_name: str | None) -> None:
        """Give a user other names."""
        self._forget_name(user)
        user.username, user.full_name = username, full_name
        self._remember_name(user)

    def remove_user(self, user: User) -> None:
        """Remove a user and their credentials, and disable their installations."""
        for credential in self.credentials_of(user.user_id):
            self.remove_credential(credential)
        for installation in self.installations_of(user.user_id):
            installation.enabled = False
        self._forget_name(user)
        del self.users[user.user_id]

    def restore_user(self, user: User) -> None:
        """Put a known user in place."""
        self.users[user.user_id] = user
        self._remember_name(user)

    def _remember_name(self, user: User) -> None:
        if user.username is not None:
            self._by_username[user.username] = user.user_id
            self._by_folded.setdefault(user.username.casefold(), user.user_id)

    def _forget_name(self, user: User) -> None:
        if user.username is None:
            return
        del self._by_username[user.username]
        if self._by_folded.get(user.username.casefold()) == user.user_id:
            del self._by_folded[user.username.casefold()]

    # --- credentials

    def credentials_of(self, user_id: str) -> list[Credential]:
        """Return a user's credentials in the order of their creation."""
        return [self.credentials[one] for one in self._credentials_of.get(user_id, ())]

    def add_credential(
        self, user: User, *, connector: str, name: str, data: object, lag: int = 0, at: int | None = None
    ) -> Credential:
        """Make a credential; nothing prevents a second one like it."""
        credential_id = self._ids.new()
        now = self._clock.now() if at is None else at
        credential = Credential(
            credential_id=credential_id,
            user_id=user.user_id,
            type=connector,
            name=name,
            digest=digest_of(credential_id, data),
            created_at=now,
            visible_from=now + lag,
            updated_at=now,
            shown_updated_at=now,
        )
        self.tally.credentials_created += 1
        self.restore_credential(credential)
        return credential

    def refresh_credential(self, credential: Credential, *, lag: int, at: int) -> None:
        """Renew a credential under the same id, with a later `updatedAt`."""
        credential.shown_updated_at = credential.updated_at
        credential.updated_at = max(at, credential.updated_at + 1)
        credential.visible_from = at + lag
        self.tally.credentials_refreshed += 1

    def remove_credential(self, credential: Credential) -> None:
        """Remove a credential and disable the installations that use it."""
        del self.credentials[credential.credential_id]
        self._credentials_of[credential.user_id].remove(credential.credential_id)
        for installation in self.installations_of(credential.user_id):
            if credential.credential_id in installation.credential_ids.values():
                installation.enabled = False

    def restore_credential(self, credential: Credential) -> None:
        """Put a known credential in place."""
        self.credentials[credential.credential_id] = credential
        self._credentials_of.setdefault(credential.user_id, []).append(credential.credential_id)

    # --- installations

    def installations_of(self, user_id: str, integration_id: str | None = None) -> list[Installation]:
        """Return a user's installations, started and completed, in the order of their start."""
        found = (self.installations[one] for one in self._installations_of.get(user_id, ()))
        return [one for one in found if integration_id is None or one.integration_id == integration_id]

    def add_installation(
        self,
        user: User,
        *,
        integration_id: str,
        workflow_versions: dict[str, int],
        credential_ids: dict[str, str],
        form: Form,
    ) -> Installation:
        """Start an installation."""
        installation = Installation(
            installation_id=self._ids.new(),
            integration_id=integration_id,
            user_id=user.user_id,
            workflow_versions=workflow_versions,
            credential_ids=credential_ids,
            form_digest=self.keep_form(form),
            started_at=self._clock.now(),
        )
        self.tally.installations_started += 1
        self.restore_installation(installation)
        return installation

    def complete_installation(self, installation: Installation, answers: list[dict[str, object]]) -> None:
        """Complete an installation, or complete it again with other answers."""
        installation.completed_at = self._clock.now()
        installation.enabled = True
        installation.answers = answers
        self.tally.completions += 1

    def remove_installation(self, installation: Installation) -> None:
        """Remove an installation."""
        del self.installations[installation.installation_id]
        self._installations_of[installation.user_id].remove(installation.installation_id)

    def restore_installation(self, installation: Installation) -> None:
        """Put a known installation in place."""
        self.installations[installation.installation_id] = installation
        self._installations_of.setdefault(installation.user_id, []).append(installation.installation_id)

    def keep_form(self, form: Form) -> str:
        """Keep a form once, however many installations ask it, and return its digest."""
        digest = blake2b(dumps(form, sort_keys=True).encode(), digest_size=12).hexdigest()
        self.forms.setdefault(digest, form)
        return digest
