"""Installations looked at and looked after: list, get, delete, activate, upgrade (alloy-api.md 4.14, 4.15, 4.17).

The dialects before 2024-07 do not have this resource; the router hides it when the knob says so.
"""

from deployments.sandbox.account import Installation
from deployments.sandbox.call import Answer, Call
from deployments.sandbox.clock import timestamp
from deployments.sandbox.form import form_of
from deployments.sandbox.refusal import Refused


def list_installations(call: Call) -> Answer:
    """Return the whole account's installations, or as many as the hidden cap lets through."""
    seen = [one for one in call.account.installations.values() if _visible(call, one)]
    return {"data": [shown_installation(call, one) for one in seen[: call.knobs.hidden_cap_installations]]}


def get_installation(call: Call) -> Answer:
    """Return one installation."""
    installation = _found(call)
    if not _visible(call, installation):
        raise Refused(404, "Installation not found")
    return {"data": shown_installation(call, installation)}


def delete_installation(call: Call) -> Answer:
    """Delete an installation."""
    call.account.remove_installation(_found(call))
    return {"success": True}


def activate_installation(call: Call) -> Answer:
    """Enable an installation that is completed."""
    installation = _found(call)
    if installation.completed_at is None:
        raise Refused(400, "Installation is not completed")
    installation.enabled = True
    return {"activated": True}


def deactivate_installation(call: Call) -> Answer:
    """Disable an installation."""
    _found(call).enabled = False
    return {"activated": False}


def upgrade_installation(call: Call) -> Answer:
    """Move an installation to the newest versions, unless they ask something else than it answered."""
    installation = _found(call)
    integration = call.integration(installation.integration_id)
    form = form_of(integration, tuple(installation.workflow_versions))
    if form != call.account.forms[installation.form_digest]:
        raise Refused(400, "Configurable fields have changed: install the integration again")
    installation.workflow_versions = {
        workflow.workflow_id: workflow.version
        for workflow in integration.workflows
        if workflow.workflow_id in installation.workflow_versions
    }
    return {"upgraded": True}


def shown_installation(call: Call, installation: Installation) -> Answer:
    """Return an installation as look-ups show it: credentials as a map, the form without values."""
    answer: Answer = {
        "installationId": installation.installation_id,
        "integrationId": installation.integration_id,
        "userId": installation.user_id,
        "formData": call.account.forms[installation.form_digest],
        "credentialIds": {f"{app}Api": one for app, one in installation.credential_ids.items()},
        "workflowIds": list(installation.workflow_versions),
        "enabled": installation.enabled,
    }
    if installation.completed_at is not None:
        if installation.completed_at <= call.as_of:
            answer["installedAt"] = timestamp(installation.completed_at)
        else:
            answer["enabled"] = False
    return answer


def _found(call: Call) -> Installation:
    installation = call.account.installations.get(call.path["installation"])
    if installation is None:
        raise Refused(404, "Installation not found")
    return installation


def _visible(call: Call, installation: Installation) -> bool:
    if installation.started_at > call.as_of:
        return False
    completed_at = installation.completed_at
    return call.knobs.list_started or (completed_at is not None and completed_at <= call.as_of)
