"""Users: unique names, batches, and what a list may hide."""

import pytest
from yarl import URL


async def test_a_user_is_found_by_id_and_by_name(api):
    user = (await api.post("/users", {"username": "a+b/c@example.test", "fullName": "Ä B"}))["userId"]

    expected = {"userId": user, "username": "a+b/c@example.test", "fullName": "Ä B"}
    assert await api.get(f"/users/{user}") == expected
    headers = {"Authorization": "Bearer sandbox-dev-key"}
    url = URL(f"{api.sandbox.url}/users/a%2Bb%2Fc%40example.test", encoded=True)
    async with api.session.get(url, headers=headers) as response:
        assert await response.json() == expected


@pytest.mark.parametrize("status", [409, 400, 422])
async def test_a_taken_name_is_refused_without_telling_the_id(api, status):
    user = await api.user()
    api.turn(dup_user=status)

    answer = await api.post("/users", {"username": "a@example.test"}, status=status)

    assert user not in str(answer)
    assert api.sandbox.ledger().duplicate_user_creates == 1
    assert api.sandbox.ledger().users == 1


async def test_a_taken_name_can_give_the_existing_id(api):
    user = await api.user()
    api.turn(dup_user=200)

    assert await api.user() == user


async def test_names_are_compared_exactly_unless_case_is_folded(api):
    user = await api.user()
    other = await api.user("A@example.test")
    await api.delete(f"/users/{other}")
    api.turn(fold_username_case=True)

    await api.post("/users", {"username": "A@Example.test"}, status=409)
    assert (await api.get("/users/A@EXAMPLE.test"))["userId"] == user


@pytest.mark.parametrize("body", [{}, {"username": ""}, {"username": 7}, {"username": None}])
async def test_strict_wants_a_username(api, body):
    api.turn(profile="strict")

    await api.post("/2025-09/users", body, status=400)


async def test_seed_makes_users_without_a_name(api):
    await api.post("/users")
    await api.post("/users", {})

    assert [set(one) for one in (await api.get("/users"))["data"]] == [{"userId"}, {"userId"}]


async def test_a_batch_makes_what_it_can_and_echoes_the_rest(api):
    await api.user()
    invalid = [{"username": "a@example.test"}, {"fullName": "No Name"}, {"username": "b"}]

    answer = await api.post("/users/batch", {"users": [{"username": "b", "fullName": "B"}, *invalid]})

    assert answer == {"message": "success", "invalidUsers": invalid}
    assert [one["username"] for one in (await api.get("/users"))["data"]] == ["a@example.test", "b"]


async def test_a_batch_that_is_applied_already_is_refused(api):
    await api.post("/users/batch", {"users": [{"username": "a"}]})

    answer = await api.post("/users/batch", {"users": [{"username": "a"}]}, status=400)

    assert answer == {"message": "No valid users provided"}


@pytest.mark.parametrize("users", [None, [], {}, [{"username": f"u{n}"} for n in range(1001)]])
async def test_a_batch_has_one_to_a_thousand_users(api, users):
    await api.post("/users/batch", {"users": users}, status=400)

    assert api.sandbox.ledger().users == 0


async def test_a_list_of_users_can_be_capped_and_shuffled(api):
    names = [f"u{n}" for n in range(50)]
    await api.post("/users/batch", {"users": [{"username": name} for name in names]})
    assert [one["username"] for one in (await api.get("/users"))["data"]] == names

    api.turn(shuffle_users=True)
    shuffled = [one["username"] for one in (await api.get("/users"))["data"]]
    assert shuffled != names
    assert sorted(shuffled) == sorted(names)

    api.turn(hidden_cap=7)
    assert len((await api.get("/users"))["data"]) == 7


async def test_a_user_can_be_renamed_to_a_free_name_only(api):
    user = await api.user("a")
    await api.user("b")

    await api.put("/users/a", {"username": "b"}, status=409)
    answer = await api.put("/users/a", {"username": "c", "fullName": "C"})

    assert answer == {"userId": user, "username": "c", "fullName": "C"}
    await api.get("/users/a", status=404)
    await api.user("a")


async def test_deleting_a_user_removes_credentials_and_disables_installations_once(api):
    user, credential, installation = await api.installed()

    assert await api.delete(f"/users/{user}") == {"success": True}

    await api.delete(f"/users/{user}", status=404)
    assert credential not in api.sandbox.account.credentials
    assert (await api.get(f"/installations/{installation}"))["data"]["enabled"] is False
    assert api.sandbox.ledger().completed == {}
    assert await api.user() != user


async def test_an_unknown_user_is_404_or_400(api):
    assert await api.get("/users/nobody", status=404) == {"message": "User not found"}

    api.turn(unknown=400)

    await api.get("/users/nobody", status=400)
