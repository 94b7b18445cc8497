"""What Prefect is told of the deployments, so that telling it again changes nothing that an operator has changed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from deployments.schedules import Deployment

if TYPE_CHECKING:  # importing Prefect takes seconds, and the CLI imports this module
    from prefect import Flow
    from prefect.client.schemas.responses import DeploymentResponse
    from prefect.deployments.runner import RunnerDeployment
    from prefect.schedules import Schedule


class RunByAPool(Exception):
    """The deployments are run by the workers of a work pool, from whom nothing is taken without being told to."""


@dataclass(frozen=True, slots=True)
class Pool:
    """The work pool whose workers run the deployments, and how many resumes they run at once."""

    name: str
    runs: int


def to_runner_deployment(
    deployment: Deployment, *, known: "DeploymentResponse | None" = None, pool: Pool | None = None
) -> "RunnerDeployment":
    """Turn the data into what Prefect registers, and then serves or has run by the workers of ``pool``.

    What somebody paused in Prefect's pages, as ``known`` shows, stays paused: registering would otherwise switch it on
    again. Raises ImportError or AttributeError when the entrypoint does not lead to a flow.
    """
    from prefect.deployments.runner import RunnerDeployment
    from prefect.types.entrypoint import EntrypointType

    at_once = deployment.at_once if pool is None or deployment.at_once is None else pool.runs
    return RunnerDeployment.from_flow(
        _flow(deployment),
        name=deployment.name,
        description=deployment.description,
        schedules=_schedules(deployment, runs=pool.runs if pool is not None else 1, known=known),
        parameters={**deployment.parameters, **({} if at_once is None else {"at_once": at_once})},
        tags=list(deployment.tags),
        paused=known is not None and known.paused,
        work_pool_name=pool.name if pool is not None else None,
        # A run on some machine that was set up by halves would make a database and a key of its own.
        job_variables={"env": {"ONBOARD_SHARED": "true"}} if pool is not None else None,
        entrypoint_type=EntrypointType.MODULE_PATH,
    )


async def as_operators_left_them(deployments: Iterable[Deployment]) -> "list[RunnerDeployment]":
    """Prepare the deployments for being served, so that doing it again changes nothing.

    Raises :class:`RunByAPool` where workers run them: serving them would take them out of their pool.
    """
    prepared = []
    for deployment in deployments:
        known = await registered(deployment)
        if known is not None and known.work_pool_name is not None:
            raise RunByAPool(
                f"this Prefect has {deployment.name} run by the work pool {known.work_pool_name}: "
                f"`onboard work` runs it here, too; to go back to `onboard up`, delete that pool"
            )
        prepared.append(to_runner_deployment(deployment, known=known))
    return prepared


async def registered(deployment: Deployment) -> "DeploymentResponse | None":
    """Return what Prefect has registered of a deployment, if anything."""
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    async with get_client() as client:
        try:
            return await client.read_deployment_by_name(f"{_flow(deployment).name}/{deployment.name}")
        except ObjectNotFound:
            return None


def slugs(deployment: Deployment, runs: int) -> list[str]:
    """Return the names of a deployment's schedules: one starts one run.

    By its slug Prefect knows a schedule again and updates it; without one it would delete and create anew. Runs that do
    not share work are not started side by side.
    """
    # Only a resume shares its work with others of its kind.
    more = [f"{deployment.name}-{number}" for number in range(2, runs + 1) if deployment.at_once is not None]
    return [deployment.name, *more] if cron_of(deployment) is not None else []


def cron_of(deployment: Deployment) -> str | None:
    """Return when a deployment runs by itself, if it does."""
    if deployment.cron_setting is None:
        return deployment.cron
    from flows.settings import Settings

    cron: str = getattr(Settings(), deployment.cron_setting)
    return cron


def _flow(deployment: Deployment) -> "Flow[..., Any]":
    module, function = deployment.entrypoint.rsplit(".", maxsplit=1)
    flow: Flow[..., Any] = getattr(import_module(module), function)
    return flow


def _schedules(deployment: Deployment, *, runs: int, known: "DeploymentResponse | None") -> "Sequence[Schedule]":
    from prefect.schedules import Cron

    cron = cron_of(deployment)
    if cron is None:
        return []
    switched = {schedule.slug: schedule.active for schedule in known.schedules} if known is not None else {}
    # Where somebody has switched all of them off, one that is added is not to start runs by itself.
    usual = any(switched.values()) or not switched
    return [Cron(cron, timezone="UTC", active=switched.get(slug, usual), slug=slug) for slug in slugs(deployment, runs)]
