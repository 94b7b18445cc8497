"""What the account offers: apps to connect, and integrations built from them.

The catalogue is plain data and never changes in place; loading other fixtures replaces it as a whole.
"""

from dataclasses import dataclass
from functools import cached_property

from pydantic import ConfigDict

ACCOUNT_VARIABLES = "accountVariables"
"""The pseudo app under which values for account variables are asked: nobody connects it."""

_PSEUDO_APPS = frozenset({ACCOUNT_VARIABLES})


@dataclass(frozen=True, kw_only=True)
class AuthProperty:
    """One value that connecting an app needs."""

    name: str
    display_name: str
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class App:
    """A third-party app. `connector` is its id, `label` its name for people."""

    connector: str
    label: str
    is_oauth: bool
    properties: tuple[AuthProperty, ...] = ()
    scopes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Option:
    """One choice of a drop-down."""

    display_name: str
    value: str | int | float


@dataclass(frozen=True, kw_only=True)
class Question:
    """One field that a customer must or may fill in."""

    name: str
    display_name: str
    type: str = "string"
    required: bool = True
    sub_type: str | None = None
    options: tuple[Option, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Block:
    """One step of a workflow, in one app, with the fields that are configurable by the user."""

    block_id: str
    name: str
    connector: str
    questions: tuple[Question, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Workflow:
    """A chain of blocks; an installation covers one or several."""

    workflow_id: str
    name: str
    blocks: tuple[Block, ...]
    version: int = 1


@dataclass(frozen=True, kw_only=True)
class Integration:
    """What is installed. `app` is the label that the list shows; `name` the custom name, which paths also take."""

    integration_id: str
    name: str
    app: str
    workflows: tuple[Workflow, ...]
    description: str = ""

    def connectors(self, workflow_ids: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """Return the apps that need a credential, in order of appearance, in these workflows or in all."""
        found = {
            block.connector: None
            for workflow in self.workflows
            if workflow_ids is None or workflow.workflow_id in workflow_ids
            for block in workflow.blocks
            if block.connector not in _PSEUDO_APPS
        }
        return tuple(found)

    @cached_property
    def workflow_ids(self) -> tuple[str, ...]:
        """The ids of all workflows."""
        return tuple(workflow.workflow_id for workflow in self.workflows)


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """All apps and integrations, with the look-ups that requests need."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    apps: tuple[App, ...]
    integrations: tuple[Integration, ...]

    def app(self, name: str) -> App | None:
        """Find an app by its connector id, in any case: the seed writes `Shopify` and `shopify` for the same."""
        return self._apps.get(name.casefold())

    def integration(self, id_or_name: str) -> Integration | None:
        """Find an integration by its id or, if exactly that, its custom name."""
        return self._integrations.get(id_or_name)

    def workflow(self, workflow_id: str) -> tuple[Integration, Workflow] | None:
        """Find a workflow and the integration that it belongs to."""
        return self._workflows.get(workflow_id)

    @cached_property
    def _apps(self) -> dict[str, App]:
        return {app.connector.casefold(): app for app in self.apps}

    @cached_property
    def _integrations(self) -> dict[str, Integration]:
        by_name = {integration.name: integration for integration in self.integrations}
        return by_name | {integration.integration_id: integration for integration in self.integrations}

    @cached_property
    def _workflows(self) -> dict[str, tuple[Integration, Workflow]]:
        return {
            workflow.workflow_id: (integration, workflow)
            for integration in self.integrations
            for workflow in integration.workflows
        }
