"""The forms that act, as links: each leads to the page on which a deployment is started, filled in with what is meant.

Prefect's pages know a deployment by its id alone, so the ids are asked for whenever a page is published. Where a
deployment is not registered nothing runs it, and the command stands alone. Nothing happens by following a link: every
form shows whom it would reach until it is told to act.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterName, FlowFilter, FlowFilterName

from flows.desk.markdown import link

FORMS = {
    "redrive": "redrive-onboardings",
    "cancel": "cancel-onboardings",
    "answer": "answer-everyone",
    "renew-links": "renew-consent-links",
    "review": "review-open-questions",
    "from-a-list": "onboard-customers",
    "every-five-minutes": "resume-onboardings",
    "customer-story": "show-customer",
    "batch-page": "show-batch",
}
"""The flow of each deployment that a page leads to."""

_WORDS = {"every-five-minutes": "resume", "from-a-list": "run a list"}
"""What a form is called where it is not by its deployment's name."""


@dataclass(frozen=True, slots=True)
class Forms:
    """The forms that there are, by the names of their deployments."""

    ids: Mapping[str, UUID] = field(default_factory=dict)

    def link(self, name: str, filled: Mapping[str, str] | None = None, *, words: str = "") -> str:
        """Return a link to a form in which ``filled`` stands already; nothing where there is no such form.

        It is safe in markdown whatever stands in it.
        """
        if name not in self.ids:
            return ""
        given = {parameter: value for parameter, value in (filled or {}).items() if value}
        asked = f"?parameters={quote(json.dumps(given, separators=(',', ':')), safe='')}" if given else ""
        return link(words or _WORDS.get(name, name), f"/v2/deployments/deployment/{self.ids[name]}/run{asked}")

    def links(self, *wanted: tuple[str, Mapping[str, str]], before: str = "") -> str:
        """Return links to those of ``wanted`` that there are, ``before`` ahead of them; nothing without any."""
        found = ", ".join(filter(None, (self.link(name, filled) for name, filled in wanted)))
        return f"{before}{found}" if found else ""


NO_FORMS = Forms()


async def registered_forms(client: PrefectClient) -> Forms:
    """Return the forms that Prefect has registered. Raises what Prefect's client does."""
    found = await client.read_deployments(
        flow_filter=FlowFilter(name=FlowFilterName(any_=list(FORMS.values()))),
        deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=list(FORMS))),
    )
    return Forms({one.name: one.id for one in found})
