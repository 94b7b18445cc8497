"""The answer to a call is lost, in every way and at every call: afterwards there is exactly one of everything."""

from pathlib import Path

import pytest

from deployments.sandbox.faults import Fault, FaultKind
from deployments.sandbox.knobs import Knobs
from states.holds import Reason
from states.stage import Stage
from tests.flows.world import KLAVIYO, World, of

ANN = "ann@example.test"
POSTS = ("create_user", "create_credential", "start_installation", "complete_installation")
LOST: tuple[FaultKind, ...] = ("drop_after", "err_after", "truncate", "empty")
NOT_DONE: tuple[FaultKind, ...] = ("drop_before", "err_before", "html", "429")


def assert_exactly_one_of_everything(world: World) -> None:
    ledger = world.ledger()
    assert world.standing().stages[Stage.completed] == 1
    assert (ledger.users, ledger.credentials_created, ledger.installations_completed) == (1, 1, 1)
    assert len(ledger.enabled[of(ANN, KLAVIYO)]) == 1


@pytest.mark.parametrize("route", POSTS)
@pytest.mark.parametrize("kind", [*LOST, *NOT_DONE])
async def test_one_lost_answer_leaves_one_of_everything(
    database_url: str, tmp_path: Path, route: str, kind: FaultKind
) -> None:
    async with World(database_url, tmp_path) as world:
        world.add()
        world.sandbox.faults.add(Fault(kind=kind, route=route))

        await world.run_to_the_end()

        assert_exactly_one_of_everything(world)
        assert world.ledger().installations_started == 1


@pytest.mark.parametrize("route", POSTS)
@pytest.mark.parametrize("kind", ["drop_after", "drop_before"])
async def test_a_look_up_that_fails_too_changes_nothing(tmp_path: Path, route: str, kind: FaultKind) -> None:
    async with World(f"sqlite:///{tmp_path / 'onboard.db'}", tmp_path) as world:
        await world.run()
        world.add()
        world.sandbox.faults.add(Fault(kind=kind, route=route))
        for look_up in ("get_user", "list_credentials", "list_installations", "get_integration"):
            world.sandbox.faults.add(Fault(kind="err_before", route=look_up, nth=2, count=8))

        await world.run_to_the_end()

        assert_exactly_one_of_everything(world)


async def test_a_list_that_lags_does_not_make_a_second_credential(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path, knobs=Knobs(visibility_lag_ms=300)) as world:
        world.add()
        world.sandbox.faults.add(Fault(kind="drop_after", route="create_credential"))

        await world.run_to_the_end()

        assert world.ledger().credentials_created == 1


async def test_without_an_installation_list_one_is_completed_and_the_leftover_is_listed(
    database_url: str, tmp_path: Path
) -> None:
    async with World(database_url, tmp_path, knobs=Knobs(installations_resource=False)) as world:
        world.add()
        world.sandbox.faults.add(Fault(kind="drop_after", route="start_installation"))

        await world.run_to_the_end()

        assert_exactly_one_of_everything(world)
        assert (world.ledger().orphans, world.standing().leftovers) == (1, 1)


async def test_an_unknown_outcome_is_a_retry_that_says_so(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        world.add()
        world.sandbox.faults.add(Fault(kind="drop_before", route="create_credential"))

        await world.run()

        held = world.story()
        assert (held.stage, held.reason, held.intents[-1].outcome) == (Stage.created, Reason.unknown_outcome, None)


async def test_a_call_that_was_refused_for_now_is_not_in_doubt(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        world.add()
        world.sandbox.faults.add(Fault(kind="429", route="create_credential", count=5, retry_after_s=60))

        await world.run()

        held = world.story()
        assert (held.reason, held.intents[-1].outcome) == (Reason.rate_limited, "nothing")
