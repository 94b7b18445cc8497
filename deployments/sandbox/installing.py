"""Installing: start, complete, edit (alloy-api.md 4.12, 4.13, 4.16).

The vendor's start is not idempotent: every call may make another record. The sandbox does the same on purpose.
"""

from deployments.sandbox.account import Installation, User
from deployments.sandbox.call import Answer, Call
from deployments.sandbox.catalogue import Integration
from deployments.sandbox.form import check_answers, form_of
from deployments.sandbox.installations import shown_installation
from deployments.sandbox.refusal import Refused

NOT_AUTHORIZED = "User is not authorized to install integrations for this account"


def start_installation(call: Call) -> Answer:
    """Start an installation of an integration for a user, and return what is to be asked."""
    user = call.user(call.text("userId"))
    integration = call.integration(call.text("integrationId"))
    if user.user_id in call.knobs.barred_users or user.username in call.knobs.barred_users:
        raise Refused(400, NOT_AUTHORIZED)
    workflow_ids = _chosen_workflows(call, integration)
    needed = integration.connectors(workflow_ids)
    chosen = _sent_credentials(call)
    credential_ids = _detected(call, user, needed) if chosen is None else _covering(call, user, needed, chosen)
    earlier = call.account.installations_of(user.user_id, integration.integration_id)
    if earlier and call.knobs.dup_start == "409":
        raise Refused(409, "An installation of this integration exists already")
    if earlier and call.knobs.dup_start == "existing":
        return _started(call, earlier[-1])
    installation = call.account.add_installation(
        user,
        integration_id=integration.integration_id,
        workflow_versions={
            workflow.workflow_id: workflow.version
            for workflow in integration.workflows
            if workflow.workflow_id in workflow_ids
        },
        credential_ids=credential_ids,
        form=form_of(integration, workflow_ids),
    )
    return _started(call, installation)


def complete_installation(call: Call) -> Answer:
    """Complete an installation with answers that fit its form."""
    installation = call.account.installations.get(call.text("installationId"))
    if installation is None:
        raise Refused(404, "Installation not found")
    if installation.completed_at is not None and call.knobs.recomplete != "ok":
        raise Refused(int(call.knobs.recomplete), "Installation is already completed")
    answers = call.body.get("data")
    if answers is None and not call.knobs.strict:
        answers = []
    checked = check_answers(call.account.forms[installation.form_digest], answers)
    call.account.complete_installation(installation, checked)
    return {"message": "Installation completed successfully"}


def edit_installation(call: Call) -> Answer:
    """Give an installation other credentials; without an id the user's latest of the integration is meant."""
    user = call.user(call.text("userId"))
    integration = call.integration(call.text("integrationId"))
    wanted = call.optional_text("installationId")
    found = [
        one
        for one in call.account.installations_of(user.user_id, integration.integration_id)
        if wanted is None or one.installation_id == wanted
    ]
    if not found:
        raise Refused(404, "Installation not found")
    installation = found[-1]
    chosen = call.optional_texts("credentialIds")
    if chosen:
        needed = integration.connectors(tuple(installation.workflow_versions))
        installation.credential_ids = _covering(call, user, needed, chosen)
    return {"data": {**shown_installation(call, installation), "installedData": [], "formData": []}}


def _started(call: Call, installation: Installation) -> Answer:
    form = call.account.forms[installation.form_digest]
    return {"data": form, "installationId": installation.installation_id}


def _chosen_workflows(call: Call, integration: Integration) -> tuple[str, ...]:
    chosen = call.optional_texts("workflowIds")
    if not chosen:
        return integration.workflow_ids
    if not set(chosen) <= set(integration.workflow_ids):
        raise Refused(400, "workflowIds must belong to the integration")
    return chosen


def _sent_credentials(call: Call) -> tuple[str, ...] | None:
    """Return the credentials that were sent, in either spelling; an empty list means none were."""
    many = call.optional_texts("credentialIds") or None
    if "credentialId" not in call.body:
        return many
    if call.knobs.strict:
        call.warnings.append("credentialId is ignored; the field is credentialIds")
        return many
    one = (call.text("credentialId"),)
    if many is not None and many != one:
        raise Refused(400, "credentialId and credentialIds differ")
    return one


def _covering(call: Call, user: User, needed: tuple[str, ...], credential_ids: tuple[str, ...]) -> dict[str, str]:
    """Return connector to credential; each needed app must be covered exactly once, by the user's own."""
    covered: dict[str, str] = {}
    for credential_id in credential_ids:
        credential = call.account.credentials.get(credential_id)
        if credential is None or credential.user_id != user.user_id:
            raise Refused(400, "credentialIds must be credentials of the user")
        if credential.type in covered:
            raise Refused(400, f"Two credentials for {credential.type}")
        covered[credential.type] = credential_id
    if set(covered) != set(needed):
        raise Refused(400, f"credentialIds must cover exactly: {', '.join(needed)}")
    return covered


def _detected(call: Call, user: User, needed: tuple[str, ...]) -> dict[str, str]:
    """Return connector to credential where the user has exactly one for each needed app."""
    owned = call.account.credentials_of(user.user_id)
    detected: dict[str, str] = {}
    for connector in needed:
        candidates = [one.credential_id for one in owned if one.type == connector]
        if not candidates:
            raise Refused(400, f"User has no credential for {connector}")
        if len(candidates) > 1:
            raise Refused(400, f"credentialIds is required: user has several credentials for {connector}")
        detected[connector] = candidates[0]
    return detected
