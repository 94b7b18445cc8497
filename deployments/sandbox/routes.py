"""Which method and path is which endpoint, in every dialect at once, and which fields each knows.

Literal segments match in any case and before parameters; a trailing slash does not matter.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from deployments.sandbox import consent, credentials, installations, installing, integrations, users, workflows
from deployments.sandbox.call import Answer, Call

Resource = Literal["always", "users/batch", "installations", "users/credentials", "credentials/users"]
"""What a knob can take away."""


@dataclass(frozen=True, kw_only=True)
class Route:
    """One endpoint. `name` is what faults and the request log call it: the same in every spelling."""

    name: str
    method: str
    template: str
    answer: Callable[[Call], Answer]
    body: frozenset[str] = frozenset()
    query: frozenset[str] | None = frozenset()
    """Documented parameters; None: any, because they depend on the app."""
    resource: Resource = "always"
    remembers: bool = False
    """Whether a GET leaves something behind: an issued link does."""

    @property
    def is_read(self) -> bool:
        """Whether nothing at all changes."""
        return self.method == "GET" and not self.remembers


def _route(
    method: str,
    template: str,
    answer: Callable[[Call], Answer],
    *,
    body: str = "",
    query: str = "",
    resource: Resource = "always",
    remembers: bool = False,
) -> Route:
    return Route(
        name=answer.__name__,
        method=method,
        template=template,
        answer=answer,
        body=frozenset(body.split()),
        query=None if query == "*" else frozenset(query.split()),
        resource=resource,
        remembers=remembers,
    )


ROUTES = (
    _route("POST", "/users", users.create_user, body="username fullName"),
    _route("GET", "/users", users.list_users, query="parentWorkflowId"),
    _route("POST", "/users/batch", users.create_users, body="users", resource="users/batch"),
    _route("GET", "/users/{user}", users.get_user),
    _route("GET", "/one/users/{user}", users.get_user),
    _route("PUT", "/users/{user}", users.update_user, body="username fullName"),
    _route("DELETE", "/users/{user}", users.delete_user),
    _route("GET", "/integrations", integrations.list_integrations, query="userId"),
    _route("GET", "/integrations/all", integrations.list_all_integrations),
    _route("GET", "/integrations/{integration}", integrations.get_integration, query="userId"),
    _route("GET", "/metadata/credentials", credentials.list_metadata),
    _route("GET", "/metadata/credentials/{app}", credentials.get_metadata),
    _route("GET", "/headless/oauthUrl", consent.oauth_url, query="*", remembers=True),
    _route("POST", "/headless/credentials", credentials.create_credential, body="userId credential"),
    _route("GET", "/users/{user}/credentials", credentials.list_credentials, resource="users/credentials"),
    _route("GET", "/credentials/users/{user}", credentials.list_credentials, resource="credentials/users"),
    _route("DELETE", "/users/{user}/credentials/{credential}", credentials.delete_credential),
    _route("DELETE", "/credentials/{credential}/users/{user}", credentials.delete_credential),
    _route(
        "POST",
        "/headless/startInstallation",
        installing.start_installation,
        body="userId integrationId credentialIds credentialId workflowIds",
    ),
    _route("POST", "/headless/completeInstallation", installing.complete_installation, body="installationId data"),
    _route(
        "POST",
        "/headless/editInstallation",
        installing.edit_installation,
        body="userId integrationId credentialIds installationId",
        resource="installations",
    ),
    _route("GET", "/installations", installations.list_installations, resource="installations"),
    _route("GET", "/installations/{installation}", installations.get_installation, resource="installations"),
    _route("DELETE", "/installations/{installation}", installations.delete_installation, resource="installations"),
    _route(
        "PUT",
        "/installations/{installation}/activate",
        installations.activate_installation,
        resource="installations",
    ),
    _route(
        "PUT",
        "/installations/{installation}/deactivate",
        installations.deactivate_installation,
        resource="installations",
    ),
    _route(
        "PUT",
        "/installations/{installation}/upgrade",
        installations.upgrade_installation,
        resource="installations",
    ),
    _route("GET", "/workflows", workflows.list_workflows, query="userId integration"),
    _route("PUT", "/workflows/activate", workflows.activate_workflow, body="userId workflowId workflowName"),
    _route("PUT", "/workflows/deactivate", workflows.deactivate_workflow, body="userId workflowId workflowName"),
    _route("PUT", "/users/{user}/deactivate-workflows", workflows.deactivate_workflows),
    _route("GET", "/workflows/{workflow}", workflows.get_workflow, query="userId"),
    _route("DELETE", "/workflows/{workflow}", workflows.delete_workflow, query="userId"),
    _route("PUT", "/workflows/{workflow}/upgrade", workflows.upgrade_workflow, query="userId"),
    _route("GET", "/workflows/{workflow}/versions", workflows.workflow_versions, query="userId"),
    _route("GET", "/workflows/{workflow}/users", workflows.workflow_users, query="userId"),
    _route("GET", "/workflows/{workflow}/analytics", workflows.workflow_analytics),
    _route("GET", "/workflows/{workflow}/logs", workflows.workflow_logs, query="userId page limit order"),
    _route("GET", "/workflow/{workflow}/logs", workflows.workflow_logs, query="userId page limit order"),
    _route("GET", "/workflows/{workflow}/errors", workflows.workflow_errors, query="userId"),
    _route("POST", "/workflows/{workflow}/rerun/{execution}", workflows.rerun_workflow, query="userId"),
    _route("DELETE", "/users/{user}/logs", workflows.delete_logs),
    _route("DELETE", "/workflows/logs", workflows.delete_logs, query="userId"),
    _route("GET", "/events", workflows.list_events),
    _route("POST", "/run/event", workflows.run_event, body="event userId data"),
    _route("POST", "/events/run", workflows.run_event, body="event userId data"),
    _route("POST", "/run/workflow", workflows.run_workflow, body="userId data workflowId workflowName"),
    _route("GET", "/users/{user}/integrations/{integration}/install-url", integrations.install_url),
    _route("GET", "/integrations/{integration}/install-url", integrations.install_url, query="userId"),
    _route("GET", "/users/{user}/token", integrations.user_token),
    _route("GET", "/authentication", integrations.user_token, query="userId"),
)

ROUTE_NAMES = frozenset(route.name for route in ROUTES)

Pattern = tuple[tuple[str, bool], ...]


def _pattern(template: str) -> Pattern:
    """Return (text, is a parameter) for each segment."""
    return tuple(
        (segment.strip("{}"), True) if segment.startswith("{") else (segment.lower(), False)
        for segment in template.strip("/").split("/")
    )


def _by_length() -> dict[int, list[tuple[Pattern, Route]]]:
    table: dict[int, list[tuple[Pattern, Route]]] = defaultdict(list)
    for route in ROUTES:
        pattern = _pattern(route.template)
        table[len(pattern)].append((pattern, route))
    for rows in table.values():
        # Literals before parameters, from the left: /users/batch before /users/{user}.
        rows.sort(key=lambda row: [is_parameter for _, is_parameter in row[0]])
    return dict(table)


_TABLE = _by_length()


def find_route(
    method: str, segments: list[str], absent: frozenset[Resource]
) -> tuple[Route, dict[str, str]] | set[str]:
    """Return the endpoint and its path parameters, else the methods that the path does have."""
    lowered = [segment.lower() for segment in segments]
    others: set[str] = set()
    for pattern, route in _TABLE.get(len(segments), ()):
        if route.resource in absent:
            continue
        if all(is_parameter or text == low for (text, is_parameter), low in zip(pattern, lowered, strict=True)):
            if route.method == method:
                taken = {
                    text: segment
                    for (text, is_parameter), segment in zip(pattern, segments, strict=True)
                    if is_parameter
                }
                return route, taken
            others.add(route.method)
    return others
