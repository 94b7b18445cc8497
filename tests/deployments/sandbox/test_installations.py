"""Installations and workflows looked at and looked after."""

from dataclasses import replace

import pytest

from deployments.sandbox.catalogue import Question


def released(catalogue, name, *questions):
    """Return a catalogue in which an integration's workflows have a new version that asks these questions."""
    integration = catalogue.integration(name)
    workflows = tuple(
        replace(one, version=2, blocks=tuple(replace(block, questions=questions) for block in one.blocks))
        for one in integration.workflows
    )
    changed = replace(integration, workflows=workflows)
    others = tuple(one for one in catalogue.integrations if one.name != name)
    return replace(catalogue, integrations=(*others, changed))


async def test_an_installation_is_shown_with_form_and_credentials_by_kind(api):
    user = await api.user()
    credential = await api.credential(
        user, "netsuite", **dict.fromkeys(("realm", "consumerKey", "consumerSecret", "tokenId", "tokenSecret"), "1")
    )
    started = await api.start(user, "NetSuite customer sync")
    integration = api.integration("NetSuite customer sync")

    shown = (await api.get(f"/installations/{started['installationId']}"))["data"]

    assert shown == {
        "installationId": started["installationId"],
        "integrationId": integration.integration_id,
        "userId": user,
        "formData": started["data"],
        "credentialIds": {"netsuiteApi": credential},
        "workflowIds": list(integration.workflow_ids),
        "enabled": False,
    }
    assert (await api.get("/installations"))["data"] == [shown]


async def test_a_completed_installation_is_enabled_and_dated(api):
    *_, installation = await api.installed()

    shown = (await api.get(f"/installations/{installation}/"))["data"]

    assert (shown["enabled"], shown["installedAt"]) == (True, "2025-01-05T10:00:00.000Z")


async def test_started_installations_can_be_invisible(api):
    user = await api.user()
    await api.credential(user)
    installation = (await api.start(user))["installationId"]
    api.turn(list_started=False)

    assert (await api.get("/installations"))["data"] == []
    await api.get(f"/installations/{installation}", status=404)
    await api.complete(installation)
    assert len((await api.get("/installations"))["data"]) == 1


async def test_the_list_can_be_capped(api):
    for name in ("a", "b", "c"):
        await api.installed(name)
    api.turn(hidden_cap_installations=2)

    assert len((await api.get("/installations"))["data"]) == 2


async def test_edit_finds_by_id_or_by_user_and_integration_and_changes_credentials(api):
    user, _, installation = await api.installed()
    other = await api.credential(user)
    body = {"userId": user, "integrationId": api.integration("Klaviyo profiles").integration_id}

    found = (await api.post("/headless/editInstallation", body))["data"]
    changed = (await api.post("/headless/editInstallation", {**body, "credentialIds": [other]}))["data"]
    await api.post("/headless/editInstallation", {**body, "installationId": "nothing"}, status=404)

    assert (found["installationId"], found["installedData"], found["formData"]) == (installation, [], [])
    assert changed["credentialIds"] == {"klaviyoApi": other}
    assert api.sandbox.ledger().installations_started == 1


async def test_an_installation_is_switched_and_deleted(api):
    *_, installation = await api.installed()

    for _ in range(2):
        await api.put(f"/installations/{installation}/deactivate")
        assert not api.sandbox.account.installations[installation].enabled
    for _ in range(2):
        await api.put(f"/installations/{installation}/activate")
        assert api.sandbox.account.installations[installation].enabled
    await api.delete(f"/installations/{installation}/")

    await api.delete(f"/installations/{installation}/", status=404)
    await api.put(f"/installations/{installation}/activate", status=404)
    assert api.sandbox.ledger().completed == {}


async def test_an_installation_that_is_not_completed_cannot_be_activated(api):
    user = await api.user()
    await api.credential(user)
    installation = (await api.start(user))["installationId"]

    await api.put(f"/installations/{installation}/activate", status=400)


@pytest.mark.parametrize(
    "path", ["/installations/{installation}/upgrade", "/workflows/{workflow}/upgrade?userId={user}"]
)
async def test_an_upgrade_is_refused_when_other_questions_are_asked(api, path):
    user, _, installation = await api.installed()
    workflow = api.integration("Klaviyo profiles").workflow_ids[0]
    path = path.format(installation=installation, workflow=workflow, user=user)
    catalogue = api.sandbox.catalogue
    api.sandbox.catalogue = released(catalogue, "Klaviyo profiles", Question(name="new", display_name="New"))

    await api.put(path, status=400)
    api.sandbox.catalogue = released(catalogue, "Klaviyo profiles")
    await api.put(path)

    shown = (await api.get(f"/workflows/{workflow}", userId=user))["data"]
    assert (shown["version"], shown["installedVersion"]) == (2, 2)


# --- workflows, events, logs


async def test_workflows_are_listed_for_a_user(api):
    user, *_ = await api.installed()
    integration = api.integration("Klaviyo profiles").integration_id

    everything = (await api.get("/workflows/", userId=user))["data"]
    shown = (await api.get("/workflows", userId=user, integration=integration))["data"]

    assert len(everything) == 10
    assert [(one["name"], one["installed"], one["active"]) for one in shown] == [("Profile sync", True, True)]


async def test_the_users_of_a_workflow_are_those_who_completed(api):
    user, *_ = await api.installed()
    other = await api.user("b")
    await api.credential(other)
    await api.start(other)
    workflow = api.integration("Klaviyo profiles").workflow_ids[0]

    assert (await api.get(f"/workflows/{workflow}/users"))["data"] == [
        {
            "username": "a@example.test",
            "userId": user,
            "workflowActive": True,
            "installedVersion": 1,
            "installedAt": "2025-01-05T10:00:00.000Z",
        }
    ]
    assert (await api.get(f"/workflows/{workflow}/users", userId=other))["data"] == []


async def test_workflows_are_switched_by_id_by_name_and_all_at_once(api):
    user, _, installation = await api.installed()
    record = api.sandbox.account.installations[installation]
    workflow = api.integration("Klaviyo profiles").workflow_ids[0]

    assert await api.put("/workflows/deactivate", {"userId": user, "workflowId": workflow}) == {"activated": False}
    assert not record.enabled
    assert await api.put("/workflows/activate", {"userId": user, "workflowName": "Profile sync"}) == {"activated": True}
    assert record.enabled
    assert await api.put(f"/users/{user}/deactivate-workflows") == {"message": "Success"}
    assert not record.enabled


async def test_deleting_the_last_workflow_of_an_installation_deletes_it(api):
    user, *_ = await api.installed()
    workflow = api.integration("Klaviyo profiles").workflow_ids[0]

    assert await api.delete(f"/workflows/{workflow}", userId=user) == {"deleted": True}

    assert api.sandbox.ledger().installations == 0


async def test_events_logs_and_the_rest_are_shaped_as_documented(api):
    user = await api.user()
    workflow = api.integration("Klaviyo profiles").workflow_ids[0]
    event = {"event": "order.created", "userId": user, "data": {}}

    assert set((await api.get("/events"))["data"][0]) == {"name", "description", "body"}
    assert await api.post("/run/event", event) == {"message": "Event successfully triggered"}
    assert await api.post("/events/run", event) == {"message": "Event successfully triggered"}
    run = {"userId": user, "data": {}, "workflowName": "Profile sync"}
    assert await api.post("/run/workflow", run) == {"message": "success"}
    assert await api.get(f"/workflows/{workflow}/logs", userId=user, limit="30", page="0") == {"data": []}
    assert await api.get(f"/workflow/{workflow}/logs", userId=user) == {"data": []}
    await api.get(f"/workflows/{workflow}/logs", userId=user, limit="31", status=400)
    await api.get(f"/workflows/{workflow}/logs", userId=user, order="up", status=400)
    assert await api.get(f"/workflows/{workflow}/errors", userId=user) == {"data": []}
    assert (await api.get(f"/workflows/{workflow}/analytics"))["totalErrors"] == 0
    assert len((await api.get(f"/workflows/{workflow}/versions", userId=user))["data"]) == 1
    await api.post(f"/workflows/{workflow}/rerun/e1?userId={user}", status=404)
    await api.delete(f"/users/{user}/logs")
    await api.delete(f"/workflows/logs?userId={user}")
    await api.get("/workflows/nothing", userId=user, status=404)
