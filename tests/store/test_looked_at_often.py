"""What operators look at often, asked through an engine and through the driver alone, of SQLite and of PostgreSQL."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, insert

from states.holds import HoldKind, Reason
from states.stage import Stage, Trigger
from store.completed_lately import Pace, present_pace
from store.consent_links import Link, links
from store.engine import writing
from store.models import CONSENT_LINK, HISTORY, INTENT, UNFINISHED_INTAKE
from store.read_only import Database
from store.story import Event, IntentView, story
from tests.store.conftest import Add


def test_the_pace_is_that_of_the_last_hour_from_the_first_that_was_completed_in_it(
    database: Database, add: Add, now: datetime
) -> None:
    for name, minutes in (("a", 61), ("b", 30), ("c", 15)):
        add(name, stage=Stage.completed, due_at=None, stage_since=now - timedelta(minutes=minutes))
    add("d", stage_since=now)

    pace = present_pace(database, now, batch="spring")

    assert pace == Pace(2, now - timedelta(minutes=30), 4.0)
    assert pace.time_for(10) == timedelta(hours=2.5)


def test_without_anybody_completed_there_is_no_pace(database: Database, add: Add, now: datetime) -> None:
    add("a")

    assert present_pace(database, now) == Pace(0, None, None)


def test_the_story_of_a_customer_has_words_and_times_as_they_were_written(
    database: Database, engine: Engine, add: Add, now: datetime
) -> None:
    form = [{"blockId": "b", "app": "slack", "fields": []}]
    held = {"hold": HoldKind.customer, "reason": Reason.awaiting_answer, "sentence": "no answer"}
    one = add("a", stage=Stage.installing, form=form, verified_at=None, link_issued_at=now, **held)
    add("b")
    with writing(engine) as connection:
        event = {"at": now, "stage": Stage.created, "trigger": Trigger.create_user, "sentence": "", "worker": "w"}
        connection.execute(insert(HISTORY).values(onboarding_id=one, **event))
        connection.execute(
            insert(INTENT).values(onboarding_id=one, trigger=Trigger.create_user, opened_at=now, settled_at=now)
        )

    [told] = story(database, "a").onboardings

    assert (told.stage, told.hold, told.reason, told.form) == (
        Stage.installing, HoldKind.customer, Reason.awaiting_answer, form,
    )  # fmt: skip
    assert (told.due_at, told.link_issued_at, told.verified_at) == (now, now, None)
    assert told.due_at is not None
    assert told.due_at.tzinfo is UTC
    assert told.history == [Event(now, Stage.created, Trigger.create_user, None, None, "", "w")]
    assert [(view.trigger, view.outcome) for view in told.intents] == [(Trigger.create_user, None)]
    assert isinstance(told.intents[0], IntentView)


def test_only_what_a_list_that_is_half_in_has_added_is_said_to_wait_for_it(
    database: Database, engine: Engine, add: Add, now: datetime
) -> None:
    before = add("a", "slack")
    add("a", "netsuite", due_at=None)
    with writing(engine) as connection:
        connection.execute(
            insert(UNFINISHED_INTAKE).values(
                batch_id=1, token="t", source="x.csv", fingerprint="", after_id=before, rows=1, changed=0, began_at=now
            )
        )

    assert [one.unfinished is not None for one in story(database, "a").onboardings] == [False, True]


def test_links_that_wait_are_the_oldest_first_and_none_of_who_is_cancelled(
    database: Database, engine: Engine, add: Add, now: datetime
) -> None:
    later = add("a", stage=Stage.created)
    first = add("b", stage=Stage.created)
    cancelled = add("c", stage=Stage.created, hold=HoldKind.cancelled, reason=Reason.cancelled)
    with writing(engine) as connection:
        for onboarding_id, minutes in ((later, 1), (first, 2), (cancelled, 3)):
            issued = now - timedelta(minutes=minutes)
            connection.execute(
                insert(CONSENT_LINK).values(onboarding_id=onboarding_id, sealed=b"\x00sealed", issued_at=issued)
            )

    assert links(database, batch="spring") == [
        Link("b", "", "netsuite", now - timedelta(minutes=2), b"\x00sealed"),
        Link("a", "", "netsuite", now - timedelta(minutes=1), b"\x00sealed"),
    ]
