"""The spellings under which Alloy's one API appears, as data, and what is learnt about a host by asking it.

``seed`` is the Headless Mode document: no version anywhere. ``2024-03`` carries its version in the path, ``2025-09`` in
the ``x-api-version`` header. What a host may lack altogether (the installations resource, one of the two spellings of
the credential list) is learnt once in a run and remembered in :class:`Capabilities`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal
from urllib.parse import quote, urlsplit

from states.failures import Halted
from states.holds import Reason


@dataclass(frozen=True, slots=True)
class Route:
    """One operation: its method, and its path with the names of the ids that stand in it."""

    method: Literal["GET", "POST"]
    template: str
    everywhere: bool = False
    """Whether every Alloy has it, whatever the ids: a 404 then says that this is no Alloy."""

    def path(self, **ids: str) -> str:
        """Fill the ids in, percent-encoded: a username may be an e-mail, or hold a slash."""
        if not all(ids.values()):
            raise ValueError(f"an id in {self.template} is empty")
        return self.template.format(**{name: _segment(value) for name, value in ids.items()})


def _segment(value: str) -> str:
    # A lone dot would not name a thing but a place: "/users/.." is the root.
    return value.replace(".", "%2E") if value in (".", "..") else quote(value, safe="", errors="replace")


_OF_USER = Route("GET", "/users/{user}/credentials")
_BY_USER = Route("GET", "/credentials/users/{user}")


@dataclass(frozen=True, slots=True)
class Routes:
    """Every operation that we use; ``list_credentials`` has two spellings, the dialect's own first."""

    create_user: Route = Route("POST", "/users", everywhere=True)
    create_users: Route = Route("POST", "/users/batch")
    list_users: Route = Route("GET", "/users", everywhere=True)
    get_user: Route = Route("GET", "/users/{user}")
    list_integrations: Route = Route("GET", "/integrations")
    get_integration: Route = Route("GET", "/integrations/{integration}")
    credential_metadata: Route = Route("GET", "/metadata/credentials/{app}")
    oauth_url: Route = Route("GET", "/headless/oauthUrl")
    create_credential: Route = Route("POST", "/headless/credentials")
    list_credentials: tuple[Route, Route] = (_OF_USER, _BY_USER)
    start_installation: Route = Route("POST", "/headless/startInstallation")
    complete_installation: Route = Route("POST", "/headless/completeInstallation")
    list_installations: Route = Route("GET", "/installations")
    get_installation: Route = Route("GET", "/installations/{installation}")


@dataclass(frozen=True, slots=True)
class Dialect:
    """One spelling of the API: its routes, and where its version stands."""

    name: str
    routes: Routes = Routes()
    version_path: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    def base_url(self, configured: str) -> str:
        """Return the address that paths are appended to. Raises :class:`Halted` if ``configured`` is no such thing."""
        address = urlsplit(configured.strip())
        if address.scheme not in ("http", "https") or not address.hostname or "@" in address.netloc or address.query:
            raise Halted(Reason.wrong_host, "ALLOY_BASE_URL must be a host, such as https://embedded.runalloy.com")
        path = address.path.rstrip("/")
        if self.version_path and not _VERSION_IN_PATH.search(path):
            path += self.version_path
        return f"{address.scheme}://{address.netloc}{path}"


_VERSION_IN_PATH = re.compile(r"/\d{4}-\d{2}(/|$)")

DIALECTS: dict[str, Dialect] = {
    dialect.name: dialect
    for dialect in (
        # The document shows no version; hosts that ignore the header do so, and those that require it are served.
        Dialect("seed", headers={"x-api-version": "2025-09"}),
        Dialect("2024-03", version_path="/2024-03"),
        Dialect(
            "2025-09",
            routes=replace(Routes(), list_credentials=(_BY_USER, _OF_USER)),
            headers={"x-api-version": "2025-09"},
        ),
    )
}


@dataclass(slots=True)
class Capabilities:
    """What has been learnt about one host; None is not known yet. Lives as a plain dict in the store."""

    base_url: str = ""
    installations: bool | None = None
    """Whether ``GET /installations`` exists: without it a lost installation id cannot be found again."""
    get_integration: bool | None = None
    """Whether ``GET /integrations/{integration}`` exists; else the list is searched."""
    create_users: bool | None = None
    """Whether ``POST /users/batch`` exists, and ``GET /users`` shows at once who was created by it."""
    users: int | None = None
    """How many users ``GET /users`` listed the last time: it is the whole account's, in one answer."""
    credential_list: str | None = None
    """The template of the spelling of the credential list that has answered."""

    @classmethod
    def load(cls, saved: Mapping[str, object]) -> "Capabilities":
        """Read what :meth:`save` returned; what this version does not know, or would not keep, is ignored."""
        known = cls.__dataclass_fields__
        return cls(**{name: value for name, value in saved.items() if name in known and value})  # type: ignore[arg-type]

    def save(self) -> dict[str, int | str]:
        """Return what is known to work, for :meth:`load`.

        What seems to be lacking is found out anew by each run: one stray 404 must not decide for ever.
        """
        learnt = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: value for name, value in learnt.items() if value}

    def belong_to(self, base_url: str) -> None:
        """Forget everything that was learnt from another host."""
        if self.base_url != base_url:
            self.base_url = base_url
            self.installations = self.get_integration = self.credential_list = None
            self.create_users = self.users = None
