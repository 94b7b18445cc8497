"""What the apps of an account ask for: nothing is concluded from what an answer does not say, nor kept for ever."""

from pathlib import Path
from threading import get_ident

import pytest
from sqlalchemy import event

from deployments.sandbox.knobs import Knobs
from flows.receive import ListRefused, receive_customer, receive_list
from flows.resources import open_resources
from states.holds import HoldKind, Reason
from states.stage import Stage
from store.catalogue import AppEntry, load, save_app
from tests.flows.editing import editing, without
from tests.flows.world import HUBSPOT_CONTACTS, HUBSPOT_DEALS, SHOPIFY, World, of

ANN = "ann@example.test"
SHOP = {"shopSubdomain": "ann-shop"}
METADATA = "GET /metadata/credentials/"


def nulled(answer: dict[str, dict[str, object]], number: int) -> object:
    return answer if number > 1 else {"data": {**answer["data"], "isOauth": None}}


@pytest.mark.parametrize("edit", [without("isOauth", until=1), nulled], ids=["absent", "null"])
async def test_metadata_that_do_not_say_how_an_app_is_connected_are_asked_for_again(
    database_url: str, tmp_path: Path, edit: object
) -> None:
    async with World(database_url, tmp_path, knobs=Knobs(allow_token_import=True)) as world:
        world.carried_by = editing(**{METADATA: edit})  # type: ignore[dict-item]  # parametrize knows no types
        world.add(integration=SHOPIFY, auth=SHOP)

        await world.run()

        told = world.story()
        assert (told.stage, told.hold, told.reason) == (Stage.created, HoldKind.customer, Reason.awaiting_consent)
        assert len(world.sandbox.requests.of("oauth_url")) == 1
        assert world.sandbox.requests.of("create_credential") == []


async def test_a_mistake_about_an_app_that_was_kept_is_mended_by_the_next_list(
    database_url: str, tmp_path: Path
) -> None:
    async with World(database_url, tmp_path) as world:
        world.sandbox.account.add_user(ANN, None)
        save_app(world.engine, AppEntry("shopify", is_oauth=False, properties=("shopSubdomain",)), world.clock.now())

        listed = tmp_path / "list.csv"
        listed.write_text(f"username,integration,auth.shopSubdomain\n{ANN},{of(ANN, SHOPIFY)[1]},ann-shop\n")

        async with open_resources(world.settings, clock=world.clock) as resources:
            await receive_list(resources, listed, "spring")

        assert load(world.engine).apps["shopify"].is_oauth


async def test_a_run_asks_once_what_an_app_needs_however_many_of_its_integrations_a_list_names(
    database_url: str, tmp_path: Path
) -> None:
    async with World(database_url, tmp_path) as world:
        world.sandbox.account.add_user(ANN, None)
        listed = tmp_path / "list.csv"
        listed.write_text(
            "username,integration\n"
            f"{ANN},{HUBSPOT_CONTACTS}\nbob@example.test,{HUBSPOT_DEALS}\ncay@example.test,{HUBSPOT_DEALS}\n"
        )

        async with open_resources(world.settings, clock=world.clock) as resources:
            await receive_list(resources, listed, "spring")
            await world.loop(resources).run()

        assert len(world.sandbox.requests.of("get_metadata")) == 1


async def test_one_customer_is_taken_in_without_a_word_to_the_database_in_the_event_loop(
    database_url: str, tmp_path: Path
) -> None:
    async with World(database_url, tmp_path) as world:
        world.sandbox.account.add_user(ANN, None)
        asked_by: set[int] = set()

        def note(*_of_a_statement: object) -> None:
            asked_by.add(get_ident())

        async with open_resources(world.settings, clock=world.clock) as resources:
            event.listen(resources.engine, "before_cursor_execute", note)
            with pytest.raises(ListRefused):
                await receive_customer(resources, "bob@example.test", of(ANN, SHOPIFY)[1])
            await receive_customer(resources, ANN, HUBSPOT_CONTACTS)

        assert asked_by
        assert get_ident() not in asked_by
