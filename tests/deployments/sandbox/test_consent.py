"""The OAuth link, the page behind it, and customers who decide by themselves."""

import re

import aiohttp
import pytest

HOSTILE = "<script>alert(1)</script>\"'"


async def link(api, user, app="slack", **properties):
    answer = await api.get("/headless/oauthUrl", userId=user, app=app, **properties)
    return answer["data"]["oauthUrl"]


async def opened(url, status=200):
    """Return the nonces of Grant and Deny, and the page."""
    async with aiohttp.ClientSession() as browser, browser.get(url) as page:
        text = await page.text()
        assert page.status == status, text
        return re.findall(r'name="nonce" value="([^"]+)"', text), text, page.headers


async def pressed(api, nonce, status=200, app="slack"):
    url = f"{api.sandbox.url}/api/strategy/{app}/authorize"
    async with (
        aiohttp.ClientSession() as browser,
        browser.post(url, data={"nonce": nonce}, allow_redirects=False) as page,
    ):
        assert page.status == status
        return await page.text(), page.headers


async def credentials(api, user):
    return (await api.get(f"/users/{user}/credentials"))["data"]


# --- the link


async def test_asking_for_a_link_changes_no_business_state(api):
    user = await api.user()
    before = api.sandbox.ledger()

    assert await link(api, user) == await link(api, user)
    assert api.sandbox.ledger() == before


@pytest.mark.parametrize(
    ("status", "query"),
    [
        (404, {"userId": "nobody", "app": "slack"}),
        (404, {"userId": "a@example.test", "app": "nothing"}),
        (400, {"userId": "a@example.test", "app": "netsuite"}),
        (400, {"userId": "a@example.test", "app": "shopify"}),
        (400, {"userId": "", "app": "slack"}),
        (400, {"userId": "a@example.test"}),
    ],
)
async def test_a_link_needs_a_user_an_oauth_app_and_its_properties(api, status, query):
    await api.user()

    await api.get("/headless/oauthUrl", status=status, **query)


async def test_a_link_can_come_without_wrapper(api):
    user = await api.user()
    api.turn(dialect_fields="2025-09")

    assert "oauthUrl" in await api.get("/headless/oauthUrl", userId=user, app="slack")


# --- the page


async def test_a_grant_makes_one_credential_named_after_app_and_property(api):
    user = await api.user()
    (grant, _), text, _ = await opened(await link(api, user, "shopify", shopSubdomain="my-shop"))

    page, _ = await pressed(api, grant, app="shopify")

    assert "Connected" in page
    assert all(word in text for word in (user, "Shopify", "read_orders", "my-shop"))
    assert [(one["type"], one["name"]) for one in await credentials(api, user)] == [("shopify", "Shopify my-shop")]


async def test_a_denial_leaves_no_trace_in_the_api(api):
    user = await api.user()
    (_, deny), *_ = await opened(await link(api, user))

    page, _ = await pressed(api, deny)

    assert "Declined" in page
    assert await credentials(api, user) == []
    assert api.sandbox.ledger().consents_denied == 1


@pytest.mark.parametrize("second", [0, 1])
async def test_a_page_is_answered_once(api, second):
    user = await api.user()
    nonces, *_ = await opened(await link(api, user))
    await pressed(api, nonces[0])

    await pressed(api, nonces[second], status=409)

    assert len(await credentials(api, user)) == 1


async def test_a_nonce_is_good_for_its_own_app_only(api):
    user = await api.user()
    (grant, _), *_ = await opened(await link(api, user))

    await pressed(api, grant, app="hubspot", status=400)
    await pressed(api, "made-up", status=400)

    assert await credentials(api, user) == []


async def test_the_page_escapes_loads_nothing_and_cannot_be_framed(api):
    user = await api.user()

    _, text, headers = await opened(await link(api, user, "shopify", shopSubdomain=HOSTILE))

    assert HOSTILE not in text
    assert "&lt;script&gt;" in text
    assert "http" not in text
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'nonce-")
    assert "form-action 'self';" in policy
    assert "frame-ancestors 'none'" in policy


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("slack/authorize?userId=nobody", 404),
        ("nothing/authorize?userId=a", 404),
        ("netsuite/authorize?userId=a", 400),
        ("shopify/authorize?userId={user}", 400),
        ("slack/elsewhere", 404),
    ],
)
async def test_a_link_that_does_not_fit_gives_an_error_page(api, path, status):
    user = await api.user()

    await opened(f"{api.sandbox.url}/api/strategy/{path.format(user=user)}", status=status)


async def test_the_browser_lands_where_the_knob_says_and_never_where_the_query_says(api):
    api.turn(post_oauth_redirect="https://app.example.test/connected?x=1")
    user = await api.user()
    (grant, _), _, headers = await opened(await link(api, user) + "&redirectUri=https://evil.test")

    _, landed = await pressed(api, grant, status=303)

    assert landed["Location"] == "https://app.example.test/connected?x=1"
    assert "form-action 'self' https://app.example.test;" in headers["Content-Security-Policy"]


async def test_a_link_can_expire_and_be_asked_for_again(api, clock):
    api.turn(link_life_ms=1000)
    user = await api.user()
    url = await link(api, user)
    clock.advance(1001)

    await opened(url, status=410)
    await opened(await link(api, user))


async def test_a_link_can_be_dead_after_one_grant(api):
    api.turn(link_single_use=True)
    user = await api.user()
    url = await link(api, user)
    (grant, _), *_ = await opened(url)
    await pressed(api, grant)

    await opened(url, status=410)


# --- granting again, and late


async def test_granting_again_makes_another_credential(api):
    user = await api.user()
    first, second = api.sandbox.grant(user, "slack"), api.sandbox.grant(user, "slack")

    assert [one["credentialId"] for one in await credentials(api, user)] == [first.credential_id, second.credential_id]


async def test_granting_again_can_refresh_the_same_credential(api, clock):
    api.turn(regrant="refresh")
    user = await api.user()
    api.sandbox.grant(user, "shopify", {"shopSubdomain": "one"})
    api.sandbox.grant(user, "shopify", {"shopSubdomain": "two"})
    before = await credentials(api, user)
    clock.advance(1000)

    api.sandbox.grant(user, "shopify", {"shopSubdomain": "one"})

    after = await credentials(api, user)
    assert [one["credentialId"] for one in after] == [one["credentialId"] for one in before]
    assert after[0]["updatedAt"] > before[0]["updatedAt"]
    assert after[1] == before[1]


async def test_a_refresh_in_the_same_millisecond_is_still_later(api):
    api.turn(regrant="refresh")
    user = await api.user()
    api.sandbox.grant(user, "slack")
    before = await credentials(api, user)

    api.sandbox.grant(user, "slack")

    assert (await credentials(api, user))[0]["updatedAt"] > before[0]["updatedAt"]


async def test_a_grant_and_a_refresh_can_show_late(api, clock):
    api.turn(regrant="refresh", grant_lag_ms=500, visibility_lag_ms=500)
    user = await api.user()
    api.sandbox.grant(user, "slack")
    clock.advance(999)
    assert await credentials(api, user) == []
    clock.advance(1)
    shown = await credentials(api, user)
    assert len(shown) == 1

    api.sandbox.grant(user, "slack")
    assert await credentials(api, user) == shown
    clock.advance(1000)
    assert (await credentials(api, user))[0]["updatedAt"] > shown[0]["updatedAt"]


# --- by themselves


async def test_a_customer_can_grant_by_themselves_after_a_while_and_once(api, clock):
    api.turn(auto="grant", auto_after_ms=3000)
    user = await api.user()
    await link(api, user)
    await link(api, user)
    clock.advance(2999)
    assert await credentials(api, user) == []
    clock.advance(1)
    assert len(await credentials(api, user)) == 1

    await link(api, user)
    clock.advance(3000)
    assert len(await credentials(api, user)) == 1
    api.turn(auto_repeats=True)
    await link(api, user)
    clock.advance(3000)
    assert len(await credentials(api, user)) == 2


async def test_a_customer_can_deny_or_ignore_by_themselves(api):
    user = await api.user()
    await link(api, user)
    api.turn(auto="deny")
    await link(api, user)

    assert await credentials(api, user) == []
    assert api.sandbox.ledger().consents_denied == 1


async def test_some_customers_never_act_and_always_the_same(api):
    api.turn(auto="grant", abandonment=0.5)
    users = [await api.user(f"u{number}") for number in range(40)]

    async def acted():
        for user in users:
            await link(api, user)
        return [bool(await credentials(api, user)) for user in users]

    first = await acted()
    assert 5 < sum(first) < 35
    assert await acted() == first


async def test_a_test_decides_what_was_last_asked(api):
    user = await api.user()
    await link(api, user, "shopify", shopSubdomain="one")

    api.sandbox.grant("a@example.test", "shopify")

    assert (await credentials(api, user))[0]["name"] == "Shopify one"
