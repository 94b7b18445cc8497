"""Every setting, its default and its meaning. They come from the environment and from ``.env``."""

from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from states.health import USUAL_BUDGET, FailureBudget

Dialect = Literal["seed", "2024-03", "2025-09"]


class Settings(BaseSettings):
    """What a process was told. Secrets are held so that no ``repr`` shows them."""

    model_config = SettingsConfigDict(env_file=".env", env_file_encoding="utf-8", extra="ignore", populate_by_name=True)

    alloy_api_key: SecretStr | None = Field(default=None, description="the API key of the Alloy account")
    alloy_base_url: str = Field(
        default="https://embedded.runalloy.com", description="the host, with the version path of 2024-03 if it is used"
    )
    alloy_api_version: Dialect = Field(default="seed", description="the dialect: unset or seed, 2024-03, 2025-09")
    alloy_rate: float | None = Field(
        default=None,
        gt=0,
        description="most calls a second, all workers together; unset: begin at 2 and find the limit",
    )
    alloy_concurrency: int = Field(default=20, ge=1, le=1000, description="calls in flight, per process")
    onboard_home: Path = Field(
        default=Path(".onboard"), description="the folder of the database, the secret key and the Prefect server"
    )
    onboard_database_url: str | None = Field(
        default=None, description="SQLAlchemy URL, SQLite or PostgreSQL; unset: a SQLite file in the folder above"
    )
    onboard_secret_key: SecretStr | None = Field(
        default=None,
        description="32 bytes, URL-safe base64, several separated by commas to rotate; unset: a generated file",
    )
    onboard_lease_seconds: float = Field(
        default=60, ge=2, description="how long a worker may be silent before its records are taken over"
    )

    onboard_failure_share: float = Field(
        default=USUAL_BUDGET.share, ge=0, le=1, description="a batch is paused when more of the latest are refused"
    )
    onboard_failure_count: int | None = Field(
        default=None, ge=0, description="a batch is paused when more than so many are refused; unset: any number"
    )

    @field_validator(
        "alloy_api_key", "onboard_secret_key", "alloy_api_version", "alloy_rate", "onboard_failure_count", mode="before"
    )
    @classmethod
    def _empty_is_unset(cls, value: object, info: object) -> object:
        if value == "":
            return "seed" if getattr(info, "field_name", "") == "alloy_api_version" else None
        return value

    @property
    def database_url(self) -> str:
        """The database that is used."""
        return self.onboard_database_url or f"sqlite:///{self.onboard_home.absolute() / 'onboard.db'}"

    @property
    def lease(self) -> timedelta:
        """How long a claim lasts unless it is renewed."""
        return timedelta(seconds=self.onboard_lease_seconds)

    @property
    def failure_budget(self) -> FailureBudget:
        """How many of a batch may be refused before it is paused."""
        return FailureBudget(self.onboard_failure_share, self.onboard_failure_count)

    @property
    def call_deadline(self) -> timedelta:
        """How long one call may take: inside the lease, so that its outcome can still be recorded."""
        return min(timedelta(seconds=40), self.lease * (2 / 3))

    @property
    def send_within(self) -> timedelta:
        """How long after its intent was written a call may be sent, unless its lease is found to be held still."""
        return min(timedelta(seconds=10), self.lease / 3)
