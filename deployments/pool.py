"""Registering the deployments in a work pool, so that workers on any number of machines run them.

Doing it again changes nothing, what operators paused stays paused, and more or fewer runs at once is a matter of doing
it with another number. Nothing is fetched when a run starts: each machine has this package installed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deployments.registering import Pool, registered, slugs, to_runner_deployment
from deployments.schedules import DEPLOYMENTS, Deployment

if TYPE_CHECKING:
    from prefect.client.schemas.responses import DeploymentResponse

USUAL_POOL = "onboard"
_TYPE = "process"


class NotOurPool(Exception):
    """There is a work pool of that name, but workers of another type, or nobody, run it."""


class NoPool(Exception):
    """There is no such work pool yet."""


@dataclass(frozen=True, slots=True)
class Registered:
    """What registering came to."""

    pool: Pool
    pool_made: bool
    made: tuple[str, ...]
    """The full names of the deployments that were not there before."""
    kept: tuple[str, ...]
    moved_from: str | None = None
    """The pool that had them before, if it was another."""


async def register(name: str, runs: int | None, deployments: Iterable[Deployment] = DEPLOYMENTS) -> Registered:
    """Register the deployments in the work pool ``name``, which is made if it is not there.

    ``runs`` is how many resumes are at work at once; None leaves it as it is, one in the beginning. Raises
    :class:`NotOurPool`.
    """
    pool_made = await _ensure_pool(name)
    known = [(deployment, await registered(deployment)) for deployment in deployments]
    pool = Pool(name, runs or max((_limit(before) for _, before in known), default=1))
    made: list[str] = []
    kept: list[str] = []
    for deployment, before in known:
        prepared = to_runner_deployment(deployment, known=before, pool=pool)
        await prepared.aapply()
        if before is not None:
            await _delete_schedules(before, beyond=slugs(deployment, pool.runs))
        (made if before is None else kept).append(prepared.full_name)
    others = {before.work_pool_name for _, before in known if before is not None} - {name, None}
    return Registered(pool, pool_made, tuple(made), tuple(kept), moved_from=next(iter(others), None))


async def start_runs(number: int, deployments: Iterable[Deployment] = DEPLOYMENTS) -> None:
    """Start so many resumes now instead of at their next time."""
    from prefect.client.orchestration import get_client

    for deployment in deployments:
        known = await registered(deployment) if deployment.at_once is not None else None
        if known is not None:
            async with get_client() as client:
                for _ in range(number):
                    await client.create_flow_run_from_deployment(known.id)


async def expect_pool(name: str) -> None:
    """Raise :class:`NoPool` or :class:`NotOurPool` unless workers of ours can work for the pool ``name``."""
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    async with get_client() as client:
        try:
            pool = await client.read_work_pool(name)
        except ObjectNotFound:
            raise NoPool(
                f"this Prefect has no work pool {name}; make it with: `onboard deploy --pool {name}`"
            ) from None
    if pool.type != _TYPE:
        raise NotOurPool(f"the work pool {name} is of type {pool.type}, not {_TYPE}: choose another name with --pool")


async def _ensure_pool(name: str) -> bool:
    """Make the work pool unless it is there; return whether it was made."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists
    from prefect.workers.process import ProcessWorker

    try:
        await expect_pool(name)
    except NoPool:
        template = ProcessWorker.get_default_base_job_template()
        wanted = WorkPoolCreate(name=name, type=_TYPE, base_job_template=template, description=_DESCRIPTION)
        async with get_client() as client:
            try:
                await client.create_work_pool(wanted)
            except ObjectAlreadyExists:  # somebody else was faster
                return False
        return True
    return False


def _limit(known: "DeploymentResponse | None") -> int:
    if known is None or known.work_pool_name is None:
        return 1
    at_once: int = known.parameters.get("at_once", 1)
    return at_once


async def _delete_schedules(known: "DeploymentResponse", *, beyond: Iterable[str]) -> None:
    """Delete those schedules of ours that start more runs than are wanted now."""
    from prefect.client.orchestration import get_client

    wanted = set(beyond)
    async with get_client() as client:
        for schedule in known.schedules:
            if schedule.slug is not None and schedule.slug.startswith(f"{known.name}-") and schedule.slug not in wanted:
                await client.delete_deployment_schedule(known.id, schedule.id)


_DESCRIPTION = """\
Brings customers through Alloy's Headless Mode. `onboard work` runs what is due on any machine that has the package, \
the database's address and the keys.
"""
