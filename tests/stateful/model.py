"""The small model: what one onboarding is, in a dozen facts, and where a run must bring it.

It knows nothing of leases, intents, pages or clocks. Where it says less than the real thing, which is while a process
may have died half-way, it says so: then the truth lies between where an onboarding stood and where a run brings it.
"""

from dataclasses import dataclass

from states.holds import HoldKind, Reason
from states.stage import Stage
from tests.flows.world import KLAVIYO, NETSUITE, SHOPIFY

ANN, BOB = "ann@example.test", "bob@example.test"
CUSTOMERS = (ANN, BOB)
INTEGRATIONS = (KLAVIYO, SHOPIFY, NETSUITE)
VARIANTS = ("one", "two")
"""Of auth values: what a list brings at first, and what an edited one does."""

PROPERTIES = {
    KLAVIYO: ("apiKey",),
    SHOPIFY: ("shopSubdomain",),
    NETSUITE: ("realm", "consumerKey", "consumerSecret", "tokenId", "tokenSecret"),
}
ASKED = "customerEmail"
"""The one question that NetSuite's form has; the others ask nothing."""

ORDER = list(Stage)
_NEEDS_CREDENTIAL = (Stage.new, Stage.created)

Place = tuple[Stage, HoldKind | None, Reason | None]


def auth_of(integration: str, variant: str) -> dict[str, str]:
    """Return the auth values that a list brings."""
    return {name: f"{variant}-{name}".lower() for name in PROPERTIES[integration]}


@dataclass(slots=True)
class Onboarding:
    """One customer and one integration, as the model sees them."""

    username: str
    integration: str
    variant: str
    given: str | None
    answered: str | None = None
    stage: Stage = Stage.new
    cancelled: bool = False
    sealed: bool = True
    """The auth values are there; they go when it is cancelled, and when there is a credential."""
    consented: bool = False
    certain: bool = True
    """Nothing may have died half-way since a run went to its end."""

    @property
    def answer(self) -> str | None:
        """What the form is filled in with: what was answered by hand comes before what the list says."""
        return self.answered or self.given

    @property
    def under_way(self) -> bool:
        """Neither completed nor cancelled."""
        return not self.cancelled and self.stage is not Stage.completed

    @property
    def wants_values(self) -> bool:
        """A list may still bring other auth values for it, or those that were deleted."""
        return self.stage in _NEEDS_CREDENTIAL and not self.cancelled

    def reach(self) -> Place:
        """Return where a run brings it, once everything has been looked at."""
        if self.cancelled and self.stage is not Stage.completed:
            return self.stage, HoldKind.cancelled, Reason.cancelled
        if self.stage in _NEEDS_CREDENTIAL:
            if self.integration == SHOPIFY and not self.consented and self.sealed:
                return Stage.created, HoldKind.customer, Reason.awaiting_consent
            if not self.sealed and not self.consented:
                return Stage.created, HoldKind.operator, Reason.missing_auth
        if self.integration == NETSUITE and self.answer is None and self.stage is not Stage.completed:
            return Stage.installing, HoldKind.customer, Reason.awaiting_answer
        return Stage.completed, None, None

    def cancel(self) -> None:
        """End it, wherever it stands."""
        self.cancelled = True
        if self.stage in _NEEDS_CREDENTIAL:
            self.sealed = False

    def stand_at(self, stage: Stage) -> None:
        """Note how far it is."""
        self.stage = stage
        if stage not in _NEEDS_CREDENTIAL:
            self.sealed = False
        if stage is Stage.completed:
            self.cancelled = False

    def take(self, variant: str, given: str | None) -> None:
        """Take over what a list says of it now."""
        if self.stage in _NEEDS_CREDENTIAL:
            self.consented = self.consented and variant == self.variant
            self.variant, self.sealed = variant, True
        self.given = given

    def on_the_same_list_again(self, variant: str, given: str | None) -> str:
        """Say what becomes of a row about it: ``unchanged``, ``updated`` or ``refused``."""
        if self.stage in _NEEDS_CREDENTIAL:
            other_auth = variant != self.variant or not (self.sealed or self.cancelled)
        else:
            other_auth = variant != self.variant and self.stage is not Stage.completed
        if not other_auth and given == self.given:
            return "unchanged"
        late = (other_auth and self.stage not in _NEEDS_CREDENTIAL) or self.stage is Stage.completed
        return "refused" if self.cancelled or late else "updated"
