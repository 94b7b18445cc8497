"""The deployments as data, without a server; what registering them does is seen in test_up."""

import json
import re
from importlib import import_module
from urllib.parse import unquote
from uuid import uuid4

import pytest

from deployments.registering import Pool, to_runner_deployment
from deployments.schedules import DEPLOYMENTS, Deployment
from flows.acting.choices import AnyReason
from flows.desk.forms import FORMS, Forms
from flows.desk.remedies import forms_for
from flows.tidying import OUR_FLOWS
from states.holds import REMEDIES, HoldKind

TWICE_A_DAY = Deployment(
    name="twice-a-day",
    entrypoint="example_flows.greet",
    description="Says **hello**.",
    cron="0 6,18 * * *",
    at_once=1,
    parameters={"name": "Ada"},
    tags=("greeting",),
)


@pytest.fixture
def _example_flows(tmp_path, monkeypatch):
    (tmp_path / "example_flows.py").write_text(
        "from prefect import flow\n\n@flow\ndef greet(name: str, at_once: int): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("_example_flows")
def test_a_deployment_names_its_flow_by_module_path():
    prepared = to_runner_deployment(TWICE_A_DAY)

    assert prepared.entrypoint == "example_flows.greet"
    assert prepared.full_name == "greet/twice-a-day"
    assert prepared.parameters == {"name": "Ada", "at_once": 1}
    assert prepared.tags == ["greeting"]
    assert prepared.description == "Says **hello**."


@pytest.mark.usefixtures("_example_flows")
def test_prefect_is_not_asked_to_count_who_is_at_work_because_it_forgets_when_it_is_started_again():
    assert to_runner_deployment(TWICE_A_DAY).concurrency_limit is None


@pytest.mark.usefixtures("_example_flows")
def test_a_schedule_can_be_known_again_by_its_slug():
    schedules = to_runner_deployment(TWICE_A_DAY).schedules

    assert schedules is not None
    assert [(schedule.slug, schedule.active) for schedule in schedules] == [("twice-a-day", True)]


@pytest.mark.usefixtures("_example_flows")
def test_in_a_pool_there_is_a_schedule_for_each_of_the_runs_that_share_the_work_and_they_know_how_many_they_are():
    prepared = to_runner_deployment(TWICE_A_DAY, pool=Pool("ours", runs=3))

    assert prepared.schedules is not None
    assert [schedule.slug for schedule in prepared.schedules] == ["twice-a-day", "twice-a-day-2", "twice-a-day-3"]
    assert prepared.parameters == {"name": "Ada", "at_once": 3}
    assert prepared.work_pool_name == "ours"


@pytest.mark.usefixtures("_example_flows")
def test_a_run_in_a_pool_fetches_nothing_and_refuses_a_database_of_its_machines_own():
    prepared = to_runner_deployment(TWICE_A_DAY, pool=Pool("ours", runs=1))

    assert (prepared.storage, prepared.entrypoint) == (None, "example_flows.greet")
    assert prepared.job_variables == {"env": {"ONBOARD_SHARED": "true"}}


def test_the_names_of_the_deployments_differ_and_what_resumes_by_itself_is_told_how_many_runs_are_enough():
    by_themselves = {deployment.entrypoint: deployment.at_once for deployment in DEPLOYMENTS if deployment.cron}

    assert len({deployment.name for deployment in DEPLOYMENTS}) == len(DEPLOYMENTS)
    assert by_themselves["flows.onboard.resume_onboardings"] == 1
    assert "flows.desk.refreshing.refresh_desk" in by_themselves


def test_what_only_reads_is_scheduled_once_in_a_pool_that_resumes_with_several_runs():
    overview = next(deployment for deployment in DEPLOYMENTS if deployment.name == "overview")
    prepared = to_runner_deployment(overview, pool=Pool("ours", runs=3))

    assert prepared.schedules is not None
    assert [schedule.slug for schedule in prepared.schedules] == ["overview"]
    assert prepared.parameters == {}


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda deployment: deployment.name)
def test_every_deployment_leads_to_the_overview_with_one_click(deployment):
    assert "](/v2/artifacts/key/onboarding-overview)" in deployment.description


def test_every_form_that_the_desk_leads_to_is_deployed_and_has_the_fields_that_are_filled_in():
    registered = {one.name: to_runner_deployment(one) for one in DEPLOYMENTS if one.name in FORMS}
    forms = Forms({name: uuid4() for name in FORMS})
    linked = [
        forms_for(forms, hold, reason, batch="spring", username="ann") for hold in HoldKind for reason in REMEDIES
    ]

    assert {name: one.flow_name for name, one in registered.items()} == FORMS
    assert all(linked)
    for identity, filled in re.findall(r"deployment/([\w-]+)/run\?parameters=([\w%.-]+)", "".join(linked)):
        [name] = [name for name, one in forms.ids.items() if str(one) == identity]
        given = json.loads(unquote(filled))
        assert set(given) <= set(registered[name]._parameter_openapi_schema.properties), name
        assert given.get("reason", AnyReason.any) in set(AnyReason)


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda deployment: deployment.name)
def test_every_entrypoint_leads_to_a_flow(deployment):
    prepared = to_runner_deployment(deployment)

    assert prepared.entrypoint == deployment.entrypoint
    assert import_module(deployment.entrypoint.rsplit(".", 1)[0])


def test_what_prefect_keeps_of_every_flow_that_is_deployed_is_tidied_up_and_no_name_is_one_that_others_may_use():
    deployed = {to_runner_deployment(deployment).flow_name for deployment in DEPLOYMENTS}

    assert deployed == set(OUR_FLOWS)
    assert all("-" in name for name in OUR_FLOWS)


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda deployment: deployment.name)
def test_every_parameter_has_a_field_of_its_own_in_the_form_and_is_described_in_full_sentences(deployment):
    parameters = to_runner_deployment(deployment)._parameter_openapi_schema.properties

    # Of a text that may be None, Prefect's pages make a switch, and nothing to write into.
    assert [name for name, one in parameters.items() if "anyOf" in one] == []
    told = {name: str(one.get("description", "")) for name, one in parameters.items()}
    assert [name for name, text in told.items() if not (text[:1].isupper() and text.endswith("."))] == []
