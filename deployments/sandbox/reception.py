"""Before an endpoint is reached: whose key is it, which version, which route, what body.

Each step either passes or refuses; none changes anything.
"""

import json
import re
from urllib.parse import parse_qsl, unquote

from deployments.sandbox.knobs import KeyName, Knobs
from deployments.sandbox.refusal import Refused
from deployments.sandbox.routes import Resource, Route, find_route

VERSIONS = frozenset({"2023-01", "2023-06", "2023-12", "2024-03", "2024-07", "2025-09"})
_VERSION = re.compile(r"\d{4}-\d{2}")


def read_target(target: str) -> tuple[list[str], dict[str, str]]:
    """Split a request target into decoded path segments and query values.

    Segments are split before they are decoded, so that a username may contain a slash.
    """
    path, _, query = target.partition("?")
    segments = path.removeprefix("/").removesuffix("/").split("/")
    decoded = [unquote(segment) if "%" in segment else segment for segment in segments]
    return decoded, dict(parse_qsl(query, keep_blank_values=True)) if query else {}


def admit(header: str | None, keys: dict[str, KeyName], knobs: Knobs, warnings: list[str]) -> KeyName:
    """Return the space that a key opens, or refuse it."""
    scheme, _, key = (header or "").strip().rpartition(" ")
    name = keys.get(key)
    if name is None or scheme.strip().lower() not in ("bearer", ""):
        raise Refused(401, "Unauthorized")
    if not scheme:
        if not knobs.accepts_raw_key:
            raise Refused(401, "Unauthorized")
        warnings.append("key sent without Bearer")
    if name in knobs.revoked_keys:
        raise Refused(401, "Unauthorized")
    if name in knobs.forbidden_keys:
        raise Refused(403, "Forbidden")
    return name


def strip_version(segments: list[str], header: str | None, knobs: Knobs) -> list[str]:
    """Return the path without its version, or refuse an unknown or missing version."""
    prefix = segments[0] if _VERSION.fullmatch(segments[0]) else None
    for version in (prefix, header):
        if version is not None and version not in VERSIONS:
            raise Refused(400, "Unknown API version")
    if knobs.strict and prefix is None and header is None:
        raise Refused(400, "x-api-version is required")
    return segments[1:] if prefix is not None else segments


def choose_route(method: str, segments: list[str], knobs: Knobs) -> tuple[Route, dict[str, str]]:
    """Return the endpoint and its path parameters, or refuse: there is no such route, or not with this method."""
    found = find_route(method, segments, _absent(knobs))
    if isinstance(found, tuple):
        return found
    raise Refused(405 if found else 404, "Method not allowed" if found else "Not found")


def read_body(raw: bytes, route: Route, knobs: Knobs, warnings: list[str]) -> dict[str, object]:
    """Return the JSON object that was sent; nothing at all counts as an empty one. The content type is not asked."""
    if not raw:
        return {}
    try:
        body = json.loads(raw)
    except ValueError:
        raise Refused(400, "Body is not valid JSON") from None
    if not isinstance(body, dict):
        raise Refused(400, "Body must be a JSON object")
    note_unknown(body.keys() - route.body, knobs, warnings)
    return body


def note_unknown(names: set[str], knobs: Knobs, warnings: list[str]) -> None:
    """Refuse or note fields that no document knows."""
    if names and knobs.reject_unknown:
        raise Refused(400, f"Unknown field: {min(names)}")
    warnings.extend(f"unknown field {name}" for name in sorted(names))


def _absent(knobs: Knobs) -> frozenset[Resource]:
    absent: set[Resource] = set()
    if not knobs.users_batch:
        absent.add("users/batch")
    if not knobs.installations_resource:
        absent.add("installations")
    if knobs.credentials_route == "users":
        absent.add("credentials/users")
    if knobs.credentials_route == "credentials":
        absent.add("users/credentials")
    return frozenset(absent)
