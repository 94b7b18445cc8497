"""Every number on a page is equal to the one computed from the store in the same test; and what a page never holds."""

import json
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

import pytest
from sqlalchemy import Engine, insert, update

from flows.desk.batch import render_batch
from flows.desk.forms import FORMS, Forms
from flows.desk.overview import render_overview
from flows.desk.state_machine import held_at
from flows.desk.story import render_story
from flows.desk.waiting import render_waiting
from flows.desk.words import moment, share, span
from states.holds import HoldKind, Reason
from states.stage import Stage, Trigger
from states.transitions import BY_TRIGGER
from store.completed_lately import present_pace
from store.engine import time_of, writing
from store.figures import pages
from store.figures.completed import completed_by_hour
from store.figures.funnel import funnel
from store.figures.time_in_stage import time_in_stages
from store.models import BATCH, HISTORY, ONBOARDING
from store.standing import standing
from store.views import story
from tests.flows.world import World, on_sqlite

# The store's own figures are tested on both databases.
pytestmark = on_sqlite

LISTED = 130
ALL_FORMS = Forms({name: uuid4() for name in FORMS})
HOSTILE = "<b>x|`y`</b>@example.test"


@pytest.fixture
def now(engine: Engine) -> datetime:
    return time_of(engine)


@pytest.fixture
def world(database_url: str, engine: Engine, tmp_path: Path, now: datetime) -> World:
    """A batch as it stands half-way, of which some wait for everything that there is to wait for."""
    world = World(database_url, tmp_path)
    holds: list[tuple[Stage, HoldKind | None, Reason | None]] = [
        (Stage.created, HoldKind.customer, Reason.awaiting_consent),
        (Stage.installing, HoldKind.customer, Reason.awaiting_answer),
        (Stage.created, HoldKind.operator, Reason.missing_auth),
        (Stage.mapped, HoldKind.operator, Reason.rejected),
        (Stage.authed, HoldKind.retry, Reason.unreachable),
        (Stage.new, HoldKind.cancelled, Reason.cancelled),
        (Stage.authed, None, None),
        (Stage.completed, None, None),
        (Stage.completed, None, None),
    ]
    for number, (stage, hold, reason) in enumerate([*holds, *[holds[0]] * LISTED]):
        one = world.add(HOSTILE if number == 0 else f"c{number}@example.test", auth={"apiKey": "canary-value"})
        columns: dict[str, Any] = {"stage": stage, "hold": hold, "reason": reason, "sentence": hold and "why | not"}
        columns |= {"stage_since": now - timedelta(minutes=10 + number), "due_at": now if hold else None}
        with writing(engine) as connection:
            connection.execute(update(ONBOARDING).where(ONBOARDING.c.id == one).values(columns))
            for place, trigger in enumerate(Trigger):
                if list(Stage).index(BY_TRIGGER[trigger].dest) <= list(Stage).index(stage):
                    values = {"trigger": trigger, "stage": BY_TRIGGER[trigger].dest, "worker": "", "sentence": ""}
                    at = now + timedelta(minutes=place * (number + 1))
                    connection.execute(insert(HISTORY).values(onboarding_id=one, at=at, **values))
    return world


def forms_in(markdown: str) -> list[tuple[str, dict[str, str]]]:
    """The forms that are linked, with what they are filled in with, in the order in which they stand there."""
    names = {str(identity): name for name, identity in ALL_FORMS.ids.items()}
    found = re.findall(r"\]\(/v2/deployments/deployment/([\w-]+)/run(?:\?parameters=([\w%.~-]+))?\)", markdown)
    return [(names[identity], json.loads(unquote(filled) or "{}")) for identity, filled in found]


def cells(markdown: str, first: str) -> list[str]:
    """The cells of the row that begins with ``first``."""
    [row] = [line for line in markdown.splitlines() if line.startswith(f"| {first} |")]
    return [cell.strip() for cell in row.strip("|").split("|")]


def row_below(markdown: str, head: str) -> list[str]:
    lines = markdown.splitlines()
    [place] = [number for number, line in enumerate(lines) if line.startswith(f"| {head} |")]
    return [cell.strip() for cell in lines[place + 2].strip("|").split("|")]


def test_the_overview_counts_as_the_status_does(world: World, engine: Engine, now: datetime) -> None:
    shown = render_overview(pages.overview(engine, now))
    status = standing(engine)

    assert row_below(shown, "All") == [
        str(number)
        for number in (
            status.total, status.stages[Stage.completed], status.moving, status.holds[HoldKind.customer],
            status.holds[HoldKind.operator], status.holds[HoldKind.retry], status.holds[HoldKind.cancelled],
        )
    ]  # fmt: skip


def test_every_box_of_the_state_machine_has_the_number_of_those_who_stand_there(
    world: World, engine: Engine, now: datetime
) -> None:
    shown = render_overview(pages.overview(engine, now))
    status = standing(engine)
    stages = {Stage(stage): int(number) for stage, number in re.findall(r'^    (\w+)\["\w+: (\d+)"\]', shown, re.M)}
    beside = {
        (Stage(stage), HoldKind(hold)): int(number)
        for stage, hold, number in re.findall(r'-\.- (\w+?)_(\w+)\(\["[\w ]+: (\d+)"\]\)', shown)
    }

    assert stages == status.stages
    assert beside == {(stage, hold): n for stage in Stage for hold, n in held_at(status, stage).items()}
    assert {hold: sum(n for (_, kind), n in beside.items() if kind is hold) for hold in HoldKind} == status.holds


def test_the_overview_shows_how_many_got_how_far_and_how_long_it_took(
    world: World, engine: Engine, now: datetime
) -> None:
    shown = render_overview(pages.overview(engine, now))
    stays = {stay.stage: stay for stay in time_in_stages(engine)}

    for step in funnel(standing(engine)):
        stay = stays.get(step.stage)
        times = [span(stay.median), span(stay.longest_of_95), str(stay.number)] if stay else ["", "", ""]
        expected = [step.stage.value, str(step.here), str(step.reached), share(step.converted), *times]
        assert cells(shown, step.stage) == expected


def test_the_overview_shows_the_last_day_and_when_the_others_are_done(
    world: World, engine: Engine, now: datetime
) -> None:
    shown = render_overview(pages.overview(engine, now))
    status, pace = standing(engine), present_pace(engine, now)
    left = pace.time_for(status.moving + status.holds[HoldKind.retry])

    assert f"bar {[hour.completed for hour in completed_by_hour(engine, now)]}" in shown
    assert pace.completed > 0
    assert left is not None
    assert f"{pace.completed} in the last 60 minutes" in shown
    assert f"{status.moving + status.holds[HoldKind.retry]} onboardings on the way or tried again will take " in shown
    assert span(left) in shown


def test_the_waiting_lists_show_the_oldest_first_and_count_the_rest(
    world: World, engine: Engine, now: datetime
) -> None:
    shown = render_waiting(pages.waiting_list(engine, now))
    reasons = standing(engine).reasons
    [consent] = re.findall(r"## For consent: \d+.*?(?=\n## |\Z)", shown, re.S)
    since = re.findall(r"\| (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) \|", consent)

    assert f"## For consent: {reasons[Reason.awaiting_consent]}\n" in shown
    assert f"## For an answer: {reasons[Reason.awaiting_answer]}\n" in shown
    assert f"## For an operator: {reasons[Reason.missing_auth] + reasons[Reason.rejected]}\n" in shown
    assert f"## To be tried again: {reasons[Reason.unreachable]}\n" in shown
    assert (len(since), since) == (pages.SHOWN, sorted(since))
    assert f"and **{reasons[Reason.awaiting_consent] - pages.SHOWN} more**" in consent


def test_each_who_waits_has_the_command_that_moves_it_on(world: World, engine: Engine, now: datetime) -> None:
    shown = render_waiting(pages.waiting_list(engine, now))

    assert "| `onboard answer c1@example.test FIELD=VALUE` |" in shown
    assert "| `onboard redrive --username c2@example.test` |" in shown
    assert "| `onboard links --renew c20@example.test` |" not in shown  # beyond those who are shown
    assert f"| `onboard links --renew c{8 + LISTED}@example.test` |" in shown


def test_the_forms_that_act_are_linked_once_for_each_reason_and_filled_in_with_it(
    world: World, engine: Engine, now: datetime
) -> None:
    with writing(engine) as connection:
        connection.execute(update(BATCH).values(name=HOSTILE))
    waiting = render_waiting(pages.waiting_list(engine, now), ALL_FORMS)
    batch = render_batch(pages.batch_figures(engine, HOSTILE, now), ALL_FORMS)
    story = render_story(pages.customer_figures(engine, "c3@example.test", now), ALL_FORMS)

    assert sorted(forms_in(waiting), key=str) == sorted(
        [
            *(("from-a-list", {}), ("redrive", {"reason": "missing_auth"}), ("cancel", {"reason": "missing_auth"})),
            *(("from-a-list", {}), ("redrive", {"reason": "rejected"}), ("cancel", {"reason": "rejected"})),
            *(("answer", {}), ("cancel", {"reason": "awaiting_answer"})),
            *(("renew-links", {}), ("cancel", {"reason": "awaiting_consent"})),
            *(("every-five-minutes", {}), *[("review", {})] * 3),
        ],
        key=str,
    )
    assert ("redrive", {"reason": "rejected", "batch": HOSTILE}) in forms_in(batch)
    assert ("redrive", {"reason": "rejected", "batch": HOSTILE, "username": "c3@example.test"}) in forms_in(story)


def test_the_overview_leads_to_every_form_and_where_none_is_registered_to_none(
    world: World, engine: Engine, now: datetime
) -> None:
    figures = pages.overview(engine, now)

    assert {name for name, _ in forms_in(render_overview(figures, ALL_FORMS))} == set(FORMS)
    assert forms_in(render_overview(figures)) == []


def test_a_paused_batch_is_let_go_on_by_a_form_that_names_it(world: World, engine: Engine, now: datetime) -> None:
    with writing(engine) as connection:
        connection.execute(update(BATCH).values(name=HOSTILE, paused_at=now, paused_why="most were refused"))

    assert ("every-five-minutes", {"batch": HOSTILE}) in forms_in(
        render_overview(pages.overview(engine, now), ALL_FORMS)
    )


def test_the_page_of_a_batch_has_its_failures_by_reason_with_the_number_of_each(
    world: World, engine: Engine, now: datetime
) -> None:
    shown = render_batch(pages.batch_figures(engine, "spring", now))
    found = dict(re.findall(r"^\| (\w+): [a-z ]+ \| (\d+) \|", shown, re.M))

    assert found == {reason.value: str(number) for reason, number in standing(engine, "spring").reasons.items()}
    assert "add the missing auth columns and run the list again" in shown


def test_a_story_has_every_entry_of_its_history_and_a_bar_for_every_stage(
    world: World, engine: Engine, now: datetime
) -> None:
    shown = render_story(pages.customer_figures(engine, "c3@example.test", now))
    [one] = story(engine, "c3@example.test").onboardings

    assert all(f"| {moment(event.at)} | {event.stage} | **{event.trigger}** |" in shown for event in one.history)
    assert len(re.findall(r":(?:done|active), \d+, \d+$", shown, re.M)) == len(one.history) + 1
    assert "correct the row and run the list again" in shown


def test_what_a_list_supplied_cannot_break_out_of_a_page(world: World, engine: Engine, now: datetime) -> None:
    with writing(engine) as connection:
        connection.execute(update(BATCH).values(name=HOSTILE, source=HOSTILE))
        connection.execute(update(ONBOARDING).values(integration=HOSTILE))
    shown = "".join(
        [
            render_overview(pages.overview(engine, now)),
            render_waiting(pages.waiting_list(engine, now)),
            render_batch(pages.batch_figures(engine, HOSTILE, now)),
            render_story(pages.customer_figures(engine, HOSTILE, now)),
        ]
    )

    assert "<b>x" not in shown
    assert "`y`" not in shown
    assert "x|" not in shown


def test_no_page_holds_an_auth_value(world: World, engine: Engine, now: datetime) -> None:
    shown = render_waiting(pages.waiting_list(engine, now)) + render_story(pages.customer_figures(engine, HOSTILE, now))

    assert "canary-value" not in shown


def test_before_anybody_is_on_a_list_every_page_says_so(engine: Engine, now: datetime) -> None:
    assert "Nobody is on a list yet" in render_overview(pages.overview(engine, now))
    assert "Nobody waits." in render_waiting(pages.waiting_list(engine, now))
