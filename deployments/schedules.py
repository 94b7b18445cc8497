"""The deployments as data: what can be started from Prefect's pages, and what starts by itself.

They are run by the process that ``onboard up`` is, or by the workers of a work pool. A deployment names its flow by
module path, dots only. With a file path Prefect would put the flow's folder first on ``sys.path``, where
``flows/store.py`` would hide ``store``; and a pool's workers start runs in a folder that has none of our files.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flows.desk.keys import OVERVIEW, WAITING, address


@dataclass(frozen=True, slots=True)
class Deployment:
    """One way to start a flow from Prefect."""

    name: str
    entrypoint: str
    description: str
    cron: str | None = None
    cron_setting: str | None = None
    """The setting that says when it runs, in place of ``cron``."""
    at_once: int | None = None
    """So many of its runs may be at work at once, which its flow is told: one too many ends, with nothing to do.

    Workers of a pool may be told to run more of them at once, which share the work.
    """
    parameters: Mapping[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()


_PREVIEW = """\
With `what_to_do` left at *preview* nothing changes: the run shows whom it would reach. *apply* does it, and wants to
know who decides. Who is let go is driven by the next resume.\
"""

_SEE = f"""
See [where everybody stands]({address(OVERVIEW)}) and [who waits]({address(WAITING)}).
"""

NOTE_ALERT = Deployment(
    name="note-alert",
    entrypoint="flows.alerts.note_alert",
    tags=("onboarding", "alert"),
    description="""\
Shows **an alert** in Prefect: as the state and the log of a run, and as the artifact `onboarding-alerts`.

Prefect's automations run it as long as `ONBOARD_ALERT_BLOCK` names no notification block.
"""
    + _SEE,
)

MAKE_OVERVIEW = Deployment(
    name="overview",
    entrypoint="flows.desk.refreshing.refresh_desk",
    cron="*/5 * * * *",
    tags=("onboarding", "desk", "scheduled"),
    description="""\
Brings the pages up to date that show **where everybody stands** and **who waits**. It only reads.

Runs every five minutes, and every onboarding run does the same at its end.
"""
    + _SEE,
)

DEPLOYMENTS: tuple[Deployment, ...] = (
    Deployment(
        name="every-five-minutes",
        entrypoint="flows.onboard.resume_onboardings",
        cron="*/5 * * * *",
        at_once=1,
        tags=("onboarding", "scheduled"),
        description="""\
Goes on with **whatever is due**, of all batches: retries, looks for consents and for answers, and what a worker that
died still held.

Runs every five minutes: one at a time, or as many side by side as `onboard deploy --runs` was told, which share the
work. A run shown as *Not needed* found enough others at work on all of it; nothing is lost by that.

Run it by hand to resume at once, or with `batch` to resume one list only.
"""
        + _SEE,
    ),
    Deployment(
        name="from-a-list",
        entrypoint="flows.onboard.onboard_customers",
        tags=("onboarding",),
        description="""\
Takes **a list of customers** in and brings each of them as far as they can go for now.

`list_path` is a CSV or JSONL file on the machine where `onboard up` runs (with several workers, one that all of them
can read), or a URL: `https://`, `s3://`, `gs://` and whatever else fsspec reads, with credentials from the environment
of the process that runs it. The list itself is never a parameter, since it carries auth values.

The same list again changes nothing: what is done stays done, what is missing is resumed.
"""
        + _SEE,
    ),
    Deployment(
        name="one-customer",
        entrypoint="flows.onboard.onboard_customer",
        tags=("onboarding",),
        description="""\
Onboards **one customer** for one integration, now.

For an app that asks for an API key or other auth values use a list: parameters can be read by everybody who sees this
page.
"""
        + _SEE,
    ),
    MAKE_OVERVIEW,
    Deployment(
        name="customer-story",
        entrypoint="flows.desk.refreshing.show_customer",
        tags=("onboarding", "desk"),
        description="""\
Publishes **one customer's story**: how long it was at each stage, its calls and what came of them, what it waits for
and what will happen next. It only reads; the page is among the artifacts of the run.
"""
        + _SEE,
    ),
    Deployment(
        name="batch-page",
        entrypoint="flows.desk.refreshing.show_batch",
        tags=("onboarding", "desk"),
        description="""\
Publishes the page of **one batch**: its funnel, and its failures by reason, each with an example and the remedy. It
only reads; the page is among the artifacts of the run.
"""
        + _SEE,
    ),
    Deployment(
        name="inbox",
        entrypoint="flows.inbox.take_in_inbox",
        cron_setting="onboard_inbox_cron",
        tags=("onboarding", "scheduled"),
        description="""\
Takes in **the lists that were dropped in the inbox**, each version of a list once, and onboards everybody on them.

The inbox is the folder or the URL that `ONBOARD_INBOX` names. A list that is refused is named in the artifact
`onboarding-inbox`, and its faults stand in a file beside it. Lists are never moved, changed or deleted.

Auth values are written out there: `env:NAME` and `file:PATH` are refused, since they would lead to this machine.
"""
        + _SEE,
    ),
    Deployment(
        name="tidy-up",
        entrypoint="flows.tidying.tidy_prefect",
        cron="30 3 * * *",
        tags=("onboarding", "scheduled"),
        description="""\
Deletes **what Prefect has kept for longer than `ONBOARD_KEEP_DAYS`** of our flows: ended runs with their logs and
artifacts. Runs of other flows are left alone, and so are our own records.
"""
        + _SEE,
    ),
    NOTE_ALERT,
    Deployment(
        name="redrive",
        entrypoint="flows.acting.verbs.redrive_onboardings",
        tags=("acting",),
        description=f"""\
Lets **those who stand still be tried again**, by stage, hold, reason, integration, batch and age.

{_PREVIEW} Also a command: `onboard redrive`.
"""
        + _SEE,
    ),
    Deployment(
        name="cancel",
        entrypoint="flows.acting.verbs.cancel_onboardings",
        tags=("acting",),
        description=f"""\
**Ends onboardings for good**, by stage, hold, reason, integration, batch and age: their sealed auth values and consent
links are deleted. Completed ones are not touched, and nothing at Alloy is.

{_PREVIEW} Also a command: `onboard cancel`.
"""
        + _SEE,
    ),
    Deployment(
        name="answer",
        entrypoint="flows.acting.answering.answer_everyone",
        tags=("acting",),
        description=f"""\
Gives **one answer to everybody who lacks it**. Whoever has an answer of their own that fits keeps it.

{_PREVIEW} Also a command: `onboard answer --everyone`.
"""
        + _SEE,
    ),
    Deployment(
        name="renew-links",
        entrypoint="flows.acting.verbs.renew_consent_links",
        tags=("acting",),
        description=f"""\
Has **new consent links** issued to those who have not consented yet. The links are shown only by `onboard links`.

{_PREVIEW}
"""
        + _SEE,
    ),
    Deployment(
        name="review",
        entrypoint="flows.acting.review.review_open_questions",
        tags=("acting",),
        description="""\
Goes through the **open questions, a class at a time**, and pauses with a form for each: "312 customers lack `channel`:
which value?". What is decided is done for the whole class, and who decided is written into each history.

Once the run is *Paused*, *Resume* shows the form: it is in the menu at the top right of the run's page.

Without an open question it ends at once as *Nothing to review*; if nobody answers within the hour, as *Nobody decided*.
"""
        + _SEE,
    ),
)
