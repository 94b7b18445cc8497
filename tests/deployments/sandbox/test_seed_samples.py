"""Every sample request of the vendor's Headless Mode page, as it is written there, in profile `seed`.

Placeholders are replaced by values; nothing else is changed, but for the closing brace that one sample lacks.
"""

import json

import aiohttp

RAW = {"Authorization": "sandbox-dev-key", "accept": "application/json"}
BEARER = {"Authorization": "Bearer sandbox-dev-key", "Content-Type": "application/json"}


async def sent(api, method, path, headers, data=None):
    async with api.session.request(method, path, headers=headers, data=data) as response:
        assert response.status == 200, await response.text()
        assert response.headers["Content-Type"] == "application/json; charset=utf-8"
        assert response.headers["x-request-id"]
        return await response.json()


async def test_create_a_user_without_a_body_and_with_a_raw_key(api):
    answer = await sent(api, "POST", "/users", RAW)

    assert list(answer) == ["userId"]
    assert len(answer["userId"]) == 24


async def test_list_integrations_for_any_user(api):
    user = (await sent(api, "POST", "/users", RAW))["userId"]

    answer = await sent(api, "GET", f"/integrations?userId={user}", RAW)

    assert {"Shopify", "Slack", "netsuite"} <= {one["app"] for one in answer["data"]}


async def test_metadata_of_shopify_is_the_sample_answer(api):
    answer = await sent(api, "GET", "/metadata/credentials/Shopify", RAW)

    data = answer["data"]
    assert (data["name"], data["isOauth"]) == ("shopify", True)
    assert data["properties"] == [
        {
            "name": "shopSubdomain",
            "displayName": "Shop Subdomain",
            "description": (
                "Enter your store subdomain. If your store domain is example.myshopify.com, "
                "the subdomain would be example."
            ),
        }
    ]


async def test_oauth_url_with_the_collected_fields_appended(api):
    user = await api.user()

    answer = await sent(api, "GET", f"/headless/oauthUrl?userId={user}&app=shopify&shopSubdomain=my-shop", RAW)

    expected = f"{api.sandbox.url}/api/strategy/shopify/authorize?userId={user}&shopSubdomain=my-shop"
    assert answer == {"data": {"oauthUrl": expected}}


async def test_list_credentials_with_a_lower_case_bearer(api):
    user = await api.user()

    headers = {"Authorization": "bearer sandbox-dev-key", "accept": "application/json"}

    assert await sent(api, "GET", f"/users/{user}/credentials", headers) == {"data": []}


async def netsuite_credential(api, user):
    body = """{
  "userId": "YOUR_USER_ID",
  "credential": {
    "type": "netsuite",
    "data": {
      "realm": "123",
      "consumerKey": "4567",
      "consumerSecret": "6789",
      "tokenId": "0000",
      "tokenSecret": "11111"
    }
  }
}""".replace("YOUR_USER_ID", user)
    return await sent(api, "POST", "/headless/credentials", BEARER, body)


async def test_create_a_netsuite_credential(api):
    answer = await netsuite_credential(api, await api.user())

    assert answer["success"] is True
    assert len(answer["credentialId"]) == 24


async def test_start_installation_in_lower_case_with_a_single_credential_and_no_content_type(api):
    user = await api.user()
    credential = (await netsuite_credential(api, user))["credentialId"]
    integration = api.integration("NetSuite customer sync").integration_id
    body = json.dumps({"userId": user, "credentialId": credential, "integrationId": integration})
    headers = {"Authorization": "bearer sandbox-dev-key", "accept": "application/json"}
    # What curl says when --data is given and no content type is.
    headers["Content-Type"] = "application/x-www-form-urlencoded"

    answer = await sent(api, "POST", "/headless/startinstallation", headers, body)

    assert len(answer["installationId"]) == 24


async def test_start_and_complete_with_data_mappings(api):
    user = await api.user()
    credential = (await netsuite_credential(api, user))["credentialId"]
    integration = api.integration("NetSuite customer sync")
    start = {"userId": user, "credentialIds": [credential], "integrationId": integration.integration_id}

    started = await sent(api, "POST", "/headless/startInstallation", BEARER, json.dumps(start))

    workflow = integration.workflows[0]
    assert started["data"] == [
        {
            "workflowId": workflow.workflow_id,
            "app": "netsuite",
            "blockId": workflow.blocks[0].block_id,
            "fields": [
                {"name": "customerEmail", "displayName": "Customer's Email", "type": "string", "required": True}
            ],
        }
    ]
    complete = """{
  "installationId": "YOUR_INSTALLATION_ID",
  "data": [
    {
      "workflowId": "YOUR_WORKFLOW_ID",
      "blockId": "YOUR_BLOCK_ID",
      "fields": [
        { "name": "customerEmail", "value": "abc@123.com" }
      ]
    }
  ]
}
"""
    complete = complete.replace("YOUR_INSTALLATION_ID", started["installationId"])
    complete = complete.replace("YOUR_WORKFLOW_ID", workflow.workflow_id)
    complete = complete.replace("YOUR_BLOCK_ID", workflow.blocks[0].block_id)

    answer = await sent(api, "POST", "/headless/completeInstallation", BEARER, complete)

    assert answer == {"message": "Installation completed successfully"}


async def test_the_whole_way_of_an_oauth_customer_by_browser(api):
    user = await api.user()
    link = (await api.get("/headless/oauthUrl", userId=user, app="shopify", shopSubdomain="my-shop"))["data"]
    async with aiohttp.ClientSession() as browser:
        async with browser.get(link["oauthUrl"]) as page:
            nonce = (await page.text()).split('name="nonce" value="')[1].split('"')[0]
        async with browser.post(f"{api.sandbox.url}/api/strategy/shopify/authorize", data={"nonce": nonce}) as page:
            assert page.status == 200
    credentials = (await api.get(f"/users/{user}/credentials"))["data"]

    started = await api.start(user, "Shopify order sync", credentialIds=[credentials[0]["credentialId"]])
    await api.complete(started["installationId"])

    assert started["data"] == []
    key = ("a@example.test", api.integration("Shopify order sync").integration_id)
    assert api.sandbox.ledger().completed == {key: [started["installationId"]]}
