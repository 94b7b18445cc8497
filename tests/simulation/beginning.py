"""How things stand when a seed begins: who is at Alloy already, and the list."""

from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Engine

from store.intake.take_in import take_in
from store.lists.rows import CustomerRow, RawRow, build_row
from store.vault import Vault
from tests.simulation.alloy import SimulatedAlloy
from tests.simulation.plan import Person, Plan, Wish
from tests.simulation.worker import VAULT_KEY, Surroundings


@dataclass
class Beginning:
    """What there was at Alloy before us."""

    credentials: set[str] = field(default_factory=set)
    installations: set[str] = field(default_factory=set)


def begin(plan: Plan, alloy: SimulatedAlloy) -> Beginning:
    """Let those be at Alloy who were there before us."""
    beginning = Beginning()
    account, catalogue = alloy.account, alloy.world.catalogue
    for person in plan.people:
        if not person.was_there:
            continue
        user = account.add_user(person.username, "somebody else's words")
        if not person.had_credential:
            continue
        wish = person.onboardings[0]
        # With the same values: of a consent that is given again Alloy may renew the credential that there is.
        made = account.add_credential(user, connector=wish.offer.app, name="before us", data=wish.auth)
        made.by_consent = wish.offer.is_oauth
        beginning.credentials.add(made.credential_id)
        if not person.had_installation:
            continue
        integration = catalogue.integration(wish.offer.integration_id)
        assert integration is not None
        installation = account.add_installation(
            user,
            integration_id=integration.integration_id,
            workflow_versions={one.workflow_id: one.version for one in integration.workflows},
            credential_ids={wish.offer.app: made.credential_id},
            form=[],
        )
        account.complete_installation(installation, [])
        beginning.installations.add(installation.installation_id)
    return beginning


def hand_in(plan: Plan, engine: Engine, around: Surroundings) -> None:
    """Take the list in."""
    rows = [_row(line, person, wish) for line, (person, wish) in enumerate(_wishes(plan), start=2)]
    take_in(
        engine, "list", rows, source="list.csv", templates=None, catalogue=None,
        vault=Vault.open(VAULT_KEY, around.home), now=around.now(),
    )  # fmt: skip


def _wishes(plan: Plan) -> list[tuple[Person, Wish]]:
    return [(person, wish) for person in plan.people for wish in person.onboardings]


def _row(line: int, person: Person, wish: Wish) -> CustomerRow:
    cells = {"username": person.username, "full_name": person.full_name, "integration": wish.offer.integration_id}
    cells |= {f"auth.{name}": value for name, value in wish.auth.items()}
    if wish.brings_answers:
        cells |= {f"map.{name}": value for name, value in wish.offer.answers.items()}
    row = build_row(RawRow(line, cells), Path())
    assert isinstance(row, CustomerRow), row
    return row
