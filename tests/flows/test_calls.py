"""What a list costs in calls, route by route: nothing is asked twice that need not be."""

from collections import Counter
from pathlib import Path

from flows.receive import receive_list
from flows.resources import open_resources
from states.holds import Reason
from states.stage import Stage
from tests.flows.whole_pages import WholePages
from tests.flows.world import KLAVIYO, World, of

MAGENTO = "Magento 2"
SHOP = {"storeUrl": "https://shop.test", "accessToken": "canary-token"}


def calls(world: World) -> Counter[str]:
    return Counter(request.route for request in world.sandbox.requests)


async def test_fifty_customers_of_two_integrations_cost_five_calls_each_and_five_for_all(
    database_url: str, tmp_path: Path
) -> None:
    async with World(database_url, tmp_path) as world:
        world.pages, world.concurrency = WholePages, 30
        for number in range(25):
            world.add(f"ann{number}@example.test", KLAVIYO)
            world.add(f"bob{number}@example.test", MAGENTO, auth=SHOP)

        await world.run_to_the_end()

        assert world.standing().stages[Stage.completed] == 50
        assert calls(world) == {
            "create_users": 1, "list_users": 1, "list_integrations": 1, "get_metadata": 2,
            "list_credentials": 50, "create_credential": 50, "start_installation": 50,
            "complete_installation": 50, "get_integration": 50,
        }  # fmt: skip


async def test_created_one_by_one_they_cost_six_each(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        for number in range(10):
            world.add(f"ann{number}@example.test", KLAVIYO)

        await world.run_to_the_end()

        assert calls(world).total() == 6 * 10 + 2


async def test_a_list_that_was_checked_is_brought_to_the_end_without_asking_again_what_its_apps_need(
    database_url: str, tmp_path: Path
) -> None:
    async with World(database_url, tmp_path) as world:
        world.sandbox.account.add_user("somebody", None)
        rows = [f"ann{number},{of('', KLAVIYO)[1]},canary" for number in range(5)]
        (tmp_path / "list.csv").write_text("\n".join(["username,integration,auth.apiKey", *rows]))
        async with open_resources(world.settings, clock=world.clock) as resources:
            await receive_list(resources, tmp_path / "list.csv", "spring")
        asked = calls(world)

        await world.run_to_the_end()

        assert asked == {"list_users": 1, "list_integrations": 1, "get_metadata": 1}
        assert calls(world).total() - asked.total() == 6 * 5


async def test_an_integration_that_the_account_does_not_have_is_looked_for_once_however_many_name_it(
    database_url: str, tmp_path: Path
) -> None:
    async with World(database_url, tmp_path) as world:
        for number in range(8):
            world.add(f"ann{number}@example.test", "no such thing")

        await world.run()

        assert {world.story(f"ann{number}@example.test").reason for number in range(8)} == {Reason.unknown_integration}
        assert calls(world)["list_integrations"] == 1
