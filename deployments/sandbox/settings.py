"""How one sandbox is set up: where it listens, its keys, its seed, and the knobs that it begins with."""

from dataclasses import dataclass, field
from pathlib import Path

from deployments.sandbox.catalogue import Catalogue
from deployments.sandbox.clock import Clock, SystemClock
from deployments.sandbox.fixtures import default_catalogue
from deployments.sandbox.knobs import KeyName, Knobs

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, kw_only=True)
class SandboxSettings:
    """Everything that is fixed while a sandbox runs, and what it starts from."""

    host: str = "127.0.0.1"
    """Loopback only: the sandbox believes whoever holds its well-known keys."""
    port: int = 0
    """0: any free port."""
    dev_key: str = field(default="sandbox-dev-key", repr=False)
    prod_key: str = field(default="sandbox-prod-key", repr=False)
    admin_token: str | None = field(default=None, repr=False)
    """None: there is no admin interface."""
    seed: int = 0
    """Of ids and of chance."""
    state_file: Path | None = None
    """Loaded at start, if it exists, and written while running and at the end."""
    snapshot_every_ms: int = 500
    """How often a changed state is written; 0: before every answer, so that even a kill loses nothing."""
    knobs: Knobs = field(default_factory=Knobs)
    catalogue: Catalogue = field(default_factory=default_catalogue)
    clock: Clock = field(default_factory=SystemClock)
    request_log_size: int = 50_000

    def __post_init__(self) -> None:
        if self.host not in LOOPBACK:
            raise ValueError(f"The sandbox listens on loopback only, not on {self.host}")

    @property
    def keys(self) -> dict[str, KeyName]:
        """Key to the name of its space."""
        return {self.dev_key: "dev", self.prod_key: "prod"}
