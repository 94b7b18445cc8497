"""Forms that did not come with the answer to the start, or came unreadable: read once more, and never taken for empty.

Also what a list answers that no form asks for, which is most often the name of a field misspelt.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from deployments.sandbox.knobs import Knobs
from states.holds import HoldKind, Reason
from states.stage import Stage
from store.choosing import Chosen
from store.desk import redrive
from tests.flows.editing import Edit, editing, without
from tests.flows.world import NETSUITE, World, of

ANN = "ann@example.test"
REALM = dict.fromkeys(("realm", "consumerKey", "consumerSecret", "tokenId", "tokenSecret"), "a value")
EMAIL = {"customerEmail": "ann@shop.test"}
START, ONE, EVERY = "POST /headless/startInstallation", "GET /installations/", "GET /installations"


def saying(form: object) -> Edit:
    return lambda answer, _number: {**answer, "data": form}


UNREADABLE: Mapping[str, Edit] = {
    "absent": without("data"),
    "null": saying(None),
    "a word": saying("form"),
    "no block": saying([{"fields": []}]),
}


def completed_with(world: World) -> list[object]:
    [installation] = world.ledger().completed[of(ANN, NETSUITE)]
    answers = world.sandbox.account.installations[installation].answers
    return [asked["value"] for block in answers for asked in cast("list[dict[str, object]]", block["fields"])]


@pytest.mark.parametrize("edit", UNREADABLE.values(), ids=UNREADABLE)
async def test_a_form_that_the_start_did_not_give_is_read_from_the_installation(
    database_url: str, tmp_path: Path, edit: Edit
) -> None:
    async with World(database_url, tmp_path) as world:
        world.carried_by = editing(**{START: edit})
        world.add(integration=NETSUITE, auth=REALM, answers=EMAIL)

        await world.run_to_the_end()

        assert world.story().stage is Stage.completed
        assert completed_with(world) == ["ann@shop.test"]
        assert any("read once more" in event.sentence for event in world.story().history)


@pytest.mark.parametrize("edit", UNREADABLE.values(), ids=UNREADABLE)
async def test_a_form_that_nobody_shows_is_left_to_an_operator_and_read_again_by_a_redrive(
    database_url: str, tmp_path: Path, edit: Edit
) -> None:
    async with World(database_url, tmp_path) as world:
        world.carried_by = editing(**{START: edit, ONE: without("formData")})
        world.add(integration=NETSUITE, auth=REALM, answers=EMAIL)
        await world.run_to_the_end()

        told = world.story()
        assert (told.stage, told.hold, told.reason) == (
            Stage.installing, HoldKind.operator, Reason.unreadable_form,
        )  # fmt: skip
        assert told.installation_id in world.sandbox.account.installations
        assert "onboard redrive" in (told.sentence or "")

        world.carried_by = editing()
        redrive(world.engine, Chosen(reason=Reason.unreadable_form), by="ops", now=world.clock.now())
        await world.run_to_the_end()

        assert world.story().stage is Stage.completed
        assert completed_with(world) == ["ann@shop.test"]


async def test_where_a_host_has_no_installations_a_form_that_is_not_there_is_no_empty_one(
    database_url: str, tmp_path: Path
) -> None:
    async with World(database_url, tmp_path, knobs=Knobs(installations_resource=False)) as world:
        world.carried_by = editing(**{START: without("data")})
        world.add(integration=NETSUITE, auth=REALM, answers=EMAIL)

        await world.run_to_the_end()

        told = world.story()
        assert (told.stage, told.reason) == (Stage.installing, Reason.unreadable_form)
        assert "this host" in (told.sentence or "")
        assert world.ledger().completed == {}


async def test_a_form_that_asks_for_nothing_is_not_asked_for_again(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        world.add()

        await world.run_to_the_end()

        assert world.story().stage is Stage.completed
        assert world.sandbox.requests.of("get_installation") == []


async def test_an_installation_without_a_form_does_not_hide_the_others_of_a_list(
    database_url: str, tmp_path: Path
) -> None:
    async with World(database_url, tmp_path) as world:
        world.carried_by = editing(**{START: without("installationId"), EVERY: saying_of_each("formData", "form")})
        world.add(integration=NETSUITE, auth=REALM, answers=EMAIL)

        await world.run_to_the_end()

        assert world.story().installation_id in world.sandbox.account.installations
        assert world.story().reason is Reason.unreadable_form


def saying_of_each(name: str, value: object) -> Edit:
    def edit(answer: Any, _number: int) -> Any:
        rows = answer["data"]
        changed = [{**row, name: value} for row in rows] if isinstance(rows, list) else {**rows, name: value}
        return {"data": changed}

    return edit


async def test_a_column_that_no_field_asks_for_is_noted_when_the_form_is_filled_in(
    database_url: str, tmp_path: Path
) -> None:
    async with World(database_url, tmp_path) as world:
        world.add(integration=NETSUITE, auth=REALM, answers={**EMAIL, "custmerName": "Ann"})

        await world.run_to_the_end()

        told = world.story()
        assert told.stage is Stage.completed
        assert "not asked for: map.custmerName" in " ".join(event.sentence for event in told.history)


async def test_whoever_waits_for_an_answer_is_told_which_column_no_field_asks_for(
    database_url: str, tmp_path: Path
) -> None:
    async with World(database_url, tmp_path) as world:
        world.add(integration=NETSUITE, auth=REALM, answers={"custmerEmail": "ann@shop.test"})

        await world.run()

        told = world.story()
        assert (told.hold, told.reason) == (HoldKind.customer, Reason.awaiting_answer)
        assert "no answer yet for customerEmail (netsuite); not asked for: map.custmerEmail" in (told.sentence or "")
