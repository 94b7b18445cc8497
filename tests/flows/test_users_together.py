"""The users of a long page are created by one call, and it comes out as if each had been created by itself."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from deployments.sandbox.faults import Fault, FaultKind
from deployments.sandbox.knobs import Knobs
from flows.alloy.dialects import Capabilities
from flows.moving import move_page
from flows.resources import Resources, open_resources
from states.failures import Halted
from states.holds import HoldKind, Reason
from states.stage import Stage
from store.cancelling import cancel
from store.choosing import Chosen
from store.engine import reading
from store.leases import claim
from store.models import INTENT
from store.records import Page, Scope
from store.views import story
from store.writes import Begin, Moved
from tests.flows.meddling import Meddling
from tests.flows.test_lost_answers import LOST, NOT_DONE
from tests.flows.whole_pages import WholePages
from tests.flows.world import KLAVIYO, NETSUITE, World, of, on_sqlite

NAMES = ("ann@example.test", "Bob O'Neil", "kim+söder/x", "cyd@example.test")


def long_paged(database_url: str, home: Path, knobs: Knobs | None = None, **options: Any) -> World:
    """A world in which four on a page are many."""
    world = World(database_url, home, knobs=knobs, **options)
    world.pages, world.users_worth_a_batch = WholePages, 3
    return world


def add(world: World, *names: str) -> None:
    for name in names or NAMES:
        world.add(name, full_name=f"{name} in full")


def calls(world: World, route: str) -> int:
    return len(world.sandbox.requests.of(route))


def adopted(world: World) -> set[str]:
    """Who counts as having been at Alloy before us, by our own history."""
    users = world.ledger().users_of
    return {name for name in users if any("adopted" in event.sentence for event in world.story(name).history)}


def assert_exactly_one_of_everything(world: World, *names: str) -> None:
    ledger, number = world.ledger(), len(names or NAMES)
    assert world.standing().stages[Stage.completed] == number
    assert (ledger.users, ledger.credentials_created, ledger.installations_completed) == (number, number, number)
    assert {name: story(world.engine, name).alloy_user_id for name in names or NAMES} == ledger.users_of


# --- when all goes well


async def test_everybody_is_created_by_one_call_and_named_by_one_list(database_url: str, tmp_path: Path) -> None:
    async with long_paged(database_url, tmp_path) as world:
        add(world)

        await world.run_to_the_end()

        assert_exactly_one_of_everything(world)
        assert [calls(world, route) for route in ("create_users", "list_users", "create_user", "get_user")] == [
            1,
            1,
            0,
            0,
        ]


async def test_whom_we_created_counts_as_new_and_is_asked_nothing(database_url: str, tmp_path: Path) -> None:
    async with long_paged(database_url, tmp_path) as world:
        add(world)

        await world.run_to_the_end()

        assert adopted(world) == set()
        assert calls(world, "get_integration") == len(NAMES)  # the reading back of each installation, and no more


async def test_full_names_are_told(database_url: str, tmp_path: Path) -> None:
    async with long_paged(database_url, tmp_path) as world:
        add(world)

        await world.run_to_the_end()

        users = world.sandbox.account.users.values()
        assert {user.username: user.full_name for user in users} == {name: f"{name} in full" for name in NAMES}


async def test_every_intent_is_closed_with_its_own_answer(database_url: str, tmp_path: Path) -> None:
    async with long_paged(database_url, tmp_path) as world:
        add(world)

        await world.run_to_the_end()

        intents = [world.story(name).intents[0] for name in NAMES]
        assert [(one.trigger, one.outcome) for one in intents] == [("create_user", "answered")] * len(NAMES)


@on_sqlite
@pytest.mark.parametrize("number", [2, 3])
async def test_a_page_of_few_is_created_one_by_one(database_url: str, tmp_path: Path, number: int) -> None:
    async with long_paged(database_url, tmp_path) as world:
        add(world, *NAMES[:number])

        await world.run()

        assert (calls(world, "create_users"), calls(world, "create_user")) == ((1, 0) if number == 3 else (0, 2))


# --- who is there already


async def test_who_was_there_before_us_is_adopted_and_the_others_are_ours(database_url: str, tmp_path: Path) -> None:
    async with long_paged(database_url, tmp_path) as world:
        before = world.sandbox.account.add_user(NAMES[0], "somebody else's words")
        add(world)

        await world.run_to_the_end()

        assert_exactly_one_of_everything(world)
        assert adopted(world) == {NAMES[0]}
        assert story(world.engine, NAMES[0]).alloy_user_id == before.user_id
        assert calls(world, "get_user") == 0
        assert any("full name there is a different one" in event.sentence for event in world.story(NAMES[0]).history)


async def test_if_all_were_there_before_us_all_are_adopted_from_one_list(database_url: str, tmp_path: Path) -> None:
    async with long_paged(database_url, tmp_path) as world:
        for name in NAMES:
            world.sandbox.account.add_user(name, None)
        add(world)

        await world.run_to_the_end()

        assert_exactly_one_of_everything(world)
        assert adopted(world) == set(NAMES)
        assert [calls(world, route) for route in ("create_users", "list_users", "create_user", "get_user")] == [
            1,
            1,
            0,
            0,
        ]


async def test_who_was_installed_before_us_is_left_to_an_operator(database_url: str, tmp_path: Path) -> None:
    async with long_paged(database_url, tmp_path) as world:
        user = world.sandbox.account.add_user(NAMES[0], None)
        world.sandbox.account.add_credential(user, connector="klaviyo", name="old", data={"apiKey": "old"})
        async with open_resources(world.settings, clock=world.clock) as resources:
            started = await resources.alloy.start_installation(user.user_id, of(NAMES[0], KLAVIYO)[1], [])
            await resources.alloy.complete_installation(started.installation_id, [])
        add(world)

        await world.run_to_the_end()

        held = world.story(NAMES[0])
        assert (held.hold, held.reason) == (HoldKind.operator, Reason.already_installed)
        assert world.standing().stages[Stage.completed] == len(NAMES) - 1


async def test_who_is_known_from_another_onboarding_is_left_out(database_url: str, tmp_path: Path) -> None:
    async with long_paged(database_url, tmp_path) as world:
        add(world, NAMES[0])
        await world.run_to_the_end()
        world.add(NAMES[0], NETSUITE, auth={})
        add(world, *NAMES[1:])

        await world.run()

        assert calls(world, "create_users") == 1
        assert world.ledger().duplicate_user_creates == 0
        assert {world.stories(name)[-1].stage for name in NAMES} == {Stage.completed, Stage.created}


@pytest.mark.parametrize("folded", [False, True], ids=["two people", "one user"])
async def test_two_names_that_differ_in_case_end_as_alloy_has_it(
    database_url: str, tmp_path: Path, folded: bool
) -> None:
    async with long_paged(database_url, tmp_path, Knobs(fold_username_case=folded)) as world:
        add(world, "ann@x", "ANN@x", "bob@x")

        await world.run_to_the_end()

        assert world.ledger().users == (2 if folded else 3)
        told = sorted((world.story("ann@x"), world.story("ANN@x")), key=lambda one: one.stage is not Stage.completed)
        assert told[0].stage is Stage.completed
        assert told[1].reason is (Reason.user_of_another_customer if folded else None)


# --- when the answer is lost


@pytest.mark.parametrize("kind", [*LOST, *NOT_DONE])
async def test_one_lost_answer_leaves_one_of_everything(database_url: str, tmp_path: Path, kind: FaultKind) -> None:
    async with long_paged(database_url, tmp_path) as world:
        add(world)
        world.sandbox.faults.add(Fault(kind=kind, route="create_users"))

        await world.run_to_the_end()

        assert_exactly_one_of_everything(world)
        assert world.ledger().duplicate_user_creates == 0


async def test_an_unknown_outcome_leaves_every_intent_open(database_url: str, tmp_path: Path) -> None:
    async with long_paged(database_url, tmp_path) as world:
        add(world)
        world.sandbox.faults.add(Fault(kind="drop_after", route="create_users"))
        async with open_resources(
            world.settings, clock=world.clock, users_worth_a_batch=world.users_worth_a_batch
        ) as resources:
            await move_page(_page(world, resources), resources)

        told = [world.story(name) for name in NAMES]
        assert {(one.hold, one.reason) for one in told} == {(HoldKind.retry, Reason.unknown_outcome)}
        assert [one.intents[-1].outcome for one in told] == [None] * len(NAMES)


async def test_who_has_an_open_intent_is_looked_for_by_themselves(database_url: str, tmp_path: Path) -> None:
    async with long_paged(database_url, tmp_path) as world:
        add(world)
        world.sandbox.faults.add(Fault(kind="drop_after", route="create_users"))
        async with open_resources(
            world.settings, clock=world.clock, users_worth_a_batch=world.users_worth_a_batch
        ) as resources:
            await move_page(_page(world, resources), resources)
        world.clock.ahead += timedelta(seconds=10)

        await world.run_to_the_end()

        assert [calls(world, route) for route in ("create_users", "get_user", "create_user")] == [1, len(NAMES), 0]
        held = {event.reason for name in NAMES for event in world.story(name).history if event.hold is not None}
        assert held == {Reason.unknown_outcome}


async def test_a_refusal_for_now_leaves_no_doubt(database_url: str, tmp_path: Path) -> None:
    async with long_paged(database_url, tmp_path) as world:
        add(world)
        world.sandbox.faults.add(Fault(kind="429", route="create_users", count=5, retry_after_s=60))

        await world.run()

        told = [world.story(name) for name in NAMES]
        assert {(one.reason, one.intents[-1].outcome) for one in told} == {(Reason.rate_limited, "nothing")}


async def test_a_key_that_is_refused_blames_nobody(database_url: str, tmp_path: Path) -> None:
    async with long_paged(database_url, tmp_path, Knobs(revoked_keys=("dev",))) as world:
        add(world)

        with pytest.raises(Halted):
            await world.run()

        told = [world.story(name) for name in NAMES]
        assert {(one.stage, one.hold, one.intents[-1].outcome) for one in told} == {(Stage.new, None, "nothing")}


@pytest.mark.parametrize("kind", ["err_before", "drop_before", "truncate", "html"])
async def test_a_list_that_fails_costs_a_look_for_each_and_nobody_counts_as_adopted(
    database_url: str, tmp_path: Path, kind: FaultKind
) -> None:
    async with long_paged(database_url, tmp_path) as world:
        add(world)
        world.sandbox.faults.add(Fault(kind=kind, route="list_users", count=9))

        await world.run_to_the_end()

        assert_exactly_one_of_everything(world)
        assert (adopted(world), calls(world, "get_user")) == (set(), len(NAMES))


async def test_a_list_that_ends_silently_is_made_up_for(database_url: str, tmp_path: Path) -> None:
    async with long_paged(database_url, tmp_path, Knobs(hidden_cap=1)) as world:
        add(world)

        await world.run_to_the_end()

        assert_exactly_one_of_everything(world)
        assert (adopted(world), calls(world, "get_user")) == (set(), len(NAMES) - 1)


async def test_a_user_whom_nothing_shows_yet_is_looked_for_again(database_url: str, tmp_path: Path) -> None:
    async with long_paged(database_url, tmp_path, Knobs(hidden_cap=0)) as world:
        add(world)
        world.sandbox.faults.add(Fault(kind="err_before", route="get_user", count=8))

        await world.run_to_the_end()

        assert_exactly_one_of_everything(world)
        assert world.ledger().duplicate_user_creates == 0


# --- where it cannot be done, or does not pay


async def test_a_host_without_it_is_asked_once_and_everybody_is_created_one_by_one(
    database_url: str, tmp_path: Path
) -> None:
    async with long_paged(database_url, tmp_path, Knobs(users_batch=False)) as world:
        add(world, *NAMES, "dan", "eve", "fay", "gus")
        await _move_two_pages(world)

        assert world.ledger().users == 8
        assert [calls(world, route) for route in ("create_users", "create_user", "get_user")] == [0, 8, 0]
        assert sum(request.template == "/users/batch" for request in world.sandbox.requests) <= 1


async def test_an_account_that_is_large_beside_the_page_is_not_listed_for_it(database_url: str, tmp_path: Path) -> None:
    async with long_paged(database_url, tmp_path) as world:
        for number in range(801):
            world.sandbox.account.add_user(f"user {number}", None)
        add(world, *NAMES, "dan", "eve", "fay", "gus")
        await _move_two_pages(world)

        assert world.ledger().users == 801 + 8
        assert [calls(world, route) for route in ("create_users", "list_users", "create_user")] == [1, 1, 4]


async def test_a_list_that_did_not_show_whom_it_should_is_not_asked_for_again(
    database_url: str, tmp_path: Path
) -> None:
    async with long_paged(database_url, tmp_path, Knobs(hidden_cap=1)) as world:
        add(world, *NAMES, "dan", "eve", "fay", "gus")
        await _move_two_pages(world)

        assert [calls(world, route) for route in ("create_users", "create_user")] == [1, 4]


@pytest.mark.parametrize("went_well_before", [None, True])
def test_what_was_learnt_of_another_host_is_forgotten(went_well_before: bool | None) -> None:
    known = Capabilities("https://one.test", create_users=went_well_before, users=7)

    known.belong_to("https://other.test")

    assert (known.create_users, known.users) == (None, None)


async def _move_two_pages(world: World) -> None:
    """In one run, move eight new customers, four on a page, one page after the other."""
    async with open_resources(
        world.settings, clock=world.clock, users_worth_a_batch=world.users_worth_a_batch
    ) as resources:
        pages = [_page(world, resources, limit=4), _page(world, resources, limit=4)]
        for page in pages:
            await move_page(page, resources)


def _page(world: World, resources: Resources, limit: int = 40) -> Page:
    page = claim(
        world.engine, Scope(), worker=resources.worker, limit=limit, size=limit, lease=resources.lease,
        now=resources.clock.now(),
    )  # fmt: skip
    assert page is not None
    assert page.stage is Stage.new
    return page


# --- what happens between the intents and the call


async def test_who_is_cancelled_before_the_call_is_not_in_it(database_url: str, tmp_path: Path) -> None:
    async with long_paged(database_url, tmp_path) as world:
        add(world)
        async with open_resources(
            world.settings, clock=world.clock, users_worth_a_batch=world.users_worth_a_batch
        ) as resources:
            page = _page(world, resources)
            cancel(world.engine, Chosen(username=NAMES[0]), by="a test", now=world.clock.now())
            await move_page(page, resources)

        assert set(world.ledger().users_of) == set(NAMES[1:])
        held = world.story(NAMES[0])
        assert (held.stage, held.hold, held.intents) == (Stage.new, HoldKind.cancelled, [])


async def test_whose_lease_is_gone_is_not_in_the_call(database_url: str, tmp_path: Path) -> None:
    async with long_paged(database_url, tmp_path) as world:
        add(world)
        async with open_resources(
            world.settings, clock=world.clock, users_worth_a_batch=world.users_worth_a_batch
        ) as resources:
            page = _page(world, resources)
            world.clock.ahead += 2 * resources.lease
            tally = await move_page(page, resources)

        assert (world.ledger().users, dict(tally)) == (0, {"lost": len(NAMES)})
        assert calls(world, "create_users") == 0


async def test_a_call_that_is_held_up_has_every_intent_prolonged(database_url: str, tmp_path: Path) -> None:
    async with long_paged(database_url, tmp_path) as world:
        add(world)
        async with open_resources(
            world.settings, clock=world.clock, users_worth_a_batch=world.users_worth_a_batch
        ) as resources:

            def wait() -> None:
                world.clock.ahead += timedelta(seconds=15)

            page = _page(world, resources)
            resources.recorder = Meddling(resources.recorder, Begin, after=wait)
            sent_after = world.clock.now() + timedelta(seconds=15)
            await move_page(page, resources)

        assert calls(world, "create_users") == 1
        with reading(world.engine) as connection:
            settled = connection.scalars(select(INTENT.c.settled_at)).all()
        assert len(settled) == len(NAMES)
        assert min(settled) >= sent_after + world.settings.call_deadline


async def test_if_one_is_cancelled_while_the_call_is_held_up_nothing_is_sent_and_the_others_go_on_by_themselves(
    database_url: str, tmp_path: Path
) -> None:
    async with long_paged(database_url, tmp_path) as world:
        add(world)
        async with open_resources(
            world.settings, clock=world.clock, users_worth_a_batch=world.users_worth_a_batch
        ) as resources:

            def wait_and_cancel() -> None:
                world.clock.ahead += timedelta(seconds=15)
                cancel(world.engine, Chosen(username=NAMES[0]), by="a test", now=world.clock.now())

            page = _page(world, resources)
            resources.recorder = Meddling(resources.recorder, Begin, after=wait_and_cancel)
            await move_page(page, resources)

        assert (calls(world, "create_users"), calls(world, "create_user")) == (0, len(NAMES) - 1)
        assert set(world.ledger().users_of) == set(NAMES[1:])
        held = world.story(NAMES[0])
        assert (held.hold, [one.outcome for one in held.intents]) == (HoldKind.cancelled, ["nothing"])


async def test_an_answer_that_comes_too_late_is_used_by_whoever_claims_next(database_url: str, tmp_path: Path) -> None:
    async with long_paged(database_url, tmp_path) as world:
        add(world)
        async with open_resources(
            world.settings, clock=world.clock, users_worth_a_batch=world.users_worth_a_batch
        ) as resources:

            def sleep() -> None:
                world.clock.ahead += 2 * resources.lease

            page = _page(world, resources)
            resources.recorder = Meddling(resources.recorder, Moved, before=sleep)
            tally = await move_page(page, resources)
        assert dict(tally) == {"lost": len(NAMES)}

        await world.run_to_the_end()

        assert_exactly_one_of_everything(world)
        assert (adopted(world), calls(world, "create_user"), calls(world, "get_user")) == (set(), 0, 0)
