"""The key that seals is rotated, lost and found again: what needs a sealed value stands still, and nothing crashes."""

from pathlib import Path

import pytest

from deployments.sandbox.faults import Fault
from states.holds import HoldKind, Reason
from states.stage import Stage
from store.cancelling import cancel
from store.choosing import Chosen
from store.desk import redrive
from store.vault import KEY_FILE
from tests.flows.world import KLAVIYO, SHOPIFY, World, of

ANN = "ann@example.test"
BOB = "bob@example.test"
SHOP = {"shopSubdomain": "ann-shop"}


def key_of(world: World) -> str:
    return (world.home / KEY_FILE).read_text().strip()


def change_key(world: World, text: str | None = None) -> None:
    """Put another key into the file; without one the file is gone, and the next process makes a new key."""
    (world.home / KEY_FILE).unlink()
    if text is not None:
        (world.home / KEY_FILE).touch(mode=0o600)
        (world.home / KEY_FILE).write_text(text)


async def test_a_lost_key_holds_those_who_need_it_for_an_operator(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        world.add(ANN), world.add(BOB)
        change_key(world)

        await world.run_to_the_end()

        for username in (ANN, BOB):
            held = world.story(username)
            assert (held.stage, held.hold, held.reason) == (Stage.created, HoldKind.operator, Reason.sealed_value_lost)
            assert "restore ONBOARD_SECRET_KEY" in (held.sentence or "")
        assert world.ledger().credentials_created == 0


async def test_with_the_key_found_again_everybody_goes_on(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        world.add(ANN)
        key = key_of(world)
        change_key(world)
        await world.run_to_the_end()
        change_key(world, key)
        redrive(world.engine, Chosen(reason=Reason.sealed_value_lost), by="ops", now=world.clock.now())

        await world.run_to_the_end()

        assert world.story(ANN).stage is Stage.completed


async def test_a_new_key_before_the_old_one_opens_what_the_old_one_sealed(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        world.add(ANN)
        old = key_of(world)
        change_key(world)
        World(database_url, tmp_path)  # makes a key
        change_key(world, f"{key_of(world)},{old}")

        await world.run_to_the_end()

        assert world.story(ANN).stage is Stage.completed


async def test_whoever_consents_needs_no_key_any_more(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        world.add(ANN, SHOPIFY, auth=SHOP)
        await world.run()
        change_key(world)
        world.sandbox.grant(ANN, "shopify", SHOP)

        await world.run_to_the_end()

        assert world.story(ANN).stage is Stage.completed


async def test_a_credential_whose_answer_was_lost_with_the_key_is_found(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        world.add(ANN)
        world.sandbox.faults.add(Fault(kind="drop_after", route="create_credential"))
        await world.run()
        change_key(world)

        await world.run_to_the_end()

        assert world.story(ANN).stage is Stage.completed
        assert world.ledger().credentials_created == 1


@pytest.mark.parametrize(("integration", "auth"), [(KLAVIYO, {"apiKey": "canary-value"}), (SHOPIFY, SHOP)])
async def test_who_was_cancelled_and_let_go_again_lacks_the_values_that_were_deleted(
    database_url: str, tmp_path: Path, integration: str, auth: dict[str, str]
) -> None:
    async with World(database_url, tmp_path) as world:
        world.add(ANN, integration, auth=auth)
        cancel(world.engine, Chosen(), by="ops", now=world.clock.now())
        assert world.ledger().users == 0
        redrive(world.engine, Chosen(hold=HoldKind.cancelled), by="ops", now=world.clock.now())

        await world.run_to_the_end()

        held = world.story(ANN)
        assert (held.stage, held.hold, held.reason) == (Stage.created, HoldKind.operator, Reason.missing_auth)


async def test_nothing_is_done_for_who_was_cancelled_and_nothing_at_alloy_is_taken_back(
    database_url: str, tmp_path: Path
) -> None:
    async with World(database_url, tmp_path) as world:
        world.add(ANN)
        world.sandbox.faults.add(Fault(kind="err_before", route="complete_installation", count=50))
        await world.run()
        cancel(world.engine, Chosen(), by="ops", now=world.clock.now())
        world.sandbox.faults.clear()
        asked = world.sandbox.requests.total

        await world.run_to_the_end()

        ended = world.story(ANN)
        assert (ended.stage, ended.hold, world.sandbox.requests.total) == (Stage.mapped, HoldKind.cancelled, asked)
        assert world.ledger().started == {of(ANN, KLAVIYO): [ended.installation_id]}
