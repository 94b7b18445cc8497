"""The admin interface from the other side: for tests whose sandbox runs in another process.

Only the standard library, and synchronous: whoever uses it has killed or is about to kill something.
"""

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from pydantic import TypeAdapter

from deployments.sandbox.catalogue import Catalogue
from deployments.sandbox.faults import Fault
from deployments.sandbox.knobs import KeyName, Knobs
from deployments.sandbox.ledger import Ledger
from deployments.sandbox.request_log import RequestRecord

_OBJECT = TypeAdapter(dict[str, object])
_KNOBS = TypeAdapter(Knobs)
_CATALOGUE = TypeAdapter(Catalogue)
_FAULT = TypeAdapter(Fault)
_RECORDS = TypeAdapter(list[RequestRecord])


class ControlRefused(Exception):
    """The sandbox did not do what it was told: a status and its sentence."""


@dataclass(frozen=True)
class SandboxControl:
    """Talks to one sandbox's `/_sandbox/`."""

    url: str
    token: str
    timeout_s: float = 10

    def reset(self) -> None:
        """Empty the spaces, take faults out, turn the knobs back, forget the requests."""
        self._call("POST", "reset")

    def fixtures(self) -> Catalogue:
        """Return the catalogue."""
        return _CATALOGUE.validate_python(self._call("GET", "fixtures"))

    def load_fixtures(self, catalogue: Catalogue) -> None:
        """Replace the catalogue."""
        self._call("POST", "fixtures", _CATALOGUE.dump_python(catalogue, mode="json"))

    def state(self) -> dict[str, object]:
        """Return the whole state, as it would be saved."""
        return _OBJECT.validate_python(self._call("GET", "state"))

    def ledger(self, space: KeyName = "dev") -> Ledger:
        """Count a space as it stands."""
        return Ledger.from_json(_OBJECT.validate_python(self._call("GET", f"ledger?{urlencode({'space': space})}")))

    def requests(self, route: str | None = None) -> list[RequestRecord]:
        """Return the request log, or one endpoint's part of it."""
        query = urlencode({"route": route}) if route is not None else ""
        answer = _OBJECT.validate_python(self._call("GET", f"requests?{query}"))
        return _RECORDS.validate_python(answer["records"])

    def knobs(self) -> Knobs:
        """Return the knobs."""
        return _KNOBS.validate_python(self._call("GET", "knobs"))

    def turn(self, **knobs: object) -> Knobs:
        """Turn the named knobs; the others stay."""
        return _KNOBS.validate_python(self._call("PUT", "knobs", knobs))

    def add_fault(self, *faults: Fault) -> None:
        """Set faults."""
        self._call("POST", "faults", [_FAULT.dump_python(fault, mode="json") for fault in faults])

    def clear_faults(self) -> None:
        """Take all faults out."""
        self._call("DELETE", "faults")

    def grant(self, user: str, app: str, properties: Mapping[str, str] | None = None) -> str:
        """Let a user grant what they were last asked, or what `properties` say; return the credential's id."""
        answer = self._call("POST", "grant", {"user": user, "app": app, "properties": properties})
        return str(_OBJECT.validate_python(answer)["credentialId"])

    def deny(self, user: str, app: str, properties: Mapping[str, str] | None = None) -> None:
        """Let a user decline."""
        self._call("POST", "deny", {"user": user, "app": app, "properties": properties})

    def advance(self, milliseconds: int) -> None:
        """Advance the clock, which must be a manual one."""
        self._call("POST", "clock", {"advance_ms": milliseconds})

    def _call(self, method: str, path: str, body: object = None) -> object:
        address = urlsplit(self.url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=self.timeout_s)
        try:
            connection.request(
                method,
                f"/_sandbox/{path}",
                body=None if body is None else json.dumps(body),
                headers={"Authorization": f"Bearer {self.token}"},
            )
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
        if response.status != http.HTTPStatus.OK:
            raise ControlRefused(f"{method} {path.partition('?')[0]}: {response.status} {text.decode()}")
        answer: object = json.loads(text)
        return answer
