"""The deployments as data: what can be started from Prefect's pages, and what starts by itself.

A deployment names its flow by module path, dots only. With a file path Prefect would put the flow's folder first on
``sys.path``, where ``flows/store.py`` would hide ``store``.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # importing Prefect takes seconds, and the CLI imports this module
    from prefect import Flow
    from prefect.deployments.runner import RunnerDeployment
    from prefect.schedules import Schedule


@dataclass(frozen=True, slots=True)
class Deployment:
    """One way to start a flow from Prefect."""

    name: str
    entrypoint: str
    description: str
    cron: str | None = None
    most_at_once: int | None = None
    """A run that would be one too many is cancelled, not queued: a queue of resumes has nothing left to do."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()


DEPLOYMENTS: tuple[Deployment, ...] = (
    Deployment(
        name="every-five-minutes",
        entrypoint="flows.onboard.resume_onboardings",
        cron="*/5 * * * *",
        most_at_once=1,
        tags=("onboarding", "scheduled"),
        description="""\
Goes on with **whatever is due**, of all batches: retries, looks for consents and for answers, and what a worker that
died still held.

Runs every five minutes, one at a time. A run shown as *Cancelled, deployment concurrency limit reached* found an
earlier one still at work; nothing is lost by it.

Run it by hand to resume at once, or with `batch` to resume one list only.
""",
    ),
    Deployment(
        name="from-a-list",
        entrypoint="flows.onboard.onboard_customers",
        tags=("onboarding",),
        description="""\
Takes **a list of customers** in and brings each of them as far as they can go for now.

`list_path` is a CSV or JSONL file on the machine where `onboard up` runs. The same list again changes nothing: what is
done stays done, what is missing is resumed.
""",
    ),
    Deployment(
        name="one-customer",
        entrypoint="flows.onboard.onboard_customer",
        tags=("onboarding",),
        description="""\
Onboards **one customer** for one integration, now.

For an app that asks for an API key or other auth values use a list: parameters can be read by everybody who sees this
page.
""",
    ),
)


def to_runner_deployment(
    deployment: Deployment, *, paused: bool = False, schedule_active: bool = True
) -> "RunnerDeployment":
    """Turn the data into what Prefect registers and serves.

    Raises ImportError or AttributeError when the entrypoint does not lead to a flow.
    """
    from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
    from prefect.deployments.runner import RunnerDeployment
    from prefect.types.entrypoint import EntrypointType

    limit = deployment.most_at_once
    return RunnerDeployment.from_flow(
        _flow(deployment),
        name=deployment.name,
        description=deployment.description,
        schedule=_schedule(deployment, active=schedule_active),
        concurrency_limit=None
        if limit is None
        else ConcurrencyLimitConfig(limit=limit, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW),
        parameters=dict(deployment.parameters),
        tags=list(deployment.tags),
        paused=paused,
        entrypoint_type=EntrypointType.MODULE_PATH,
    )


async def as_operators_left_them(deployments: Iterable[Deployment]) -> "list[RunnerDeployment]":
    """Prepare the deployments for registering, so that doing it again changes nothing.

    What somebody paused in Prefect stays paused: registering would otherwise switch it on again.
    """
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    prepared = []
    async with get_client() as client:
        for deployment in deployments:
            try:
                known = await client.read_deployment_by_name(f"{_flow(deployment).name}/{deployment.name}")
            except ObjectNotFound:
                prepared.append(to_runner_deployment(deployment))
                continue
            active = all(schedule.active for schedule in known.schedules if schedule.slug == deployment.name)
            prepared.append(to_runner_deployment(deployment, paused=known.paused, schedule_active=active))
    return prepared


def _flow(deployment: Deployment) -> "Flow[..., Any]":
    module, function = deployment.entrypoint.rsplit(".", maxsplit=1)
    flow: Flow[..., Any] = getattr(import_module(module), function)
    return flow


def _schedule(deployment: Deployment, *, active: bool) -> "Schedule | None":
    from prefect.schedules import Cron

    if deployment.cron is None:
        return None
    # By its slug Prefect knows the schedule again and updates it; without one it would delete and create anew.
    return Cron(deployment.cron, timezone="UTC", active=active, slug=deployment.name)
