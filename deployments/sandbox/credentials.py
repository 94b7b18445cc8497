"""Credentials: what an app asks for, connect it, list, delete (alloy-api.md 4.8, 4.10, 4.11).

Posted values become a digest on the way in; nothing here keeps, logs or answers them.
"""

from deployments.sandbox.account import Credential
from deployments.sandbox.call import Answer, Call
from deployments.sandbox.catalogue import App
from deployments.sandbox.clock import timestamp
from deployments.sandbox.integrations import icon
from deployments.sandbox.refusal import Refused

REFUSED_SECRET = "refused-"  # noqa: S105 - a marker, not a secret
"""With the knob `verify_secret`, values that begin like this are refused."""


def get_metadata(call: Call) -> Answer:
    """Return what connecting one app needs."""
    return {"data": _shown_app(call, call.app(call.path["app"]))}


def list_metadata(call: Call) -> Answer:
    """Return what connecting each app needs."""
    return {"data": [_shown_app(call, app) for app in call.catalogue.apps]}


def create_credential(call: Call) -> Answer:
    """Make a credential from posted values; a new one every time."""
    user = call.user(call.text("userId"))
    credential = call.body.get("credential")
    if not isinstance(credential, dict):
        raise Refused(400, "credential must be an object")
    connector, data = credential.get("type"), credential.get("data")
    app = call.catalogue.app(connector) if isinstance(connector, str) else None
    if app is None or app.connector != connector:
        raise Refused(400, "credential.type is not a known app")
    if not isinstance(data, dict):
        raise Refused(400, "credential.data must be an object")
    if app.is_oauth and not call.knobs.allow_token_import:
        raise Refused(400, f"{app.connector} must be connected with OAuth")
    _check_values(call, app, data)
    made = call.account.add_credential(
        user, connector=app.connector, name=app.label, data=data, lag=call.knobs.visibility_lag_ms
    )
    return {"success": True, "credentialId": made.credential_id}


def list_credentials(call: Call) -> Answer:
    """Return a user's credentials as far as they are visible yet."""
    user = call.user(call.path["user"])
    found = [
        _shown_credential(one, call.as_of)
        for one in call.account.credentials_of(user.user_id)
        if one.created_at <= call.as_of and not _hidden(one, call.as_of)
    ]
    if call.knobs.shuffle_credentials:
        call.random.shuffle(found)
    return {"data": found}


def delete_credential(call: Call) -> Answer:
    """Delete a user's credential and disable what uses it."""
    user = call.user(call.path["user"])
    credential = call.account.credentials.get(call.path["credential"])
    if credential is None or credential.user_id != user.user_id:
        raise call.missing("Credential not found")
    call.account.remove_credential(credential)
    return {"success": True}


def _hidden(credential: Credential, as_of: int) -> bool:
    """Whether a credential is so new that the list does not have it; a refreshed one stays, as it was."""
    refreshed = credential.updated_at != credential.created_at
    return not refreshed and credential.visible_from > as_of


def _check_values(call: Call, app: App, data: dict[str, object]) -> None:
    for wanted in app.properties:
        value = data.get(wanted.name)
        if not isinstance(value, str) or not value:
            raise Refused(400, f"credential.data.{wanted.name} is required and must be a string")
        if call.knobs.verify_secret and value.startswith(REFUSED_SECRET):
            raise Refused(400, f"{app.label} refused these credentials")


def _shown_app(call: Call, app: App) -> Answer:
    key = "connector" if call.knobs.dialect_fields == "2025-09" else "name"
    return {
        key: app.connector,
        "icon": icon(app.connector),
        "isOauth": app.is_oauth,
        "properties": [
            {"name": one.name, "displayName": one.display_name}
            | ({"description": one.description} if one.description else {})
            for one in app.properties
        ],
    }


def _shown_credential(credential: Credential, as_of: int) -> Answer:
    renewed = credential.visible_from <= as_of
    return {
        "credentialId": credential.credential_id,
        "type": credential.type,
        "name": credential.name,
        "createdAt": timestamp(credential.created_at),
        "updatedAt": timestamp(credential.updated_at if renewed else credential.shown_updated_at),
    }
