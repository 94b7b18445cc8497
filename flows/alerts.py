"""What an alert comes to where nobody has chosen a notification block: it is shown in Prefect itself."""

from prefect import flow, get_run_logger
from prefect.artifacts import acreate_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.desk import markdown

ALERTS_KEY = "onboarding-alerts"
"""The artifact whose versions are the alerts."""


@flow(name="note-alert", flow_run_name="{alert}", retries=0, persist_result=False)
async def note_alert(alert: str, says: str) -> State[None]:
    """Show an alert: in this run's state, in its log, and as the latest version of the artifact `onboarding-alerts`.

    Args:
        alert: Which alert it is.
        says: What it says.
    """
    get_run_logger().warning("%s: %s", alert, says)
    await acreate_markdown_artifact(
        f"**{markdown.text(alert)}**\n\n{markdown.text(says)}\n",
        key=ALERTS_KEY,
        description="The latest alert. To have them sent, set `ONBOARD_ALERT_BLOCK` to a notification block.",
    )
    return Completed(name="Alert", message=says)
