"""The back door for tests that run the sandbox in another process. Closed unless a token was given.

It hangs under `/_sandbox/`, which no API path can be, and wants a token that is no API key.
"""

import hmac
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass

from aiohttp import web
from pydantic import TypeAdapter, ValidationError

from deployments.sandbox.catalogue import Catalogue
from deployments.sandbox.faults import Fault
from deployments.sandbox.knobs import KeyName, Knobs
from deployments.sandbox.persistence import snapshot_json
from deployments.sandbox.refusal import Refused
from deployments.sandbox.world import World


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Who decides about what. Without properties: what they were last asked."""

    user: str
    app: str
    properties: dict[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class Step:
    """How far to advance a manual clock."""

    advance_ms: int


_KNOBS = TypeAdapter(Knobs)
_FAULTS = TypeAdapter(list[Fault])
_FAULT = TypeAdapter(Fault)
_CATALOGUE = TypeAdapter(Catalogue)
_DECISION = TypeAdapter(Decision)
_STEP = TypeAdapter(Step)
_SPACE: TypeAdapter[KeyName] = TypeAdapter(KeyName)


class Admin:
    """Answers `/_sandbox/...`."""

    def __init__(self, world: World, token: str | None) -> None:
        self._world = world
        self._token = token
        self._routes: dict[tuple[str, str], Callable[[object, dict[str, str]], object]] = {
            ("POST", "reset"): self._reset,
            ("GET", "fixtures"): self._get_fixtures,
            ("POST", "fixtures"): self._load_fixtures,
            ("GET", "state"): self._state,
            ("GET", "ledger"): self._ledger,
            ("GET", "requests"): self._requests,
            ("GET", "knobs"): self._get_knobs,
            ("PUT", "knobs"): self._turn_knobs,
            ("GET", "faults"): self._get_faults,
            ("POST", "faults"): self._add_faults,
            ("DELETE", "faults"): self._clear_faults,
            ("POST", "grant"): self._grant,
            ("POST", "deny"): self._deny,
            ("POST", "clock"): self._advance,
        }

    @property
    def is_open(self) -> bool:
        """Whether there is an admin interface at all."""
        return self._token is not None

    async def answer(self, request: web.BaseRequest, segments: list[str], query: dict[str, str]) -> web.StreamResponse:
        """Answer one request of a test."""
        raw = await request.read()
        try:
            self._admit(request.headers.get("Authorization", ""))
            verb = self._routes.get((request.method, "/".join(segments)))
            if verb is None:
                raise Refused(404, "There is no such admin route")
            answer = verb(json.loads(raw) if raw else {}, query)
        except Refused as refused:
            return web.json_response({"message": refused.message}, status=refused.status)
        except ValidationError as error:
            return web.json_response({"message": str(error)}, status=400)
        except ValueError:
            return web.json_response({"message": "Body is not valid JSON"}, status=400)
        if isinstance(answer, bytes):
            return web.Response(body=answer, content_type="application/json")
        return web.json_response(answer)

    def _admit(self, header: str) -> None:
        scheme, _, token = header.partition(" ")
        known = (self._token or "").encode()
        if scheme.lower() != "bearer" or not hmac.compare_digest(token.encode(), known):
            raise Refused(401, "Wrong admin token")

    def _reset(self, _body: object, _query: dict[str, str]) -> object:
        self._world.reset()
        return {}

    def _get_fixtures(self, _body: object, _query: dict[str, str]) -> object:
        return _CATALOGUE.dump_python(self._world.catalogue, mode="json")

    def _load_fixtures(self, body: object, _query: dict[str, str]) -> object:
        self._world.catalogue = _CATALOGUE.validate_python(body)
        return {}

    def _state(self, _body: object, _query: dict[str, str]) -> object:
        self._world.settle()
        with self._world.lock:
            return snapshot_json(self._world)

    def _ledger(self, _body: object, query: dict[str, str]) -> object:
        return self._world.ledger(_SPACE.validate_python(query.get("space", "dev"))).as_json()

    def _requests(self, _body: object, query: dict[str, str]) -> object:
        log = self._world.requests
        route = query.get("route")
        return {
            "total": log.total,
            "by_route": dict(log.by_route),
            "peak_in_flight": log.peak_in_flight,
            "records": [asdict(one) for one in log if route in (None, one.route)],
        }

    def _get_knobs(self, _body: object, _query: dict[str, str]) -> object:
        return _KNOBS.dump_python(self._world.knobs, mode="json")

    def _turn_knobs(self, body: object, query: dict[str, str]) -> object:
        """Change the knobs that are named; the others stay."""
        if not isinstance(body, dict):
            raise Refused(400, "Body must be a JSON object")
        now = _KNOBS.dump_python(self._world.knobs, mode="json")
        self._world.knobs = _KNOBS.validate_python({**now, **body})
        return self._get_knobs(body, query)

    def _get_faults(self, _body: object, _query: dict[str, str]) -> object:
        return [
            {**_FAULT.dump_python(fault, mode="json"), "struck": struck}
            for fault, struck in self._world.faults.struck()
        ]

    def _add_faults(self, body: object, query: dict[str, str]) -> object:
        """Set one fault, or a list of them."""
        self._world.faults.add(*_FAULTS.validate_python(body if isinstance(body, list) else [body]))
        return self._get_faults(body, query)

    def _clear_faults(self, _body: object, _query: dict[str, str]) -> object:
        self._world.faults.clear()
        return []

    def _grant(self, body: object, _query: dict[str, str]) -> object:
        decision = _DECISION.validate_python(body)
        credential = self._world.grant(decision.user, decision.app, decision.properties)
        return {"credentialId": credential.credential_id}

    def _deny(self, body: object, _query: dict[str, str]) -> object:
        decision = _DECISION.validate_python(body)
        self._world.deny(decision.user, decision.app, decision.properties)
        return {}

    def _advance(self, body: object, _query: dict[str, str]) -> object:
        return {"now": self._world.advance(_STEP.validate_python(body).advance_ms)}
