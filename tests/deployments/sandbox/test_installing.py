"""Start and complete: which credentials, which workflows, which answers."""

import pytest

from deployments.sandbox.installing import NOT_AUTHORIZED

EVERYTHING = "Airtable everything"


async def everything_started(api):
    user = await api.user()
    await api.credential(user, "airtable", apiKey="k")
    return await api.start(user, EVERYTHING)


def answered(started, **changes):
    """Return answers that fit the form of everything, but for the named fields; None leaves one out."""
    values = {
        "title": "T",
        "colour": "dark-blue",
        "priority": 2,
        "limit": 1.5,
        "active": False,
        "größe": "尺",
        "table": "tbl499",
        "variables[0].value": "v",
    } | changes
    return [
        {
            "workflowId": block["workflowId"],
            "blockId": block["blockId"],
            "fields": [
                {"name": field["name"], "value": values[field["name"]]}
                for field in block["fields"]
                if values.get(field["name"]) is not None
            ],
        }
        for block in started["data"]
    ]


# --- start


async def test_every_start_makes_another_installation(api):
    user = await api.user()
    await api.credential(user)

    first, second = await api.start(user), await api.start(user)

    assert first["installationId"] != second["installationId"]
    assert first["data"] == []
    ledger = api.sandbox.ledger()
    assert (ledger.installations_started, ledger.installations_completed, ledger.orphans) == (2, 0, 2)


@pytest.mark.parametrize(("knob", "status"), [("existing", 200), ("409", 409)])
async def test_a_second_start_can_give_the_first_or_be_refused(api, knob, status):
    user = await api.user()
    await api.credential(user)
    api.turn(dup_start=knob)
    first = await api.start(user)

    second = await api.start(user, status=status)

    if status == 200:
        assert second == first
    assert api.sandbox.ledger().installations_started == 1


async def test_the_only_credential_is_detected_and_several_must_be_named(api):
    user = await api.user()
    await api.start(user, status=400)
    first = await api.credential(user)
    await api.start(user)
    second = await api.credential(user)

    refusal = await api.start(user, status=400)
    await api.start(user, credentialIds=[second])

    assert "credentialIds is required" in refusal["message"]
    used = [one.credential_ids["klaviyo"] for one in api.sandbox.account.installations.values()]
    assert used == [first, second]


async def test_credentials_must_be_the_users_own_and_cover_each_app_once(api):
    user, other = await api.user(), await api.user("b")
    mine, twin, theirs = await api.credential(user), await api.credential(user), await api.credential(other)
    foreign = await api.credential(user, "airtable", apiKey="k")

    for wrong in ([theirs], ["nothing"], [mine, twin], [foreign], [mine, foreign], "text", [7], [""]):
        await api.start(user, status=400, credentialIds=wrong)

    assert api.sandbox.ledger().installations_started == 0


async def test_an_integration_over_two_apps_wants_two_credentials(api):
    user = await api.user()
    ship = await api.credential(user, "shipStation", apiKey="k")
    await api.start(user, "Shipment ledger", status=400, credentialIds=[ship])
    sheets = api.sandbox.grant(user, "googleSheets").credential_id

    await api.start(user, "Shipment ledger", credentialIds=[sheets, ship])
    await api.start(user, "Shipment ledger")


async def test_the_singular_credential_is_read_in_seed_and_ignored_in_strict(api):
    user = await api.user()
    first, second = await api.credential(user), await api.credential(user)
    await api.start(user, credentialId=first)
    await api.start(user, credentialId=first, credentialIds=[first])
    await api.start(user, status=400, credentialId=first, credentialIds=[second])

    api.turn(profile="strict")
    body = {"userId": user, "credentialId": first, "integrationId": api.integration("Klaviyo profiles").integration_id}
    await api.post("/2025-09/headless/startInstallation", body, status=400)

    assert "credentialId is ignored" in list(api.sandbox.requests)[-1].warnings[0]


async def test_only_chosen_workflows_are_asked_about(api):
    user = await api.user()
    await api.credential(user, "airtable", apiKey="k")
    write, variables = api.integration(EVERYTHING).workflow_ids

    started = await api.start(user, EVERYTHING, workflowIds=[variables])

    assert {block["app"] for block in started["data"]} == {"accountVariables"}
    await api.start(user, EVERYTHING, status=400, workflowIds=["nothing"])
    assert {block["workflowId"] for block in (await api.start(user, EVERYTHING))["data"]} == {write, variables}


async def test_start_needs_a_user_and_an_integration_that_exist(api):
    user = await api.user()
    await api.start("nobody", status=404)
    await api.post("/headless/startInstallation", {"userId": user, "integrationId": "nothing"}, status=404)
    await api.post("/headless/startInstallation", {"userId": user}, status=400)
    await api.post("/headless/startInstallation", {"userId": 7, "integrationId": "x"}, status=400)


async def test_a_barred_user_is_refused_with_the_documented_text(api):
    user = await api.user()
    await api.credential(user)
    api.turn(barred_users=("a@example.test",))

    assert await api.start(user, status=400) == {"message": NOT_AUTHORIZED}


# --- complete


async def test_answers_of_every_type_complete_an_installation(api):
    started = await everything_started(api)

    await api.complete(started["installationId"], answered(started, note="n", schedule="* * * * *"))

    installation = api.sandbox.account.installations[started["installationId"]]
    assert installation.enabled
    assert installation.answers == answered(started, note="n", schedule="* * * * *")


@pytest.mark.parametrize(
    "changes",
    [
        {"title": None},
        {"title": ""},
        {"title": 7},
        {"colour": "Dark blue"},
        {"priority": "2"},
        {"priority": 3},
        {"priority": True},
        {"limit": "1"},
        {"limit": True},
        {"active": "false"},
        {"schedule": ["*"]},
        {"table": "tbl500"},
        {"variables[0].value": None},
    ],
)
async def test_an_answer_that_does_not_fit_is_refused_and_nothing_is_applied(api, changes):
    started = await everything_started(api)

    await api.complete(started["installationId"], answered(started, **changes), status=400)

    installation = api.sandbox.account.installations[started["installationId"]]
    assert (installation.enabled, installation.completed_at, installation.answers) == (False, None, [])


async def test_an_unknown_or_repeated_field_or_block_is_refused(api):
    started = await everything_started(api)
    good = answered(started)
    extra = {"workflowId": good[0]["workflowId"], "blockId": good[0]["blockId"]}
    title = {"name": "title", "value": "again"}

    for more in (
        {**extra, "fields": [title]},
        {**extra, "fields": [{"name": "nothing", "value": "x"}]},
        {**extra, "fields": [{"name": "note"}]},
        {**extra, "blockId": "nothing", "fields": [title]},
        {**extra, "workflowId": "nothing", "fields": [title]},
        {**extra, "fields": {}},
        {"fields": []},
        "text",
    ):
        await api.complete(started["installationId"], [*good, more], status=400)

    assert api.sandbox.ledger().installations_completed == 0


async def test_missing_data_is_nothing_to_say_in_seed_and_an_error_in_strict(api):
    user = await api.user()
    await api.credential(user)
    first, second = [(await api.start(user))["installationId"] for _ in range(2)]
    await api.post("/headless/completeInstallation", {"installationId": first})

    api.turn(profile="strict")
    await api.post("/2025-09/headless/completeInstallation", {"installationId": second}, status=400)
    await api.post("/2025-09/headless/completeInstallation", {"installationId": second, "data": {}}, status=400)

    assert api.sandbox.ledger().installations_completed == 1


async def test_completing_again_lets_the_last_answers_win(api):
    started = await everything_started(api)
    await api.complete(started["installationId"], answered(started, title="first"))

    await api.complete(started["installationId"], answered(started, title="second"))

    assert api.sandbox.account.installations[started["installationId"]].answers == answered(started, title="second")
    ledger = api.sandbox.ledger()
    assert (ledger.installations_completed, ledger.completions) == (1, 2)


@pytest.mark.parametrize("status", [400, 409])
async def test_completing_again_can_be_refused(api, status):
    *_, installation = await api.installed()
    api.turn(recomplete=str(status))

    await api.complete(installation, status=status)


async def test_an_unknown_installation_cannot_be_completed(api):
    await api.complete("nothing", status=404)
