"""Keys, versions, spellings of paths, and what a refusal looks like."""

import pytest


@pytest.mark.parametrize("path", ["/users", "/users/", "/USERS", "/2024-03/users", "/2025-09/Users/"])
async def test_a_path_works_in_any_case_with_a_trailing_slash_and_under_a_version(api, path):
    assert await api.get(path) == {"data": []}


@pytest.mark.parametrize("path", ["/2031-01/users", "/1999-12/users"])
async def test_an_unknown_version_in_the_path_is_refused(api, path):
    await api.get(path, status=400)


async def test_an_unknown_version_in_the_header_is_refused(api):
    await api.get("/users", headers={"x-api-version": "2031-01"}, status=400)


async def test_strict_wants_a_version_and_takes_it_from_header_or_path(api):
    api.turn(profile="strict")

    await api.get("/users", status=400)
    await api.get("/users", headers={"x-api-version": "2025-09"})
    await api.get("/2024-03/users")


@pytest.mark.parametrize("key", ["Bearer sandbox-dev-key", "bearer sandbox-dev-key", "BEARER  sandbox-dev-key"])
async def test_the_scheme_is_read_in_any_case(api, key):
    await api.get("/users", key=key)


@pytest.mark.parametrize("key", [None, "", "Bearer", "Bearer wrong", "Basic sandbox-dev-key"])
async def test_a_missing_or_unknown_key_is_refused(api, key):
    assert await api.get("/users", key=key, status=401) == {"message": "Unauthorized"}


async def test_a_raw_key_passes_in_seed_with_a_warning_and_not_in_strict(api):
    await api.get("/users", key="sandbox-dev-key")
    assert list(api.sandbox.requests)[-1].warnings == ["key sent without Bearer"]

    api.turn(profile="strict")
    await api.get("/2025-09/users", key="sandbox-dev-key", status=401)
    api.turn(profile="seed", raw_key="refuse")
    await api.get("/users", key="sandbox-dev-key", status=401)


async def test_a_key_can_be_revoked_or_forbidden_alone(api):
    api.turn(revoked_keys=("dev",), forbidden_keys=("prod",))

    await api.get("/users", status=401)
    assert await api.get("/users", key="Bearer sandbox-prod-key", status=403) == {"message": "Forbidden"}


async def test_development_and_production_are_two_spaces_with_the_same_integrations(api):
    user = await api.user()
    production = "Bearer sandbox-prod-key"

    assert await api.get("/users", key=production) == {"data": []}
    await api.get(f"/users/{user}", key=production, status=404)
    other = (await api.post("/users", {"username": "a@example.test"}, key=production))["userId"]
    mine = await api.get("/integrations", userId=user)
    theirs = await api.get("/integrations", userId=other, key=production)

    assert other != user
    assert mine == theirs
    assert api.sandbox.ledger("prod").users == 1


async def test_a_refusal_can_carry_nothing_or_a_page(api):
    api.turn(error_body="empty")
    assert await api.get("/users/nobody", status=404) == {}

    api.turn(error_body="html")
    async with api.session.get("/users") as response:
        assert response.status == 401
        assert response.content_type == "text/html"


async def test_a_path_without_route_is_404_and_a_wrong_method_405(api):
    await api.get("/nothing/here", status=404)
    await api.call("PATCH", "/users", status=405)


async def test_an_empty_segment_is_not_skipped(api):
    await api.get("/users//credentials", status=404)


async def test_the_creating_of_many_users_at_once_can_be_missing(api):
    api.turn(users_batch=False)

    await api.post("/users/batch", {"users": [{"username": "ada"}]}, status=405)


async def test_the_installations_resource_can_be_missing(api):
    api.turn(installations_resource=False)

    await api.get("/installations", status=404)
    await api.get("/installations/x", status=404)
    await api.post("/headless/editInstallation", {}, status=404)


@pytest.mark.parametrize(
    ("spelling", "there", "not_there"),
    [
        ("users", "/users/a@example.test/credentials", "/credentials/users/a@example.test"),
        ("credentials", "/credentials/users/a@example.test", "/users/a@example.test/credentials"),
    ],
)
async def test_the_credential_list_can_exist_in_one_spelling_only(api, spelling, there, not_there):
    await api.user()
    assert await api.get(there) == await api.get(not_there)

    api.turn(credentials_route=spelling)

    await api.get(there)
    await api.get(not_there, status=404)


async def test_unknown_fields_are_noted_or_refused(api):
    await api.post("/users", {"username": "a", "nick": "b"})
    assert list(api.sandbox.requests)[-1].warnings == ["unknown field nick"]

    api.turn(reject_unknown=True)
    await api.post("/users", {"username": "c", "nick": "b"}, status=400)
    await api.get("/users", status=400, page="2")
    user = await api.user("d")
    await api.get("/headless/oauthUrl", status=400, userId=user, app="slack", redirectUri="https://x.test")


@pytest.mark.parametrize("data", [b"{", b"[]", b'"text"', b"\xff"])
async def test_a_body_that_is_no_json_object_is_refused(api, data):
    headers = {"Authorization": "Bearer sandbox-dev-key"}
    async with api.session.post("/users", data=data, headers=headers) as response:
        assert response.status == 400


async def test_the_log_counts_requests_and_names_who_they_are_about(api):
    await api.user()
    await api.get("/users/a@example.test/credentials")

    record = api.sandbox.requests.of("list_credentials", user="a@example.test")[0]
    assert (record.status, record.key, record.template) == (200, "dev", "/users/{user}/credentials")
    assert api.sandbox.requests.by_route == {"create_user": 1, "list_credentials": 1}
    assert api.sandbox.requests.peak_in_flight == 1
