"""Whether Alloy tells usernames apart as we do is documented nowhere; where it does not, two customers are one user."""

from pathlib import Path

import pytest

from deployments.sandbox.knobs import Knobs
from states.holds import HoldKind, Reason
from states.stage import Stage
from store.desk import Chosen, redrive
from store.erasing import erase
from store.views import OnboardingStory
from tests.flows.world import KLAVIYO, World, of

ANN, SHOUTED = "ann@x", "ANN@x"


def folding(dup_user: int = 409) -> Knobs:
    return Knobs(fold_username_case=True, dup_user=dup_user)  # type: ignore[arg-type]


def both(world: World) -> list[OnboardingStory]:
    """The two customers' onboardings: who was completed, then the other."""
    return sorted((world.story(ANN), world.story(SHOUTED)), key=lambda told: told.stage is not Stage.completed)


def live(world: World) -> list[str]:
    return [one for ids in world.ledger().completed.values() for one in ids]


@pytest.mark.parametrize("dup_user", [409, 200])
async def test_of_two_customers_who_are_one_user_at_alloy_the_second_is_left_to_an_operator(
    database_url: str, tmp_path: Path, dup_user: int
) -> None:
    async with World(database_url, tmp_path, knobs=folding(dup_user)) as world:
        world.add(ANN)
        world.add(SHOUTED)

        await world.run_to_the_end()

        first, second = both(world)
        assert first.stage is Stage.completed
        assert (second.stage, second.hold, second.reason) == (
            Stage.new, HoldKind.operator, Reason.user_of_another_customer,
        )  # fmt: skip
        assert live(world) == [first.installation_id]


async def test_the_second_is_held_again_for_as_long_as_the_first_is_on_record(
    database_url: str, tmp_path: Path
) -> None:
    async with World(database_url, tmp_path, knobs=folding()) as world:
        world.add(ANN)
        await world.run_to_the_end()
        world.add(SHOUTED)
        await world.run_to_the_end()

        redrive(world.engine, Chosen(username=SHOUTED), by="a test", now=world.clock.now())
        await world.run_to_the_end()

        assert world.story(SHOUTED).reason is Reason.user_of_another_customer
        assert len(live(world)) == 1


async def test_the_second_goes_on_once_the_first_was_erased(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path, knobs=folding()) as world:
        world.add(ANN, integration=KLAVIYO)
        await world.run()
        world.add(SHOUTED, integration="netsuite", auth={}, answers={"customerEmail": "a@b.test"})
        await world.run()
        erase(world.engine, ANN, now=world.clock.now())

        redrive(world.engine, Chosen(username=SHOUTED), by="a test", now=world.clock.now())
        await world.run_to_the_end()

        assert world.story(SHOUTED).stage is Stage.created


async def test_where_alloy_tells_them_apart_they_are_two_people(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        world.add(ANN)
        world.add(SHOUTED)

        await world.run_to_the_end()

        assert world.ledger().users == 2
        assert [len(world.ledger().completed[of(name, KLAVIYO)]) for name in (ANN, SHOUTED)] == [1, 1]
