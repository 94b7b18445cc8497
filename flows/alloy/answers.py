"""What Alloy answers, read as tolerantly as its versions differ from each other.

Versions rename fields (``name`` and ``connector``, ``app`` and ``primaryConnector``, ``blocks`` and ``connectors``),
wrap an answer in ``data`` or do not, and add fields at will: all of that is accepted. An id that is missing, empty or
no id by its looks is not: an answer without it proves nothing, and whoever asked must take its outcome as unknown.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    SecretStr,
    TypeAdapter,
    ValidationError,
)

from flows.alloy.body import UnreadableAnswer

_TIME = TypeAdapter(datetime)


def _time_or_none(value: object) -> datetime | None:
    """Read a time as UTC where it says nothing else; what is no time at all counts as not given."""
    try:
        time = _TIME.validate_python(value)
    except ValidationError:
        return None
    try:  # in one zone, so that the later of two texts is the later time
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        return None


def _id(value: object) -> object:
    """Refuse what cannot be an id, whatever ids look like: it would be kept, sent back and built upon."""
    if isinstance(value, bool | float):
        raise ValueError("an id is a text, or a whole number")  # noqa: TRY004 - pydantic takes no TypeError
    if isinstance(value, str) and (not value.isprintable() or value != value.strip() or "\ufffd" in value):
        raise ValueError("an id is made of letters that can be seen")
    return value


def _web_address(url: SecretStr) -> SecretStr:
    """Refuse what nobody can follow: a customer would be sent it."""
    plain = url.get_secret_value()
    address = urlsplit(plain)
    if address.scheme not in ("http", "https") or not address.hostname or not plain.isprintable() or " " in plain:
        raise ValueError("a link is a web address")
    return url


def _ids(value: object) -> set[str]:
    """Collect ids from a list, or from a map of internal kinds to ids (``{"shopifyApi": "64f0…"}``)."""
    if isinstance(value, Mapping):
        return _ids(list(value.values()))
    if isinstance(value, list | tuple | set | frozenset):
        return set().union(*map(_ids, value))
    return {str(value)} if value else set()


def _list(value: object) -> object:
    """Read a missing list as an empty one, and a single object as a list of one."""
    if value is None:
        return []
    return [value] if isinstance(value, dict) else value


def _form(value: object) -> object:
    """Keep a form that is none as it is, for whoever reads it to refuse; absent is not empty: it may ask for much."""
    return value if value is None or isinstance(value, list) else [value]


Id = Annotated[str, BeforeValidator(_id), Field(min_length=1, max_length=255)]
Time = Annotated[datetime | None, BeforeValidator(_time_or_none)]
Text = Annotated[str, BeforeValidator(lambda value: "" if value is None else value)]
Flag = Annotated[bool, BeforeValidator(lambda value: False if value is None else value)]
Form = Annotated[list[JsonValue] | None, BeforeValidator(_form)]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="allow", populate_by_name=True, coerce_numbers_to_str=True, frozen=True)


class User(_Answer):
    """One end user; those that are older than usernames have none."""

    user_id: Id = Field(alias="userId")
    username: str | None = None
    full_name: str | None = Field(default=None, alias="fullName")


class Connector(_Answer):
    """One app that a workflow uses: the id that the metadata route wants, where the answer gives it."""

    name: Text = Field(default="", validation_alias=AliasChoices("connector", "type", "name"))


class Workflow(_Answer):
    """One workflow of an integration, annotated for the user who was asked about."""

    workflow_id: Text = Field(default="", alias="workflowId")
    name: Text = ""
    installed: Flag = False
    active: Flag = False
    connectors: Annotated[list[Connector], BeforeValidator(_list)] = Field(
        default_factory=list, validation_alias=AliasChoices("connectors", "blocks")
    )


class Integration(_Answer):
    """One integration of the account, annotated for the user who was asked about."""

    integration_id: Id = Field(alias="integrationId")
    label: Text = Field(default="", validation_alias=AliasChoices("app", "primaryConnector", "name"))
    installed: Flag = False
    credential_names: Annotated[list[str], BeforeValidator(_list)] = Field(
        default_factory=list, validation_alias="credentials"
    )
    workflows: Annotated[list[Workflow], BeforeValidator(_list)] = Field(default_factory=list)

    @property
    def app_names(self) -> list[str]:
        """The names under which the credential metadata may know this app, the likeliest first.

        ``label`` is for people ("Magento"); the metadata route wants the connector's id ("magento").
        """
        connectors = (connector.name for workflow in self.workflows for connector in workflow.connectors)
        return list(dict.fromkeys(name for name in (*self.credential_names, *connectors, self.label.lower()) if name))


class CredentialProperty(_Answer):
    """One value that the app needs to be connected. There is no type and no required flag: all are required texts."""

    name: Id
    label: Text = Field(default="", alias="displayName")
    description: Text = ""


class CredentialMetadata(_Answer):
    """How an app is connected: by consent or by values alone, and with which properties.

    Which of the two must be said: taken for an app of the other kind, its customers would never be asked to consent.
    """

    name: Id = Field(validation_alias=AliasChoices("name", "connector"))
    is_oauth: bool = Field(alias="isOauth")
    properties: Annotated[list[CredentialProperty], BeforeValidator(_list)] = Field(default_factory=list)


class Credential(_Answer):
    """One credential of a user, without its values."""

    credential_id: Id = Field(alias="credentialId")
    type: Text = ""
    name: Text = ""
    created_at: Time = Field(default=None, alias="createdAt")
    updated_at: Time = Field(default=None, alias="updatedAt")


class StartedInstallation(_Answer):
    """An installation that exists but is not completed, and the raw form that it asks to be filled in, if it is there.

    The form is read by whoever fills it in: one that cannot be read must not cost us the id.
    """

    installation_id: Id = Field(alias="installationId")
    form: Form = Field(default=None, validation_alias=AliasChoices("data", "formData"))


class Installation(_Answer):
    """One installation as the account's list shows it."""

    installation_id: Id = Field(alias="installationId")
    integration_id: Text = Field(default="", alias="integrationId")
    user_id: Text = Field(default="", alias="userId")
    form_data: Form = Field(default=None, alias="formData")
    credential_ids: Annotated[frozenset[str], BeforeValidator(_ids)] = Field(default=frozenset(), alias="credentialIds")
    enabled: bool | None = None
    installed_at: Time = Field(default=None, alias="installedAt")


class CreatedUser(_Answer):
    """The answer to creating a user."""

    user_id: Id = Field(alias="userId")


class CreatedCredential(_Answer):
    """The answer to creating a credential."""

    credential_id: Id = Field(alias="credentialId")


class OauthLink(_Answer):
    """The answer to asking for a consent link; whoever opens it attaches an account to the user, so it is a secret."""

    url: Annotated[SecretStr, AfterValidator(_web_address)] = Field(alias="oauthUrl")


AnswerT = TypeVar("AnswerT", bound=_Answer)


def read(model: type[AnswerT], answer: JsonValue) -> AnswerT:
    """Read one object, bare or wrapped in ``data``. Raises :class:`UnreadableAnswer`."""
    inner = answer.get("data") if isinstance(answer, dict) else None
    for candidate in (inner, answer):
        if isinstance(candidate, dict):
            try:
                return model.model_validate(candidate)
            except ValidationError:
                continue
    # Pydantic's text quotes its input, which may hold what we sent.
    raise UnreadableAnswer(f"the answer is no {model.__name__}") from None


def read_list(model: type[AnswerT], answer: JsonValue) -> list[AnswerT]:
    """Read a list of objects, bare or wrapped in ``data``. Raises :class:`UnreadableAnswer`.

    One row that cannot be read makes the whole list unreadable: a list with holes proves no absence.
    """
    try:
        return [model.model_validate(row) for row in rows_of(answer)]
    except ValidationError:
        raise UnreadableAnswer(f"a row of the answer is no {model.__name__}") from None


def rows_of(answer: JsonValue) -> list[JsonValue]:
    """Return the rows of a list, bare or wrapped in ``data``. Raises :class:`UnreadableAnswer`."""
    rows = answer.get("data") if isinstance(answer, dict) else answer
    if not isinstance(rows, list):
        raise UnreadableAnswer("the answer is no list")
    return rows
