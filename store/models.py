"""All tables. What a column means stands beside it; who may write it, in the module that does.

Enumerations are stored as checked text, never as a database's own enum type, so that a new word needs no ALTER TYPE.
Partial indexes, which cover only what may still move, are in :mod:`store.indexes`.

The id of an onboarding or an intent that was erased is never given again, as SQLite otherwise would: a worker that
slept through the erasure still closes its intent by that id.
"""

from datetime import datetime
from typing import Any

from pydantic import JsonValue
from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Enum,
    ForeignKey,
    Index,
    LargeBinary,
    Table,
    UniqueConstraint,
    false,
)
from sqlmodel import Field, SQLModel

from states.holds import HoldKind, Reason
from states.stage import Stage, Trigger

# Every constraint has a name, or a later migration could not speak of it; the index names are SQLAlchemy's own.
SQLModel.metadata.naming_convention = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}

# SQLModel types `sa_type` as a class although SQLAlchemy takes instances; one typed door instead of many ignores.
_STAGE: Any = Enum(Stage, native_enum=False, length=32, validate_strings=True, create_constraint=False)
_TRIGGER: Any = Enum(Trigger, native_enum=False, length=32, validate_strings=True, create_constraint=False)
_HOLD: Any = Enum(HoldKind, native_enum=False, length=32, validate_strings=True, create_constraint=False)
_REASON: Any = Enum(Reason, native_enum=False, length=48, validate_strings=True, create_constraint=False)


class Batch(SQLModel, table=True):
    """One submitted list."""

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(unique=True, max_length=200)
    source: str = ""
    """The list's file name, without its folder."""
    templates: list[dict[str, JsonValue]] = Field(default_factory=list, sa_type=JSON)
    """Answers for everyone, from the mapping file: `states.forms.Given` as JSON, values may be templates."""
    fingerprint: str | None = None
    """A keyed mark of the list that was last wholly in."""
    taken_in_at: datetime | None = None
    """When a list was last wholly in; None while the first one is not."""
    paused_at: datetime | None = None
    """Since when nothing of it is claimed, because its failure budget was spent."""
    paused_why: str | None = None
    erased: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    """How many of its onboardings were deleted, with all that was held about their customers."""
    created_at: datetime


class UnfinishedIntake(SQLModel, table=True):
    """A list that is on its way into a batch; the row goes when the whole list is in, or was discarded.

    What the list has added so far are the batch's onboardings above ``after_id``. Nobody may claim them.
    """

    batch_id: int = Field(sa_column=Column(ForeignKey("batch.id"), primary_key=True, autoincrement=False))
    token: str
    """Which intake it is: whoever was at it when it was discarded must not go on with the next one."""
    source: str
    """The list's file name, without its folder."""
    fingerprint: str
    """A keyed mark of the list's content."""
    after_id: int
    """The newest onboarding of all when it began."""
    rows: int = 0
    """So many of the list's good rows are in, counted from its beginning."""
    rows_in_list: int | None = None
    """So many good rows the list has, if that is known."""
    changed: int = 0
    """How many of them changed an onboarding that was there before."""
    began_at: datetime


class Customer(SQLModel, table=True):
    """One end user: the unit of serial work, since parallel calls for one user could not be told apart.

    So no two have the same user at Alloy, whatever Alloy takes for the same username.
    """

    id: int | None = Field(default=None, primary_key=True)
    username: str = Field(unique=True)
    full_name: str = ""
    alloy_user_id: str | None = None
    adopted: bool = False
    """The user was (or may have been) at Alloy before us."""
    shares_user: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    """Has another customer's user since before that was refused: nothing sets it any more."""
    created_at: datetime


class Onboarding(SQLModel, table=True):
    """One customer and one integration: the record that moves."""

    __table_args__ = (
        UniqueConstraint("customer_id", "integration_key"),
        Index("ix_onboarding_batch_stage", "batch_id", "stage", "hold"),
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, primary_key=True)
    batch_id: int = Field(foreign_key="batch.id")
    customer_id: int = Field(foreign_key="customer.id", index=True)
    line: int = 0
    """The physical line of the list that it came from."""
    columns: dict[str, JsonValue] = Field(default_factory=dict, sa_type=JSON)
    """The row's own columns as they came, without the auth values."""

    integration: str
    """As the list names it."""
    integration_key: str
    """The integration's id once it is known, until then the folded name: what makes an onboarding unique."""
    integration_id: str | None = None
    app: str | None = None
    """The connector that the credential is for."""

    stage: Stage = Field(default=Stage.new, sa_type=_STAGE)
    stage_since: datetime
    hold: HoldKind | None = Field(default=None, sa_type=_HOLD)
    reason: Reason | None = Field(default=None, sa_type=_REASON)
    sentence: str | None = None
    due_at: datetime | None = None
    """When it may be claimed; None while somebody must act first, and after the end."""
    attempts: int = 0
    """How often in a row this stage has failed."""
    nudged: bool = False
    """An operator asked for another look while it was leased: the lease holder makes it due at once."""

    lease_token: str | None = None
    lease_owner: str | None = None
    lease_until: datetime | None = None
    version: int = 0

    given: list[dict[str, JsonValue]] = Field(default_factory=list, sa_type=JSON)
    """Answers from the row: `states.forms.Given` as JSON."""
    answered: list[dict[str, JsonValue]] = Field(default_factory=list, sa_type=JSON)
    """Answers given by hand since; they precede the row's."""
    auth_names: list[str] = Field(default_factory=list, sa_type=JSON)
    auth_digest: str = ""
    """A keyed fingerprint of the auth values: equal values can be told from different ones, and nothing more."""

    snapshot: dict[str, str] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True)))
    """Credential ids and their `updatedAt` before the first link or POST of this onboarding; taken once."""
    link_issued_at: datetime | None = None
    credential_id: str | None = None
    installation_id: str | None = None
    was_installed: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    """The integration was installed for the user before us: that it is installed says nothing about ours."""
    form: list[dict[str, JsonValue]] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True)))
    answers: list[dict[str, JsonValue]] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True)))
    """What the complete call sends."""
    verified_at: datetime | None = None
    """When the finished installation was read back from Alloy; None if it could not be."""
    created_at: datetime


class History(SQLModel, table=True):
    """What happened to an onboarding, oldest first: stage changes, holds and notes."""

    id: int | None = Field(default=None, primary_key=True)
    onboarding_id: int = Field(sa_column=Column(ForeignKey("onboarding.id"), nullable=False, index=True))
    at: datetime
    stage: Stage = Field(sa_type=_STAGE)
    """The stage after it happened."""
    trigger: Trigger | None = Field(default=None, sa_type=_TRIGGER)
    hold: HoldKind | None = Field(default=None, sa_type=_HOLD)
    reason: Reason | None = Field(default=None, sa_type=_REASON)
    sentence: str = ""
    worker: str = ""


class Intent(SQLModel, table=True):
    """Written before a call that changes something at Alloy; open until its outcome is certain."""

    __table_args__ = {"sqlite_autoincrement": True}

    id: int | None = Field(default=None, primary_key=True)
    onboarding_id: int = Field(sa_column=Column(ForeignKey("onboarding.id"), nullable=False, index=True))
    trigger: Trigger = Field(sa_type=_TRIGGER)
    digest: str = ""
    """Of the request without its secrets: which request was sent, should its effect have to be found."""
    opened_at: datetime
    settled_at: datetime
    """Until then the call may still be under way, so "not there" does not count."""
    absent_at: datetime | None = None
    """When its effect was first looked for in vain after `settled_at`."""
    reported_at: datetime | None = None
    """When its sender told that the outcome is unknown; until then it may be asleep, and send the call yet."""
    closed_at: datetime | None = None
    outcome: str | None = None
    """One of `store.closing.Closing`."""
    evidence: dict[str, JsonValue] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True)))


class ConsentLink(SQLModel, table=True):
    """A consent link that was issued; sealed, since whoever opens it may attach an account to that user."""

    id: int | None = Field(default=None, primary_key=True)
    onboarding_id: int = Field(sa_column=Column(ForeignKey("onboarding.id"), nullable=False, index=True))
    sealed: bytes = Field(sa_type=LargeBinary)
    issued_at: datetime


class AuthValue(SQLModel, table=True):
    """A sealed auth value of one onboarding; deleted once the credential is there."""

    onboarding_id: int = Field(foreign_key="onboarding.id", primary_key=True)
    name: str = Field(primary_key=True)
    sealed: bytes = Field(sa_type=LargeBinary)


class CatalogueIntegration(SQLModel, table=True):
    """An integration of the account, as last read from Alloy."""

    integration_id: str = Field(primary_key=True)
    label: str = ""
    apps: list[str] = Field(default_factory=list, sa_type=JSON)
    """Connector ids, the one whose credential it needs first."""
    names: list[str] = Field(default_factory=list, sa_type=JSON)
    """Every name by which a list may call it, folded."""
    read_at: datetime


class CatalogueApp(SQLModel, table=True):
    """What an app's credential asks for, as last read from Alloy."""

    app: str = Field(primary_key=True)
    is_oauth: bool
    properties: list[str] = Field(default_factory=list, sa_type=JSON)
    read_at: datetime


class Capability(SQLModel, table=True):
    """What one host in one dialect was found able to do; learnt once."""

    host: str = Field(primary_key=True)
    learnt: dict[str, JsonValue] = Field(default_factory=dict, sa_type=JSON)


class AccountPace(SQLModel, table=True):
    """How fast one account may be called: `states.pace.Pace`, which says what each number means.

    Times are seconds since 1970 by the database's clock: what they are reckoned with are fractions of milliseconds.
    """

    account: str = Field(primary_key=True)
    """A digest of the host and the API key, never the key itself."""
    given: float | None = None
    rate: float
    refused_rate: float | None = None
    met: int
    successes: float
    epoch: int
    next_at: float
    paused_until: float
    seen_at: float


class Health(SQLModel, table=True):
    """What became of the records that were tried last, of one cohort or one batch, while some of them were refused."""

    subject: str = Field(primary_key=True)
    """Which one, in words that only `store.health` reads."""
    recent: list[list[JsonValue]] = Field(default_factory=list, sa_type=JSON)
    """An onboarding's id and why it was refused, or null if it moved on; the latest last. Empty: nobody was refused."""
    refused: int = 0
    """How many were refused, of a batch since it was begun or last resumed."""


class Quarantine(SQLModel, table=True):
    """A cohort that is held back, or was: an integration at a stage, most of which were refused for one reason."""

    id: int | None = Field(default=None, primary_key=True)
    integration: str
    """Its id once that is known, until then the folded name."""
    names: list[str] = Field(default_factory=list, sa_type=JSON)
    """Every name by which its onboardings may go, that one among them."""
    stage: Stage = Field(sa_type=_STAGE)
    reason: Reason = Field(sa_type=_REASON)
    opened_at: datetime
    probe_at: datetime
    """When the next probes may be claimed."""
    held_until: datetime
    """The `due_at` of everybody who is held back; later than `probe_at` if somebody asked for probes early."""
    rounds: int = 0
    """Rounds of probes so far, none of which got past."""
    probes: list[int] = Field(default_factory=list, sa_type=JSON)
    """The onboardings that were claimed as probes in this round."""
    probes_left: int = 0
    """How many more may be, before the next round."""
    closed_at: datetime | None = None


class Run(SQLModel, table=True):
    """One flow run's share of the work: calls sent, and seconds from the first call to the last outcome."""

    id: int | None = Field(default=None, primary_key=True)
    batch_id: int | None = Field(default=None, foreign_key="batch.id", index=True)
    started_at: datetime
    calls: int = 0
    seconds: float = 0.0
    worker: str | None = None
    sweeping: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    """It goes on with whatever is due, of all batches."""
    seen_at: datetime | None = None
    """When it was last known to be at work."""
    ended_at: datetime | None = Field(default=None, index=True)


class Announced(SQLModel, table=True):
    """What was told to whoever listens to Prefect's events: no two runs are to tell one change."""

    subject: str = Field(primary_key=True)
    """What it is about, in words that only `store.news` reads."""
    number: int = Field(default=0, sa_type=BigInteger)
    """Which change of it was told last; a greater one is news."""
    at: datetime


class InboxList(SQLModel, table=True):
    """A list that was found in the inbox, as it was when it was last looked into."""

    place: str = Field(primary_key=True)
    """Its path or URL."""
    stamp: str
    """What its folder told of it: its size and when it was written, digested."""
    digest: str
    """Of its bytes."""
    batch: str
    refused: str | None = None
    """Why it was not taken in."""
    at: datetime


def _table(model: type[SQLModel]) -> Table:
    return SQLModel.metadata.tables[str(model.__tablename__)]


# The same tables for statements over many rows: no ORM object is made, and no session is needed.
BATCH = _table(Batch)
UNFINISHED_INTAKE = _table(UnfinishedIntake)
CUSTOMER = _table(Customer)
ONBOARDING = _table(Onboarding)
HISTORY = _table(History)
INTENT = _table(Intent)
CONSENT_LINK = _table(ConsentLink)
AUTH_VALUE = _table(AuthValue)
CATALOGUE_INTEGRATION = _table(CatalogueIntegration)
ACCOUNT_PACE = _table(AccountPace)
HEALTH = _table(Health)
QUARANTINE = _table(Quarantine)
RUN = _table(Run)
ANNOUNCED = _table(Announced)
INBOX_LIST = _table(InboxList)
