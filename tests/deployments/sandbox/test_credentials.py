"""Credentials: what is checked, what is visible when, and that nothing posted ever comes back."""

import logging

import pytest

from deployments.sandbox.account import digest_of

CANARY = "canary-2f6c1b"


async def refused(api, user, credential, status=400):
    return await api.post("/headless/credentials", {"userId": user, "credential": credential}, status=status)


async def test_every_post_makes_another_credential(api):
    user = await api.user()

    first, second = await api.credential(user), await api.credential(user)

    assert [one["credentialId"] for one in (await api.get(f"/users/{user}/credentials"))["data"]] == [first, second]
    assert api.sandbox.ledger().credentials_of == {"a@example.test": [first, second]}


async def test_the_list_shows_type_name_and_times(api):
    user = await api.user()
    credential = await api.credential(user)

    assert (await api.get(f"/users/{user}/credentials"))["data"] == [
        {
            "credentialId": credential,
            "type": "klaviyo",
            "name": "Klaviyo",
            "createdAt": "2025-01-05T10:00:00.000Z",
            "updatedAt": "2025-01-05T10:00:00.000Z",
        }
    ]


@pytest.mark.parametrize(
    "credential",
    [
        None,
        "text",
        {"type": "nothing", "data": {}},
        {"type": "Klaviyo", "data": {"apiKey": "k"}},
        {"type": "klaviyo"},
        {"type": "klaviyo", "data": {}},
        {"type": "klaviyo", "data": {"apiKey": ""}},
        {"type": "klaviyo", "data": {"apiKey": 7}},
        {"type": "slack", "data": {}},
    ],
)
async def test_a_credential_that_does_not_fit_its_app_is_refused(api, credential):
    await refused(api, await api.user(), credential)

    assert api.sandbox.ledger().credentials == 0


async def test_the_user_must_exist(api):
    await refused(api, "nobody", {"type": "klaviyo", "data": {"apiKey": "k"}}, status=404)


async def test_tokens_of_oauth_apps_can_be_imported_if_so_set(api):
    user = await api.user()
    api.turn(allow_token_import=True)

    await api.credential(user, "shopify", shopSubdomain="my-shop")


async def test_secrets_can_be_verified(api):
    user = await api.user()
    await api.credential(user, apiKey="refused-1")
    api.turn(verify_secret=True)

    await refused(api, user, {"type": "klaviyo", "data": {"apiKey": "refused-2"}})


async def test_a_new_credential_can_be_late_in_the_list_and_usable_at_once(api, clock):
    user = await api.user()
    api.turn(visibility_lag_ms=5000)
    credential = await api.credential(user)

    clock.advance(4999)
    assert (await api.get(f"/users/{user}/credentials"))["data"] == []
    await api.start(user, credentialIds=[credential])
    clock.advance(1)
    assert len((await api.get(f"/users/{user}/credentials"))["data"]) == 1


async def test_the_list_can_be_shuffled(api):
    user = await api.user()
    made = [await api.credential(user) for _ in range(20)]
    api.turn(shuffle_credentials=True)

    seen = [one["credentialId"] for one in (await api.get(f"/users/{user}/credentials"))["data"]]

    assert seen != made
    assert sorted(seen) == sorted(made)


@pytest.mark.parametrize("path", ["/users/{user}/credentials/{credential}", "/credentials/{credential}/users/{user}"])
async def test_deleting_a_credential_disables_what_uses_it(api, path):
    user, credential, installation = await api.installed()
    other = await api.user("b@example.test")

    await api.delete(path.format(user=other, credential=credential), status=404)
    assert await api.delete(path.format(user=user, credential=credential)) == {"success": True}

    await api.delete(path.format(user=user, credential=credential), status=404)
    assert api.sandbox.account.installations[installation].enabled is False
    assert api.sandbox.ledger().completed != {}
    assert api.sandbox.ledger().enabled == {}


async def test_posted_values_are_kept_as_digests_and_appear_nowhere(api, caplog):
    caplog.set_level(logging.DEBUG)
    user = await api.user()
    credential = await api.credential(user, apiKey=CANARY)
    await api.credential(user, "magento", storeUrl=f"https://{CANARY}.test", accessToken=CANARY)
    await refused(api, user, {"type": CANARY, "data": {"apiKey": CANARY}})
    answers = [await api.get("/installations"), await api.get(f"/users/{user}/credentials")]
    admin = {"headers": {"Authorization": "Bearer admin-token"}}
    for path in ("state", "ledger", "requests"):
        async with api.session.get(f"/_sandbox/{path}", **admin) as response:
            answers.append(await response.text())

    assert CANARY not in f"{answers}{caplog.text}"
    assert api.sandbox.account.credentials[credential].digest == digest_of(credential, {"apiKey": CANARY})
