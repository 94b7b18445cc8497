"""Workflows, events and logs: minimal, but shaped as documented (alloy-api.md 4.18-4.20).

Nothing runs here, so there are no log entries; onboarding reads these routes at most as a mass check.
"""

from deployments.sandbox.account import Installation
from deployments.sandbox.call import Answer, Call
from deployments.sandbox.catalogue import Integration, Workflow
from deployments.sandbox.clock import timestamp
from deployments.sandbox.form import form_of_workflow
from deployments.sandbox.integrations import completed_of, shown_blocks, shown_workflow
from deployments.sandbox.refusal import Refused

LOG_PAGE = 30
RELEASED_AT = 1_704_067_200_000
"""When the fixtures' workflows were made: the first of January 2024."""


def list_workflows(call: Call) -> Answer:
    """Return all workflows, or those of one integration, annotated for a user."""
    installed = completed_of(call, call.user(call.asked("userId")).user_id)
    wanted = call.query.get("integration")
    only = call.integration(wanted) if wanted else None
    chosen = call.catalogue.integrations if only is None else (only,)
    return {"data": [_shown(call, one, workflow, installed) for one in chosen for workflow in one.workflows]}


def get_workflow(call: Call) -> Answer:
    """Return one workflow, annotated for a user."""
    installed = completed_of(call, call.user(call.asked("userId")).user_id)
    return {"data": _shown(call, *_named(call, call.path["workflow"]), installed)}


def workflow_users(call: Call) -> Answer:
    """Return who has a workflow installed, and since when."""
    _, workflow = _named(call, call.path["workflow"])
    only = call.user(call.query["userId"]).user_id if "userId" in call.query else None
    found: list[Answer] = []
    for one in call.account.installations.values():
        user = call.account.users.get(one.user_id)
        done = one.completed_at is not None and one.completed_at <= call.as_of
        if user is None or not done or workflow.workflow_id not in one.workflow_versions:
            continue
        if only in (None, user.user_id):
            row: Answer = {
                "username": user.username,
                "fullName": user.full_name,
                "userId": user.user_id,
                "workflowActive": one.enabled,
                "installedVersion": one.workflow_versions[workflow.workflow_id],
                "installedAt": timestamp(one.completed_at or 0),
            }
            found.append({key: value for key, value in row.items() if value is not None})
    return {"data": found}


def activate_workflow(call: Call) -> Answer:
    """Enable what carries a workflow for a user."""
    _switch(call, enabled=True)
    return {"activated": True}


def deactivate_workflow(call: Call) -> Answer:
    """Disable what carries a workflow for a user."""
    _switch(call, enabled=False)
    return {"activated": False}


def deactivate_workflows(call: Call) -> Answer:
    """Disable all of a user's installations."""
    for one in call.account.installations_of(call.user(call.path["user"]).user_id):
        one.enabled = False
    return {"message": "Success"}


def delete_workflow(call: Call) -> Answer:
    """Take a workflow out of a user's installations; one that is left without any goes."""
    for one in _carriers(call, call.path["workflow"], call.asked("userId")):
        if len(one.workflow_versions) == 1:
            call.account.remove_installation(one)
        else:
            del one.workflow_versions[call.path["workflow"]]
    return {"deleted": True}


def upgrade_workflow(call: Call) -> Answer:
    """Move a user's installations of a workflow to its newest version, unless it asks something else now."""
    integration, workflow = _named(call, call.path["workflow"])
    carriers = _carriers(call, workflow.workflow_id, call.asked("userId"))
    form = form_of_workflow(integration, workflow)
    for one in carriers:
        answered = call.account.forms[one.form_digest]
        if [block for block in answered if block["workflowId"] == workflow.workflow_id] != form:
            raise Refused(400, "Configurable fields have changed: install the integration again")
    for one in carriers:
        one.workflow_versions[workflow.workflow_id] = workflow.version
    return {"upgraded": True}


def workflow_versions(call: Call) -> Answer:
    """Return the versions of a workflow, newest first."""
    _, workflow = _named(call, call.path["workflow"])
    versions = [
        {
            "versionId": f"{workflow.workflow_id}-{number}",
            "versionName": f"Version {number}",
            "lastModified": timestamp(RELEASED_AT),
            "status": "published" if number == workflow.version else "archived",
        }
        for number in range(workflow.version, 0, -1)
    ]
    return {"data": versions}


def workflow_analytics(call: Call) -> Answer:
    """Return how often a workflow ran: never."""
    _named(call, call.path["workflow"])
    return {"totalAppActions": 0, "totalWorkflowRuns": 0, "totalErrors": 0}


def workflow_logs(call: Call) -> Answer:
    """Return a page of log entries: an empty one, after checking what was asked."""
    _named(call, call.path["workflow"])
    limit, page = call.query.get("limit", "10"), call.query.get("page", "0")
    if not limit.isdecimal() or not 1 <= int(limit) <= LOG_PAGE or not page.isdecimal():
        raise Refused(400, f"limit must be 1 to {LOG_PAGE}, page a number")
    if call.query.get("order", "desc") not in ("asc", "desc"):
        raise Refused(400, "order must be asc or desc")
    return {"data": []}


def workflow_errors(call: Call) -> Answer:
    """Return the errors of a workflow: none."""
    _named(call, call.path["workflow"])
    return {"data": []}


def rerun_workflow(call: Call) -> Answer:
    """Refuse: there is no execution to run again."""
    _named(call, call.path["workflow"])
    raise call.missing("Execution not found")


def list_events(_call: Call) -> Answer:
    """Return the catalogue of custom events."""
    return {"data": [{"name": "order.created", "description": "An order was placed", "body": {"orderId": "1"}}]}


def run_event(call: Call) -> Answer:
    """Accept an event; nothing listens."""
    call.text("event")
    call.user(call.text("userId"))
    return {"message": "Event successfully triggered"}


def run_workflow(call: Call) -> Answer:
    """Accept an order to run a workflow; nothing runs."""
    call.user(call.text("userId"))
    _named(call, call.optional_text("workflowId") or call.text("workflowName"))
    return {"message": "success"}


def delete_logs(call: Call) -> Answer:
    """Accept an order to delete a user's logs; there are none."""
    call.user(call.path.get("user") or call.asked("userId"))
    return {"success": True}


def _named(call: Call, id_or_name: str) -> tuple[Integration, Workflow]:
    found = call.catalogue.workflow(id_or_name)
    if found is not None:
        return found
    for integration in call.catalogue.integrations:
        for workflow in integration.workflows:
            if workflow.name == id_or_name:
                return integration, workflow
    raise call.missing("Workflow not found")


def _carriers(call: Call, workflow_id: str, user: str) -> list[Installation]:
    _named(call, workflow_id)
    found = call.account.installations_of(call.user(user).user_id)
    return [one for one in found if workflow_id in one.workflow_versions and one.completed_at is not None]


def _switch(call: Call, *, enabled: bool) -> None:
    _, workflow = _named(call, call.optional_text("workflowId") or call.text("workflowName"))
    for one in _carriers(call, workflow.workflow_id, call.text("userId")):
        one.enabled = enabled


def _shown(call: Call, integration: Integration, workflow: Workflow, installed: list[Installation]) -> Answer:
    return {
        **shown_workflow(workflow, installed),
        **shown_blocks(call, workflow),
        "integrationId": integration.integration_id,
        "createdAt": timestamp(RELEASED_AT),
        "updatedAt": timestamp(RELEASED_AT),
    }
