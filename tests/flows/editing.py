"""A line to the local Alloy on which chosen answers are changed: what Alloy does is done, what we hear of it is not."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx

from flows.alloy.transport import AiohttpTransport

Edit = Callable[[Any, int], Any]
"""Gets an answer, and how many of its kind there were with it; returns what is heard instead."""


class Editing(httpx.AsyncBaseTransport):
    """Carries calls, and changes what is answered under the paths that ``edits`` begin with; counts them over runs."""

    def __init__(self, edits: dict[str, Edit], heard: Counter[str]) -> None:
        self._inner = AiohttpTransport(secure=False)
        self._edits = edits
        self._heard = heard

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        asked = f"{request.method} {request.url.path}"
        found = next((path for path in self._edits if asked.startswith(path)), None)
        if found is None or not response.is_success:
            return response
        self._heard[found] += 1
        heard = self._edits[found](json.loads(response.content), self._heard[found])
        return httpx.Response(response.status_code, json=heard, request=request)

    async def aclose(self) -> None:
        await self._inner.aclose()


def editing(**edits: Edit) -> Callable[[], Editing]:
    """Return what makes such a line for each run: ``editing(**{"GET /metadata": edit})``."""
    heard: Counter[str] = Counter()
    return lambda: Editing(edits, heard)


def without(*names: str, until: int | None = None) -> Edit:
    """Take these keys out of an answer, at whatever level they stand; of the first ``until`` answers only."""

    def edit(answer: Any, number: int) -> Any:
        return answer if until is not None and number > until else _without(answer, names)

    return edit


def _without(answer: Any, names: tuple[str, ...]) -> Any:
    if isinstance(answer, dict):
        return {name: _without(value, names) for name, value in answer.items() if name not in names}
    return [_without(one, names) for one in answer] if isinstance(answer, list) else answer
