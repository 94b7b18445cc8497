"""What may be left behind at Alloy is listed with all that is known of it, and never deleted."""

from pathlib import Path

from deployments.sandbox.faults import Fault
from deployments.sandbox.knobs import Knobs
from states.stage import Stage, Trigger
from store.journal import Closing
from store.views import leftovers
from tests.flows.world import KLAVIYO, World, of

ANN = "ann@example.test"


async def test_a_start_that_cannot_be_found_again_is_listed_with_whose_it_was_and_when(
    database_url: str, tmp_path: Path
) -> None:
    async with World(database_url, tmp_path, knobs=Knobs(installations_resource=False)) as world:
        world.add()
        world.add("bo@example.test")
        world.sandbox.faults.add(Fault(kind="drop_after", route="start_installation", user=ANN))
        before = world.clock.now()

        await world.run_to_the_end()

        [left] = leftovers(world.engine)
        assert (left.username, left.integration, left.batch) == (ANN, KLAVIYO, "spring")
        assert (left.trigger, left.outcome) == (Trigger.start_installation, Closing.leftover)
        assert left.alloy_user_id == world.ledger().users_of[ANN]
        assert before <= left.called_at <= world.clock.now()
        assert left.installation_id == world.story().installation_id


async def test_what_is_listed_is_still_there_and_is_not_what_is_used(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path, knobs=Knobs(installations_resource=False)) as world:
        world.add()
        world.sandbox.faults.add(Fault(kind="drop_after", route="start_installation"))

        await world.run_to_the_end()

        [left], ledger = leftovers(world.engine), world.ledger()
        assert world.story().stage is Stage.completed
        assert left.installation_id in ledger.enabled[of(ANN, KLAVIYO)]
        assert left.installation_id not in ledger.started[of(ANN, KLAVIYO)]
        assert len(ledger.started[of(ANN, KLAVIYO)]) == world.standing().leftovers == 1


async def test_what_was_found_again_is_no_leftover(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        world.add()
        world.sandbox.faults.add(Fault(kind="drop_after", route="start_installation"))

        await world.run_to_the_end()

        assert leftovers(world.engine) == []
