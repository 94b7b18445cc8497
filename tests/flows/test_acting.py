"""The operators' forms on a real Prefect server: previewed, applied, and a review that is answered in its form."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.client.schemas.objects import FlowRun, State
from sqlalchemy import Engine, insert, select

from deployments.prefect_server import shared_prefect_server
from deployments.schedules import DEPLOYMENTS, Deployment
from flows.acting import pausing, review
from flows.acting.answering import answer_everyone
from flows.acting.choices import AnyHold, AnyReason, AnyStage, WhatToDo
from flows.acting.verbs import cancel_onboardings, redrive_onboardings, renew_consent_links
from states.holds import HoldKind, Reason
from states.stage import Stage
from states.transitions import LATEST_FIRST
from store.engine import make_engine, migrate, reading, writing
from store.models import BATCH, CUSTOMER, HISTORY, ONBOARDING

pytestmark = pytest.mark.prefect

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
FORM = [
    {
        "workflowId": "w",
        "blockId": "b",
        "app": "slack",
        "fields": [
            {
                "name": "channel",
                "displayName": "Where to",
                "type": "dropdown",
                "required": True,
                "options": [{"displayName": "#general", "value": "C1"}, {"displayName": "#orders", "value": "C2"}],
            }
        ],
    }
]
LACKS = {
    "stage": Stage.installing, "hold": HoldKind.customer, "reason": Reason.awaiting_answer, "form": FORM,
    "sentence": "no answer yet for channel (slack)", "due_at": NOW,
}  # fmt: skip
IN_DOUBT = {
    "stage": Stage.created, "hold": HoldKind.operator, "reason": Reason.credential_in_doubt, "sentence": "two of them",
}  # fmt: skip
GAVE_UP = {"stage": Stage.authed, "hold": HoldKind.operator, "reason": Reason.gave_up, "sentence": "no"}

Put = Callable[..., None]


@pytest.fixture(scope="module")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with shared_prefect_server(tmp_path_factory.mktemp("prefect")):
        yield


@pytest.fixture
def engine(prefect: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """The database that the forms find by the settings; there is no API key, for none of them calls Alloy."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ONBOARD_HOME", str(tmp_path))
    monkeypatch.delenv("ALLOY_API_KEY", raising=False)
    monkeypatch.setattr(pausing, "POLL_SECONDS", 0.1)
    engine = make_engine(f"sqlite:///{tmp_path / 'onboard.db'}")
    migrate(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def put(engine: Engine) -> Put:
    """Put an onboarding on record, as it might stand at some moment."""
    with writing(engine) as connection:
        connection.execute(insert(BATCH).values(id=1, name="spring", source="", templates=[], created_at=NOW))

    def put(*usernames: str, **more: Any) -> None:
        with writing(engine) as connection:
            for username in usernames:
                customer = connection.execute(
                    insert(CUSTOMER).values(username=username, created_at=NOW).returning(CUSTOMER.c.id)
                ).scalar_one()
                values = {
                    "batch_id": 1, "customer_id": customer, "integration": "Slack", "integration_key": "slack",
                    "stage": Stage.new, "stage_since": NOW, "created_at": NOW,
                }  # fmt: skip
                connection.execute(insert(ONBOARDING).values(**{**values, **more}))

    return put


def column(engine: Engine, name: str) -> list[Any]:
    with reading(engine) as connection:
        return list(connection.scalars(select(ONBOARDING.c[name]).order_by(ONBOARDING.c.id)))


def told(engine: Engine) -> list[str]:
    with reading(engine) as connection:
        return list(connection.scalars(select(HISTORY.c.sentence).order_by(HISTORY.c.id)))


async def shown_by(state: State[None]) -> str:
    run_id = state.state_details.flow_run_id
    assert run_id is not None
    async with get_client() as client:
        [artifact] = await client.read_artifacts(
            artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]))
        )
    return str(artifact.data)


async def test_a_preview_says_whom_it_would_reach_and_changes_nothing(engine: Engine, put: Put) -> None:
    put("ada@example.test", "bo@example.test", **GAVE_UP)
    put("cy@example.test", **IN_DOUBT)

    state = await redrive_onboardings(hold=AnyHold.operator, stage=AnyStage.authed, return_state=True)

    assert (state.name, told(engine)) == ("Preview: 2 would be redriven", [])
    shown = await shown_by(state)
    assert "| authed | 2 |" in shown
    assert "| operator | 2 |" in shown


async def test_what_is_applied_says_how_many_and_who_and_what_drives_them(engine: Engine, put: Put) -> None:
    put("ada@example.test", "bo@example.test", **GAVE_UP)
    put("cy@example.test", **IN_DOUBT)

    state = await redrive_onboardings(
        what_to_do=WhatToDo.apply, reason=AnyReason.gave_up, decided_by="Grace", return_state=True
    )

    assert state.name == "2 redriven by Grace"
    assert "next scheduled resume" in (state.message or "")
    assert told(engine) == ["to be tried again, says Grace"] * 2
    assert column(engine, "hold") == [None, None, HoldKind.operator]


async def test_a_form_that_names_nobody_is_refused_unless_everybody_is_meant(engine: Engine, put: Put) -> None:
    put("ada@example.test", **GAVE_UP)

    refused = await cancel_onboardings(what_to_do=WhatToDo.apply, decided_by="Grace", return_state=True)
    assert (refused.name, column(engine, "hold")) == ("Refused", [HoldKind.operator])
    done = await cancel_onboardings(what_to_do=WhatToDo.apply, decided_by="Grace", everybody=True, return_state=True)
    assert (done.name, column(engine, "hold")) == ("1 cancelled by Grace", [HoldKind.cancelled])


async def test_nothing_is_applied_unless_somebody_decides(engine: Engine, put: Put) -> None:
    put("ada@example.test", **GAVE_UP)

    state = await redrive_onboardings(what_to_do=WhatToDo.apply, batch="spring", decided_by="  ", return_state=True)

    assert (state.name, told(engine)) == ("Refused", [])


async def test_only_those_who_are_old_enough_are_meant(engine: Engine, put: Put) -> None:
    put("ada@example.test", **GAVE_UP)
    put("bo@example.test", **{**GAVE_UP, "stage_since": datetime.now(UTC)})

    state = await redrive_onboardings(older_than=2, return_state=True)

    assert state.name == "Preview: 1 would be redriven"


async def test_links_are_renewed_for_those_who_have_one(engine: Engine, put: Put) -> None:
    waits = {"stage": Stage.created, "hold": HoldKind.customer, "reason": Reason.awaiting_consent, "sentence": "waits"}
    put("ada@example.test", **waits, link_issued_at=NOW)
    put("bo@example.test", **waits)

    state = await renew_consent_links(
        what_to_do=WhatToDo.apply, integration="slack", decided_by="Grace", return_state=True
    )

    assert (state.name, told(engine)) == ("1 sent for a new link by Grace", ["a new consent link, says Grace"])


async def test_everybody_who_lacks_an_answer_gets_it(engine: Engine, put: Put) -> None:
    put("ada@example.test", "bo@example.test", **LACKS)

    previewed = await answer_everyone("channel", "#orders", return_state=True)
    wrong = await answer_everyone("channel", "#nowhere", return_state=True)
    nobody = await answer_everyone("limit", "3", return_state=True)
    assert [one.name for one in (previewed, wrong, nobody)] == [
        "Preview: 2 would be answered", "Refused", "Nobody lacks it",
    ]  # fmt: skip
    assert ("#general" in str(wrong.message), "channel" in str(nobody.message), told(engine)) == (True, True, [])

    applied = await answer_everyone(
        "channel", "#orders", what_to_do=WhatToDo.apply, decided_by="Grace", return_state=True
    )
    assert (applied.name, told(engine)) == ("2 answered by Grace", ["answered by Grace: channel"] * 2)


class Reviewer:
    """Somebody at the run's page: waits until it shows a form, and fills it in."""

    def __init__(self, run_id: UUID) -> None:
        self.run_id = run_id
        self._seen = ""

    async def run(self) -> FlowRun:
        async with get_client() as client:
            return await client.read_flow_run(self.run_id)

    async def form(self) -> tuple[dict[str, Any], str]:
        """Return the schema of the next form, and what is written above it."""
        until = time.monotonic() + 60
        async with get_client() as client:
            while time.monotonic() < until:
                state = (await client.read_flow_run(self.run_id)).state
                keys = state.state_details.run_input_keyset if state is not None and state.is_paused() else None
                if keys and keys["schema"] != self._seen and await self._has(client, keys["description"]):
                    self._seen = keys["schema"]
                    return tuple(
                        [json.loads(await client.read_flow_run_input(self.run_id, keys[one])) if one == "schema"
                         else await client.read_flow_run_input(self.run_id, keys[one])
                         for one in ("schema", "description")]
                    )  # fmt: skip
                await asyncio.sleep(0.1)
        raise AssertionError("no form was shown")

    async def fill_in(self, **values: Any) -> str:
        async with get_client() as client:
            result = await client.resume_flow_run(self.run_id, run_input=values)
        return str(result.status.value)

    async def _has(self, client: Any, key: str) -> bool:
        try:
            return bool(await client.read_flow_run_input(self.run_id, key))
        except Exception:  # it is written after the run pauses
            return False


@asynccontextmanager
async def reviewing(**parameters: Any) -> AsyncIterator[tuple[Reviewer, "asyncio.Task[State[None]]"]]:
    """Start a review as a run, and give out who answers it, and the run."""
    before = await _runs()
    running = asyncio.ensure_future(review.review_open_questions(**parameters, return_state=True))
    until = time.monotonic() + 60
    while not (started := await _runs() - before) and time.monotonic() < until:  # noqa: ASYNC110 - Prefect tells nobody
        await asyncio.sleep(0.05)
    try:
        yield Reviewer(started.pop()), running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _runs() -> set[UUID]:
    async with get_client() as client:
        return {run.id for run in await client.read_flow_runs(limit=200)}


async def test_with_no_open_question_a_review_ends_at_once(engine: Engine, put: Put) -> None:
    put("ada@example.test", hold=HoldKind.retry, reason=Reason.unreachable, sentence="later", due_at=NOW)

    state = await review.review_open_questions(return_state=True)

    assert (state.name, state.is_completed()) == ("Nothing to review", True)


async def test_a_review_asks_once_for_each_class_and_does_what_it_is_told(engine: Engine, put: Put) -> None:
    put("ada@example.test", "bo@example.test", **LACKS)
    put("cy@example.test", **IN_DOUBT)

    async with reviewing() as (reviewer, running):
        first, about_first = await reviewer.form()
        assert first["properties"]["decision"]["enum"] == ["leave them", "#general", "#orders"]
        assert "2 customers of Slack lack `channel`: which value?" in about_first
        assert await reviewer.fill_in(decision="#sales", decided_by="Grace") == "REJECT"
        assert await reviewer.fill_in(decision="#orders") == "REJECT"
        assert await reviewer.fill_in(decision="#orders", decided_by="Grace") == "ACCEPT"
        second, about_second = await reviewer.form()
        assert (second["properties"]["decision"]["enum"][0], len(second["properties"]["decision"]["enum"])) == (
            "leave them", 3,
        )  # fmt: skip
        assert second["properties"]["decided_by"]["default"] == "Grace"
        assert "delete the user's newest credentials" in about_second.replace("\\", "")
        assert await reviewer.fill_in(decision="leave them", decided_by="Grace") == "ACCEPT"
        state = await running

    assert (state.name, told(engine)) == ("Decided: 2 answered, 1 left", ["answered by Grace: channel"] * 2)
    assert column(engine, "hold") == [None, None, HoldKind.operator]


async def test_a_review_cancels_or_redrives_a_whole_class_but_not_who_came_since(engine: Engine, put: Put) -> None:
    put("ada@example.test", "bo@example.test", **GAVE_UP)
    put("cy@example.test", **IN_DOUBT)

    async with reviewing() as (reviewer, running):
        form, _ = await reviewer.form()
        put("di@example.test", **GAVE_UP)
        await reviewer.fill_in(decision="try again", decided_by="Grace")
        form, _ = await reviewer.form()
        await reviewer.fill_in(decision="cancel them for good", decided_by="Hal")
        state = await running

    assert state.name == "Decided: 2 redriven, 1 cancelled"
    assert form["properties"]["decision"]["enum"][1].startswith("their newest credential was deleted at Alloy")
    assert column(engine, "hold") == [None, None, HoldKind.cancelled, HoldKind.operator]
    assert [sentence.partition(";")[0] for sentence in told(engine)] == [
        *["to be tried again, says Grace"] * 2, "cancelled by Hal",
    ]  # fmt: skip


async def test_of_two_reviews_of_the_same_question_the_second_reaches_nobody(engine: Engine, put: Put) -> None:
    put("ada@example.test", **GAVE_UP)

    async with reviewing() as (one, one_running), reviewing() as (other, other_running):
        await asyncio.gather(one.form(), other.form())
        await one.fill_in(decision="try again", decided_by="Grace")
        first = await one_running
        await other.fill_in(decision="cancel them for good", decided_by="Hal")
        second = await other_running

    assert (first.name, second.name) == ("Decided: 1 redriven", "Decided: 1 left")
    assert told(engine) == ["to be tried again, says Grace"]


async def test_a_review_that_nobody_answers_ends_and_is_not_red(engine: Engine, put: Put) -> None:
    put("ada@example.test", **LACKS)

    state = await review.review_open_questions(timeout_minutes=1 / 60, return_state=True)

    assert (state.name, state.is_completed(), told(engine)) == ("Nobody decided: 1 left", True, [])


def test_the_forms_offer_every_stage_hold_and_reason_that_a_record_can_stand_still_with() -> None:
    never_held = {Reason.unauthorized, Reason.forbidden, Reason.wrong_host, Reason.not_shared}

    assert {*AnyStage} == {"any", *LATEST_FIRST}
    assert {*AnyHold} == {"any", *HoldKind}
    assert {*AnyReason} == {"any", *Reason} - never_held


@pytest.mark.parametrize(
    "deployment", [one for one in DEPLOYMENTS if "acting" in one.tags], ids=lambda deployment: deployment.name
)
def test_every_parameter_of_a_form_is_described_and_previewing_is_the_default(deployment: Deployment) -> None:
    from deployments.registering import to_runner_deployment

    properties = to_runner_deployment(deployment)._parameter_openapi_schema.properties

    assert [name for name, one in properties.items() if not one.get("description")] == []
    assert properties.get("what_to_do", {"default": "preview"})["default"] == "preview"
