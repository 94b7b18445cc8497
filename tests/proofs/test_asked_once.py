"""A question that only an operator can decide is asked, wherever the process dies that found it.

The integration was installed for the customer before us: whether it is to be installed once more is not ours to say.
What was found out and the hold that asks are one write, so that there is no moment between them.
"""

from datetime import timedelta
from pathlib import Path

from deployments.sandbox.account import Account
from states.holds import HoldKind, Reason
from tests.flows.world import KLAVIYO, StillClock, World, of
from tests.proofs.boundaries import Kind, Way
from tests.proofs.walking import ANN, WITH_AN_API_KEY, prepare, run


def install_before_us(world: World) -> None:
    account: Account = world.sandbox.account
    user = account.add_user(ANN, None)
    made = account.add_credential(user, connector="klaviyo", name="before us", data={"apiKey": "older"})
    installation = account.add_installation(
        user,
        integration_id=of(ANN, KLAVIYO)[1],
        workflow_versions={},
        credential_ids={"klaviyo": made.credential_id},
        form=[],
    )
    account.complete_installation(installation, [])


async def until_it_rests(world: World, way: Way) -> None:
    """Run, run after run, until nothing falls due by itself."""
    for _ in range(10):
        driven = await run(world, way)
        if driven is not None and driven.next_due_at is None:
            return
        world.clock.ahead += timedelta(seconds=world.lease_seconds + 1)
    raise AssertionError(f"it does not come to rest:\n{way.describe()}")


async def test_an_operator_is_asked_whether_to_install_once_more_wherever_a_process_dies(
    database_url: str, tmp_path: Path
) -> None:
    async with World(database_url, tmp_path, clock=StillClock()) as world:
        prepare(world, WITH_AN_API_KEY)
        install_before_us(world)
        undisturbed = Way()
        await until_it_rests(world, undisturbed)

        for number in undisturbed.numbers(*Kind):
            prepare(world, WITH_AN_API_KEY)
            install_before_us(world)
            way = Way(kills={number})
            await until_it_rests(world, way)

            held, ledger = world.story(ANN), world.ledger()
            assert (held.hold, held.reason) == (HoldKind.operator, Reason.already_installed), way.describe()
            assert (ledger.installations_started, ledger.credentials_created) == (1, 1), way.describe()
