"""An answer that comes just after the lease has run out is used, whatever becomes of the lease."""

from pathlib import Path

from sqlalchemy import update

from flows.moving import move_page
from flows.resources import Resources, open_resources
from states.stage import Stage
from store.engine import writing
from store.leases import claim
from store.models import ONBOARDING
from store.records import Page, Scope
from store.writes import Moved, Released
from tests.flows.meddling import Meddling
from tests.flows.world import World


def _page(world: World, resources: Resources) -> Page:
    page = claim(
        world.engine, Scope(), worker=resources.worker, limit=1, lease=resources.lease, now=resources.clock.now()
    )
    assert page is not None
    return page


async def test_an_answer_is_used_though_its_lease_ran_out_and_a_renewal_that_was_under_way_brought_it_back(
    database_url: str, tmp_path: Path
) -> None:
    async with World(database_url, tmp_path) as world:
        world.add()
        async with open_resources(world.settings, clock=world.clock) as resources:
            await move_page(_page(world, resources), resources)
            page = _page(world, resources)
            assert page.stage is Stage.created

            def run_out() -> None:
                world.clock.ahead += 2 * resources.lease

            def come_back() -> None:
                with writing(world.engine) as connection:
                    connection.execute(update(ONBOARDING).values(lease_until=world.clock.now() + resources.lease))

            inner = Meddling(resources.recorder, Released, before=come_back)
            resources.recorder = Meddling(inner, Moved, before=run_out)
            await move_page(page, resources)

        await world.run_to_the_end()

        assert world.story().stage is Stage.completed
        assert world.ledger().credentials_created == 1
