"""Lists lag: "not there" is believed when it was seen twice, some seconds apart, after the call was over."""

from datetime import timedelta
from pathlib import Path

from deployments.sandbox.faults import Fault
from states.stage import Stage
from tests.flows.world import World

ANN = "ann@example.test"
AN_HOUR = 3_600_000.0


async def test_a_credential_that_shows_only_at_the_second_look_is_adopted(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        world.sandbox.account.add_user(ANN, None)
        world.clock.ahead += timedelta(hours=2)
        world.add()
        world.sandbox.faults.add(
            Fault(kind="drop_after", route="create_credential"),
            # It is asked before the call, while the call may be under way, after that, and some seconds later.
            Fault(kind="slow_list", route="list_credentials", nth=2, count=2, delay_ms=AN_HOUR),
        )

        await world.run_to_the_end()

        assert world.ledger().credentials_created == 1
        assert world.story().stage is Stage.completed
        assert len(world.sandbox.requests.of("list_credentials")) == 4
