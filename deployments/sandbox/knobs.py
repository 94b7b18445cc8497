"""Every way in which the vendor may differ from our guess, as one value.

The vendor's documents leave much open (alloy-api.md 13). Each open point is a knob here, so that the client's suite
can run with the knob in every position. A test replaces the whole value: `sandbox.knobs = replace(sandbox.knobs, ...)`.
"""

from dataclasses import dataclass
from typing import Literal

from pydantic import ConfigDict

KeyName = Literal["dev", "prod"]
RetryAfter = Literal["seconds", "date", "absent", "zero", "huge"]


@dataclass(frozen=True, kw_only=True)
class Knobs:
    """What the sandbox does where the documents are silent. The defaults are those of alloy-api.md 14."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    # --- dialect
    profile: Literal["seed", "strict"] = "seed"
    """`seed`: every sample of the Headless Mode page works. `strict`: the rules of the 2025-09 reference."""
    dialect_fields: Literal["2024-03", "2025-09", "mixed"] = "mixed"
    """Spelling: `name`/`connector`, `app`/`primaryConnector`, `blocks`/`connectors`, `oauthUrl` wrapped or bare."""
    installations_resource: bool = True
    """False imitates the dialects without `/installations`: 404 on the route itself."""
    credentials_route: Literal["both", "users", "credentials"] = "both"
    """Which spelling of the credential list exists: `/users/{id}/credentials`, `/credentials/users/{id}`."""
    reject_unknown: bool = False
    """True: an undocumented request field is a 400. False: it is ignored, with a warning in the request log."""
    error_body: Literal["message", "empty", "html"] = "message"
    """What a refusal carries: `{"message": ...}`, `{}`, or a page."""

    # --- keys
    raw_key: Literal["profile", "accept", "refuse"] = "profile"
    """A key without `Bearer`: `profile` accepts it in `seed` (with a warning) and refuses it in `strict`."""
    revoked_keys: tuple[KeyName, ...] = ()
    """Keys that are answered 401."""
    forbidden_keys: tuple[KeyName, ...] = ()
    """Keys that are answered 403."""

    # --- users
    dup_user: Literal[200, 400, 409, 422] = 409
    """Answer to a username that is taken; 200 gives the existing id."""
    fold_username_case: bool = False
    """True: `A@x` and `a@x` are the same user."""
    shuffle_users: bool = False
    """True: the list of users has another order every time."""
    users_batch: bool = True
    """False: many cannot be created at once, 404 or 405 on the route itself."""
    hidden_cap: int | None = None
    """The list of users silently ends after so many."""
    unknown: Literal[400, 404] = 404
    """Status for a user, integration, app or installation that does not exist."""
    barred_users: tuple[str, ...] = ()
    """Usernames or ids that may not install: 400 with the documented text."""

    # --- credentials
    allow_token_import: bool = False
    """True: a credential of an OAuth app may be posted."""
    verify_secret: bool = False
    """True: a value that begins with `refused-` is a 400."""
    shuffle_credentials: bool = False
    """True: a user's credentials have another order every time."""
    visibility_lag_ms: int = 0
    """How long a new or refreshed credential stays out of the list."""

    # --- installations
    list_started: bool = True
    """False: an installation that is not completed is invisible to look-ups."""
    hidden_cap_installations: int | None = None
    """The list of installations silently ends after so many."""
    dup_start: Literal["new", "existing", "409"] = "new"
    """Answer to a second start for the same user and integration."""
    recomplete: Literal["ok", "400", "409"] = "ok"
    """Answer to completing what is completed; `ok`: the last data wins."""

    # --- consent
    regrant: Literal["new", "refresh"] = "new"
    """A second consent for the same app and properties: a new id, or the same id with a later `updatedAt`."""
    link_life_ms: int | None = None
    """How long an OAuth link works; None is for ever, and then a link need not have been asked for."""
    link_single_use: bool = False
    """True: after a grant the link is dead until it is asked for again."""
    grant_lag_ms: int = 0
    """Delay between a grant and its visibility in the list, on top of `visibility_lag_ms`."""
    post_oauth_redirect: str | None = None
    """Where the browser lands after granting or declining; None: a page of the sandbox."""
    auto: Literal["ignore", "grant", "deny"] = "ignore"
    """What the customer does with an OAuth link, without any browser. `ignore`: nothing, a browser may."""
    auto_after_ms: int = 0
    """How long after the link was asked for the customer acts."""
    auto_repeats: bool = False
    """True: a customer who has granted grants again when a link is asked for again."""
    abandonment: float = 0.0
    """Share of the customers, chosen by the seed, who never act on any link."""

    # --- speed
    latency_ms: float = 0
    """Delay of every call before it is handled."""
    latency_after_ms: float = 0
    """Delay of every call after it took effect, before its answer."""
    rate_limit_per_s: float | None = None
    """Token bucket for each key; beyond it 429 and no effect. None: no limit."""
    rate_limit_burst: int = 1
    """Size of that bucket."""
    retry_after: RetryAfter = "seconds"
    """What the bucket's 429 says in `Retry-After`."""

    @property
    def strict(self) -> bool:
        """Whether the reference's rules hold rather than the seed's."""
        return self.profile == "strict"

    @property
    def accepts_raw_key(self) -> bool:
        """Whether `Authorization: <key>` without a scheme passes."""
        return self.raw_key == "accept" or (self.raw_key == "profile" and not self.strict)
