"""Integrations as one user sees them, in the spelling of the chosen dialect (alloy-api.md 4.6, 4.7)."""

from deployments.sandbox.account import Installation
from deployments.sandbox.call import Answer, Call
from deployments.sandbox.catalogue import Block, Catalogue, Integration, Workflow


def list_integrations(call: Call) -> Answer:
    """Return every integration, annotated for a user who must exist."""
    user = call.user(call.asked("userId"))
    installed = completed_of(call, user.user_id)
    return {"data": [_shown(call, one, installed, listed=True) for one in call.catalogue.integrations]}


def list_all_integrations(call: Call) -> Answer:
    """Return every integration, for nobody in particular."""
    return {"data": [_shown(call, one, [], listed=True) for one in call.catalogue.integrations]}


def get_integration(call: Call) -> Answer:
    """Return one integration, by id or custom name, annotated for a user."""
    user = call.user(call.asked("userId"))
    integration = call.integration(call.path["integration"])
    return {"data": _shown(call, integration, completed_of(call, user.user_id), listed=False)}


def install_url(call: Call) -> Answer:
    """Return a hosted link. Headless onboarding has no use for it; it leads nowhere."""
    user = call.user(call.path.get("user") or call.asked("userId"))
    integration = call.integration(call.path["integration"])
    token = call.random.randbytes(12).hex()
    query = f"integrationId={integration.integration_id}&userId={user.user_id}&token={token}"
    return {"url": f"https://app.sandbox.invalid/embedded-install?{query}"}


def user_token(call: Call) -> Answer:
    """Return a token for the vendor's modal. It opens nothing."""
    call.user(call.path.get("user") or call.asked("userId"))
    return {"token": call.random.randbytes(24).hex()}


def completed_of(call: Call, user_id: str) -> list[Installation]:
    """Return a user's completed installations as far as look-ups may see them."""
    found = call.account.installations_of(user_id)
    return [one for one in found if one.completed_at is not None and one.completed_at <= call.as_of]


def shown_workflow(workflow: Workflow, installed: list[Installation]) -> Answer:
    """Return the part of a workflow that all its views share."""
    carriers = [one for one in installed if workflow.workflow_id in one.workflow_versions]
    answer: Answer = {
        "workflowId": workflow.workflow_id,
        "name": workflow.name,
        "installed": bool(carriers),
        "active": any(one.enabled for one in carriers),
        "version": workflow.version,
    }
    if carriers:
        answer["installedVersion"] = carriers[-1].workflow_versions[workflow.workflow_id]
    return answer


def shown_blocks(call: Call, workflow: Workflow) -> Answer:
    """Return a workflow's blocks under the dialect's key."""
    if call.knobs.dialect_fields == "2024-03":
        return {"blocks": [_shown_block(call.catalogue, block, "type") for block in workflow.blocks]}
    connectors = [_shown_block(call.catalogue, block, "connector") for block in workflow.blocks]
    return {"connectors": [{**one, "subtitle": one["name"]} for one in connectors]}


def icon(connector: str) -> str:
    """Return where an app's picture would be."""
    return f"https://cdn.sandbox.invalid/icons/{connector.lower()}.png"


def _shown_block(catalogue: Catalogue, block: Block, connector_key: str) -> Answer:
    app = catalogue.app(block.connector)
    return {
        "name": app.label if app is not None else block.name,
        "id": block.block_id,
        connector_key: block.connector,
        "icon": icon(block.connector),
    }


def _shown(call: Call, integration: Integration, installed: list[Installation], *, listed: bool) -> Answer:
    dialect = call.knobs.dialect_fields
    mine = [one for one in installed if one.integration_id == integration.integration_id]
    needed = integration.connectors()
    answer: Answer = {
        "integrationId": integration.integration_id,
        "description": integration.description,
        "installed": bool(mine),
        "icon": icon(needed[0]),
        "workflows": [
            {**shown_workflow(workflow, mine), **shown_blocks(call, workflow)} for workflow in integration.workflows
        ],
    }
    if dialect != "2024-03":
        answer["credentials"] = list(needed)
        answer["primaryConnector"] = integration.app
    if dialect != "2025-09" or not listed:
        answer["app"] = integration.app
    return answer
