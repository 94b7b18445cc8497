"""Every setting, its default and its meaning. They come from the environment and from ``.env``."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from states.health import USUAL_BUDGET, FailureBudget

Dialect = Literal["seed", "2024-03", "2025-09"]

DATABASE, SECRET_KEY = "ONBOARD_DATABASE_URL", "ONBOARD_SECRET_KEY"
"""The settings that several machines have in common, as they are named in the environment."""


def not_shared(missing: Sequence[str]) -> str:
    """Say what has to be set before several machines can share the work."""
    return (
        f"{' and '.join(missing)} must be set, to the same on every machine: "
        "without it this one would work on a database or with a key of its own"
    )


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
    onboard_shared: bool = Field(
        default=False, description="several machines work on the database: refuse one, or a key, of this machine's own"
    )

    onboard_failure_share: float = Field(
        default=USUAL_BUDGET.share, ge=0, le=1, description="a batch is paused when more of the latest are refused"
    )
    onboard_failure_count: int | None = Field(
        default=None, ge=0, description="a batch is paused when more than so many are refused; unset: any number"
    )

    onboard_inbox: str | None = Field(
        default=None,
        description="a folder, or a URL such as s3://bucket/lists, from which new lists are taken in; "
        "unset: the folder inbox in the home",
    )
    onboard_inbox_cron: str = Field(
        default="2-59/5 * * * *", description="when to look into it, in UTC: every five minutes, between two resumes"
    )
    onboard_alert_block: str | None = Field(
        default=None,
        pattern=r"^[^/]+/[^/]+$",
        description="the notification block of Prefect that alerts go to, such as slack-webhook/ops; "
        "unset: a run of note-alert shows them in Prefect",
    )
    onboard_alert_operators: int = Field(
        default=50, ge=0, description="an alert when more onboardings than so many wait for operators"
    )
    onboard_keep_days: int = Field(
        default=30, ge=1, description="how long Prefect keeps the runs of our flows; our own records stay"
    )

    @field_validator(
        "alloy_api_key",
        "onboard_secret_key",
        "alloy_api_version",
        "alloy_rate",
        "onboard_failure_count",
        "onboard_inbox",
        "onboard_alert_block",
        mode="before",
    )
    @classmethod
    def _empty_is_unset(cls, value: object, info: object) -> object:
        if isinstance(value, str) and not value.strip():
            return "seed" if getattr(info, "field_name", "") == "alloy_api_version" else None
        return value

    @property
    def database_url(self) -> str:
        """The database that is used."""
        return self.onboard_database_url or f"sqlite:///{self.onboard_home.absolute() / 'onboard.db'}"

    @property
    def inbox(self) -> str:
        """Where lists are dropped: a URL, or a folder by its whole path."""
        if self.onboard_inbox is None:
            return str(self.onboard_home.absolute() / "inbox")
        return self.onboard_inbox if "://" in self.onboard_inbox else str(Path(self.onboard_inbox).absolute())

    @property
    def of_this_machine(self) -> list[str]:
        """The settings for want of which a run elsewhere would make something of its own that is to be shared.

        A relative folder counts, since a pool's workers start runs in an empty one. Workers of one machine may share
        its database and its key file.
        """
        home, url = self.onboard_home.is_absolute(), self.database_url
        sqlite = url.startswith("sqlite")
        own_database = not home if self.onboard_database_url is None else sqlite and ":////" not in url
        own_key = self.onboard_secret_key is None and not (home and sqlite)
        return [DATABASE] * own_database + [SECRET_KEY] * own_key

    def as_environment(self) -> dict[str, str]:
        """Return what a process in another folder must be told to have the same settings, the secret ones too."""
        told: dict[str, str] = {}
        for name, value in self.model_dump(exclude_none=True, exclude={"onboard_home"}).items():
            told[name.upper()] = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        if self.onboard_inbox is not None:
            told["ONBOARD_INBOX"] = self.inbox
        return {**told, "ONBOARD_HOME": str(self.onboard_home.absolute())}

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
