"""One authenticated, routed, parsed request: all that an endpoint may know, and nothing of HTTP.

Endpoints are plain functions from a `Call` to the answer's JSON. They never wait, so what one does is atomic.
"""

from dataclasses import dataclass, field
from random import Random

from deployments.sandbox.account import Account, User
from deployments.sandbox.catalogue import App, Catalogue, Integration
from deployments.sandbox.consent_desk import ConsentDesk
from deployments.sandbox.knobs import Knobs
from deployments.sandbox.refusal import Refused

Answer = dict[str, object]


@dataclass(slots=True, kw_only=True)
class Call:
    """What is asked, of which account, when, and under which knobs."""

    account: Account
    catalogue: Catalogue
    desk: ConsentDesk
    knobs: Knobs
    random: Random
    now: int
    as_of: int
    """Look-ups show nothing later than this; earlier than `now` while reads are stale."""
    path: dict[str, str]
    query: dict[str, str]
    body: dict[str, object]
    warnings: list[str] = field(default_factory=list)

    # --- what was sent

    def text(self, name: str) -> str:
        """Return a required string of the body, or refuse."""
        value = self.body.get(name)
        if not isinstance(value, str) or not value:
            raise Refused(400, f"{name} is required and must be a string")
        return value

    def optional_text(self, name: str) -> str | None:
        """Return an optional string of the body, or refuse another type."""
        if self.body.get(name) is None:
            return None
        return self.text(name)

    def optional_texts(self, name: str) -> tuple[str, ...] | None:
        """Return an optional list of strings of the body, or refuse another type."""
        value = self.body.get(name)
        if value is None:
            return None
        if not isinstance(value, list):
            raise Refused(400, f"{name} must be an array of strings")
        texts = tuple(item for item in value if isinstance(item, str) and item)
        if len(texts) != len(value):
            raise Refused(400, f"{name} must be an array of strings")
        return texts

    def asked(self, name: str) -> str:
        """Return a required value of the query, or refuse."""
        value = self.query.get(name)
        if not value:
            raise Refused(400, f"{name} is required")
        return value

    # --- what it names

    def user(self, id_or_username: str) -> User:
        """Return the user, or refuse: there is none."""
        user = self.account.find_user(id_or_username, fold_case=self.knobs.fold_username_case)
        if user is None or user.created_at > self.as_of:
            raise Refused(self.knobs.unknown, "User not found")
        return user

    def integration(self, id_or_name: str) -> Integration:
        """Return the integration, or refuse: there is none."""
        integration = self.catalogue.integration(id_or_name)
        if integration is None:
            raise self.missing("Integration not found")
        return integration

    def app(self, name: str) -> App:
        """Return the app, or refuse: there is none."""
        app = self.catalogue.app(name)
        if app is None:
            raise self.missing("App not found")
        return app

    def missing(self, message: str) -> Refused:
        """Return the refusal for something that does not exist: with the 400 of the documents comes no text."""
        return Refused(404, message) if self.knobs.unknown == 404 else Refused(400)
