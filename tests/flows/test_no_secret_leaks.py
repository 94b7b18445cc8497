"""Auth values, the API key and consent links: found in no log, no exception, no history and nowhere in the database."""

import logging
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from pydantic import SecretStr

from deployments.sandbox.faults import Fault, FaultKind
from deployments.sandbox.knobs import Knobs
from states.failures import Halted
from states.holds import HoldKind, Reason
from states.stage import Stage
from store.views import links
from tests.flows.world import NETSUITE, SHOPIFY, World, on_sqlite

pytestmark = on_sqlite

ANN = "ann@example.test"
API_KEY = "canary-of-the-api-key"
SHOP = {"shopSubdomain": "canary-subdomain"}
REALM = {
    "realm": "canary-realm",
    "consumerKey": "canary+consumer/key=",
    "consumerSecret": 'canary "quoted" & <secret>',
    "tokenId": "canary-token-id",
    "tokenSecret": "refused-canary-token-secret",
}
CANARIES = ("canary", "refused-")
"""Every secret begins with one of these, in whatever way it may be escaped."""
LINK = "/api/strategy/"


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG)
    for name in list(logging.root.manager.loggerDict):
        caplog.set_level(logging.DEBUG, logger=name)
    return caplog


@asynccontextmanager
async def a_world_full_of_canaries(
    database_url: str, tmp_path: Path, knobs: Knobs | None = None
) -> AsyncIterator[World]:
    async with World(database_url, tmp_path, knobs=knobs) as world:
        world.add(integration=NETSUITE, auth=REALM, answers={"customerEmail": "ann@shop.test"})
        world.add("bob@example.test", SHOPIFY, auth=SHOP)
        yield world


def written(world: World) -> bytes:
    """Everything that the database has on disk: the file, its log, its index."""
    file = Path(world.database_url.removeprefix("sqlite:///"))
    return b"\n".join(part.read_bytes() for part in sorted(file.parent.glob(f"{file.name}*")))


def said(logged: pytest.LogCaptureFixture) -> str:
    """Return every log line, with what its arguments and its exception would show."""
    lines = [f"{one.getMessage()} {one.args!r} {one.exc_text or ''}" for one in logged.records]
    faults = ["".join(traceback.format_exception(*one.exc_info)) for one in logged.records if one.exc_info]
    return "\n".join([*lines, *faults, logged.text])


def told(world: World) -> str:
    """Return what an operator can read of everybody."""
    return "\n".join(f"{one}" for name in (ANN, "bob@example.test") for one in world.stories(name))


def assert_no_secret_is_to_be_seen(world: World, logged: pytest.LogCaptureFixture) -> None:
    database = written(world)
    assert ANN.encode() in database  # or else this looked at the wrong file
    for secret in (*CANARIES, LINK):
        assert secret.encode() not in database
        assert secret not in said(logged)
        assert secret not in told(world)
    assert "sandbox-dev-key" not in said(logged) + told(world)
    assert b"sandbox-dev-key" not in database


async def test_not_while_everything_goes_well(
    database_url: str, tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    async with a_world_full_of_canaries(database_url, tmp_path, Knobs(auto="grant")) as world:
        await world.run_to_the_end()

        assert world.standing().stages[Stage.completed] == 2
        assert_no_secret_is_to_be_seen(world, logged)


async def test_not_while_a_customer_is_waited_for(
    database_url: str, tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    async with a_world_full_of_canaries(database_url, tmp_path) as world:
        await world.run()

        (link,) = links(world.engine)
        shown = world.vault.open_value(link.sealed).get_secret_value()
        assert LINK in shown
        assert "canary-subdomain" in shown
        assert_no_secret_is_to_be_seen(world, logged)


async def test_not_when_alloy_refuses_a_value(
    database_url: str, tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    async with a_world_full_of_canaries(database_url, tmp_path, Knobs(verify_secret=True)) as world:
        await world.run_to_the_end()

        assert (world.story().hold, world.story().reason) == (HoldKind.operator, Reason.rejected)
        assert_no_secret_is_to_be_seen(world, logged)


@pytest.mark.parametrize("kind", ["drop_after", "err_after", "err_before", "html", "truncate", "empty", "429"])
async def test_not_when_a_call_with_secrets_fails(
    database_url: str, tmp_path: Path, logged: pytest.LogCaptureFixture, kind: FaultKind
) -> None:
    async with a_world_full_of_canaries(database_url, tmp_path) as world:
        for route in ("create_credential", "oauth_url"):
            world.sandbox.faults.add(Fault(kind=kind, route=route, retry_after_s=60))

        await world.run_to_the_end(patience=timedelta(minutes=2))

        assert all(struck for _, struck in world.sandbox.faults.struck())
        assert_no_secret_is_to_be_seen(world, logged)


@pytest.mark.parametrize("status", [400, 404, 500])
async def test_not_when_alloy_echoes_what_it_was_sent(
    database_url: str, tmp_path: Path, logged: pytest.LogCaptureFixture, status: int
) -> None:
    async with (
        a_world_full_of_canaries(database_url, tmp_path) as world,
        an_echoing_alloy(world, status),
    ):
        await world.run()

        standing = world.standing()
        assert standing.stages[Stage.created] == 2
        assert standing.moving == 0
        assert_no_secret_is_to_be_seen(world, logged)


@pytest.mark.parametrize("status", [401, 403])
async def test_not_in_the_exception_that_ends_a_run(
    database_url: str, tmp_path: Path, logged: pytest.LogCaptureFixture, status: int
) -> None:
    async with (
        a_world_full_of_canaries(database_url, tmp_path) as world,
        an_echoing_alloy(world, status),
    ):
        with pytest.raises(Halted) as halted:
            await world.run()

        shown = "".join(traceback.format_exception(halted.value)) + repr(halted.value)
        assert not [secret for secret in (*CANARIES, LINK, "sandbox-dev-key") if secret in shown]
        assert_no_secret_is_to_be_seen(world, logged)


async def test_not_when_the_api_key_is_wrong(
    database_url: str, tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    async with a_world_full_of_canaries(database_url, tmp_path) as world:
        world.api_key = SecretStr(API_KEY)

        with pytest.raises(Halted) as halted:
            await world.run()

        assert API_KEY not in "".join(traceback.format_exception(halted.value)) + repr(world.settings)
        assert_no_secret_is_to_be_seen(world, logged)


@asynccontextmanager
async def an_echoing_alloy(world: World, status: int) -> AsyncIterator[None]:
    """Stand before the local Alloy, and refuse every call with secrets in it by saying all that it carried."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        if request.path.startswith(("/headless/credentials", "/headless/oauthUrl")):
            echo = f"cannot take {body.decode()} {request.raw_path} {request.headers.get('Authorization')}"
            return web.json_response({"message": echo}, status=status)
        headers = {name: value for name, value in request.headers.items() if name != "Host"}
        url = world.sandbox.url + request.raw_path
        async with session.request(request.method, url, data=body, headers=headers) as passed_on:
            return web.Response(
                status=passed_on.status,
                body=await passed_on.read(),
                content_type=passed_on.content_type,
            )

    runner = web.ServerRunner(web.Server(answer, access_log=None), shutdown_timeout=0.2)
    async with aiohttp.ClientSession() as session:
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0][:2]
            world.address = f"http://{host}:{port}"
            yield
        finally:
            await runner.cleanup()
