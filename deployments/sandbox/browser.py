"""The end user's side: the consent page over HTTP. Needs no key, as the vendor's link needs none."""

from collections.abc import Callable
from urllib.parse import parse_qsl

from aiohttp import web

from deployments.sandbox.consent import Page, consent_page, decision_page
from deployments.sandbox.world import World


class Browser:
    """Answers `/api/strategy/{app}/authorize`."""

    def __init__(self, world: World, *, committed: Callable[[], None]) -> None:
        self._world = world
        self._committed = committed

    async def answer(self, request: web.BaseRequest, segments: list[str], query: dict[str, str]) -> web.StreamResponse:
        """Show the page, or take the decision."""
        if len(segments) != 2 or segments[1] != "authorize" or request.method not in ("GET", "POST"):
            return web.Response(status=404, text="There is no such page")
        raw = await request.read()
        world = self._world
        with world.lock:
            world.settle()
            if request.method == "GET":
                page = consent_page(world.desk, world.catalogue, world.knobs, app_name=segments[0], query=query)
            else:
                form = dict(parse_qsl(raw.decode(errors="replace")))
                page = decision_page(world.desk, world.catalogue, world.knobs, app_name=segments[0], form=form)
                world.writes += 1
        if request.method == "POST":
            self._committed()
        return _response(page)


def _response(page: Page) -> web.Response:
    return web.Response(status=page.status, body=page.html.encode(), headers=page.headers)
