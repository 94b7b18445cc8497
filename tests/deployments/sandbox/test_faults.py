"""Every fault, on the calls where it matters: what the client sees, and what really happened."""

import time
from email.utils import parsedate_to_datetime

import aiohttp
import pytest

from deployments.sandbox.faults import Fault
from deployments.sandbox.server import Sandbox, SandboxSettings

HEADERS = {"Authorization": "Bearer sandbox-dev-key"}


async def raw(api, method="POST", path="/users", body=None):
    """Return status, headers and bytes, whatever they are."""
    # A new connection: aiohttp's client sends a GET again by itself when a kept one is closed under it.
    connector = aiohttp.TCPConnector(force_close=True)
    body = {"username": "a@example.test"} if body is None and method == "POST" else body
    async with (
        aiohttp.ClientSession(api.sandbox.url, connector=connector) as session,
        session.request(method, path, json=body, headers=HEADERS) as response,
    ):
        return response.status, response.headers, await response.read()


CALLS = ["create_user", "create_credential", "start_installation", "complete_installation"]


async def lost(api, route):
    """Go the way of one customer until the call that a fault is set for is lost to the client."""
    way = {
        "create_user": lambda: api.user(),
        "create_credential": lambda: api.credential(known["user"]),
        "start_installation": lambda: api.start(known["user"]),
        "complete_installation": lambda: api.complete(known["started"]["installationId"]),
    }
    known = {}
    keep = {"create_user": "user", "create_credential": "credential", "start_installation": "started"}
    for name, step in way.items():
        try:
            known[keep.get(name, "done")] = await step()
        except (aiohttp.ClientError, AssertionError, ValueError):
            assert name == route
            return
    pytest.fail("the fault did not strike")


def effects(api):
    ledger = api.sandbox.ledger()
    return [ledger.users, ledger.credentials, ledger.installations_started, ledger.installations_completed]


@pytest.mark.parametrize("route", CALLS)
@pytest.mark.parametrize("kind", ["err_after", "drop_after", "truncate", "empty"])
async def test_after_these_faults_the_call_has_taken_effect(api, route, kind):
    api.sandbox.faults.add(Fault(kind=kind, route=route))
    await lost(api, route)

    assert effects(api)[CALLS.index(route)] == 1
    assert api.sandbox.requests.of(route)[-1].committed


@pytest.mark.parametrize("route", CALLS)
@pytest.mark.parametrize("kind", ["err_before", "drop_before", "html", "429", "auth_flip"])
async def test_after_these_faults_nothing_has_changed(api, route, kind):
    api.sandbox.faults.add(Fault(kind=kind, route=route))

    await lost(api, route)

    assert effects(api)[CALLS.index(route)] == 0
    assert not api.sandbox.requests.of(route)[-1].committed


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize("kind", ["err_before", "err_after"])
async def test_an_error_has_the_status_that_was_set(api, kind, status):
    api.sandbox.faults.add(Fault(kind=kind, status=status))

    assert (await raw(api))[0] == status


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("kind", ["drop_before", "drop_after"])
async def test_a_dropped_connection_gives_no_answer_at_all(api, kind, reset, caplog):
    api.sandbox.faults.add(Fault(kind=kind, reset=reset))

    with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
        await raw(api)

    assert effects(api)[0] == (kind == "drop_after")
    assert caplog.text == ""


async def test_a_truncated_answer_is_well_formed_http_with_half_the_json(api):
    api.sandbox.faults.add(Fault(kind="truncate"))

    status, headers, body = await raw(api)

    assert (status, headers["Content-Length"]) == (200, str(len(body)))
    assert body.startswith(b'{"userId":')
    assert not body.endswith(b"}")


async def test_a_truncated_answer_can_be_shorter_than_announced(api, caplog):
    api.sandbox.faults.add(Fault(kind="truncate", full_length=True))

    with pytest.raises(aiohttp.ClientPayloadError):
        await raw(api)
    assert caplog.text == ""


async def test_an_empty_answer_has_the_right_status(api):
    api.sandbox.faults.add(Fault(kind="empty"))

    status, _, body = await raw(api)

    assert (status, body) == (200, b"")


@pytest.mark.parametrize("after", [False, True])
async def test_a_page_instead_of_json_can_come_before_or_after_the_effect(api, after):
    api.sandbox.faults.add(Fault(kind="html", after_commit=after))

    status, headers, body = await raw(api)

    assert (status, headers["Content-Type"]) == (502, "text/html; charset=utf-8")
    assert b"<html>" in body
    assert effects(api)[0] == after


@pytest.mark.parametrize(("form", "value"), [("seconds", "7"), ("absent", None), ("zero", "0"), ("huge", "31536000")])
async def test_a_429_says_how_long_to_wait_in_many_forms(api, form, value):
    api.sandbox.faults.add(Fault(kind="429", retry_after=form, retry_after_s=7))

    status, headers, _ = await raw(api)

    assert (status, headers.get("Retry-After")) == (429, value)
    assert effects(api)[0] == 0


async def test_a_429_can_give_a_date(api):
    api.sandbox.faults.add(Fault(kind="429", retry_after="date", retry_after_s=100))

    _, headers, _ = await raw(api)

    assert 90 < parsedate_to_datetime(headers["Retry-After"]).timestamp() - time.time() < 101


async def test_the_rate_is_limited_for_each_key_alone(api, clock):
    api.turn(rate_limit_per_s=2, rate_limit_burst=2)

    statuses = [(await raw(api, "GET"))[0] for _ in range(3)]
    limited = await raw(api, "GET")
    await api.get("/users", key="Bearer sandbox-prod-key")
    clock.advance(500)

    assert statuses == [200, 200, 429]
    assert limited[1]["Retry-After"] == "1"
    assert [(await raw(api, "GET"))[0] for _ in range(2)] == [200, 429]


async def test_a_fault_can_wait_for_the_nth_call_and_strike_some_times(api):
    api.sandbox.faults.add(Fault(kind="err_before", route="list_users", nth=3, count=2))

    statuses = [(await raw(api, "GET"))[0] for _ in range(6)]

    assert statuses == [200, 200, 503, 503, 200, 200]


async def test_a_key_can_turn_invalid_for_good(api):
    api.sandbox.faults.add(Fault(kind="auth_flip", nth=3, count=None))

    assert [(await raw(api, "GET"))[0] for _ in range(5)] == [200, 200, 401, 401, 401]


@pytest.mark.parametrize("by", ["name", "id"])
async def test_a_fault_can_be_about_one_user(api, by):
    names = {"name": "a@example.test", "id": await api.user()}
    other = await api.user("b")
    credential = await api.credential(names["id"])
    installation = (await api.start(names["id"]))["installationId"]
    api.sandbox.faults.add(Fault(kind="err_before", user=names[by], count=None))

    await api.get("/users/b")
    await api.get("/integrations", userId=other)
    await api.get("/users/a@example.test/credentials", status=503)
    await api.get("/integrations", userId=names["id"], status=503)
    await api.start(names["id"], status=503, credentialIds=[credential])
    await api.complete(installation, status=503)
    await api.get(f"/installations/{installation}", status=503)


def test_a_fault_on_an_endpoint_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="create_uzer"):
        Fault(kind="err_before", route="create_uzer")


async def test_chance_is_drawn_from_the_seed():
    async def struck(seed):
        async with Sandbox(SandboxSettings(seed=seed)) as sandbox, aiohttp.ClientSession(sandbox.url) as session:
            sandbox.faults.add(Fault(kind="err_before", probability=0.5, count=None))
            statuses = []
            for _ in range(40):
                async with session.get("/users", headers=HEADERS) as response:
                    statuses.append(response.status)
            return statuses

    first = await struck(1)

    assert {200, 503} == set(first)
    assert await struck(1) == first
    assert await struck(2) != first


async def test_reads_can_be_stale(api, clock):
    user = await api.user()
    clock.advance(10_000)
    await api.credential(user)
    installation = (await api.start(user))["installationId"]
    await api.complete(installation)
    await api.user("new")
    api.sandbox.faults.add(Fault(kind="slow_list", delay_ms=1000, count=None))

    async def seen():
        integrations = (await api.get("/integrations", userId=user))["data"]
        return [
            len((await api.get("/users"))["data"]),
            len((await api.get(f"/users/{user}/credentials"))["data"]),
            len((await api.get("/installations"))["data"]),
            sum(one["installed"] for one in integrations),
        ]

    assert await seen() == [1, 0, 0, 0]
    await api.get("/users/new", status=404)
    clock.advance(1000)
    assert await seen() == [2, 1, 1, 1]


async def test_latency_can_come_before_and_after_the_effect(api):
    api.sandbox.faults.add(
        Fault(kind="latency", delay_ms=20, delay_max_ms=30), Fault(kind="latency", delay_ms=20, after_commit=True)
    )
    began = time.monotonic()

    await raw(api)

    assert time.monotonic() - began >= 0.04
    assert list(api.sandbox.requests)[-1].faults == ("latency", "latency")


async def test_a_client_that_gives_up_does_not_undo_the_effect(api):
    api.turn(latency_after_ms=200)

    with pytest.raises(TimeoutError):
        async with api.session.post(
            "/users", json={"username": "a"}, headers=HEADERS, timeout=aiohttp.ClientTimeout(total=0.1)
        ):
            pass

    assert effects(api)[0] == 1


async def test_of_two_disasters_the_second_waits_for_another_call(api):
    api.sandbox.faults.add(Fault(kind="err_before", status=503), Fault(kind="err_before", status=504))

    assert [(await raw(api, "GET"))[0] for _ in range(3)] == [503, 504, 200]
    assert [struck for _, struck in api.sandbox.faults.struck()] == [1, 1]
    api.sandbox.faults.clear()
    assert api.sandbox.faults.struck() == []
