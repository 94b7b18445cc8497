"""Cohorts that are held back and batches that are paused, as claims and outcomes make and meet them."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, insert, select, update

from states.forms import Given
from states.health import COHORT_SAMPLE, PROBES, FailureBudget, wait_before_probing
from states.holds import Hold, HoldKind, Reason
from states.stage import Stage, Trigger
from store.choosing import Chosen
from store.desk import answer, redrive
from store.engine import reading, writing
from store.leases import claim, outlook
from store.models import BATCH, CATALOGUE_INTEGRATION, HEALTH, ONBOARDING, QUARANTINE
from store.pausing import go_on
from store.records import Page, Record, Scope
from store.standstill import paused_batches, quarantined_cohorts
from store.views import find_batch, standing, story
from store.work import record_group
from store.writes import Held, Moved, Write
from tests.store.conftest import LEASE, Add

MINUTE = timedelta(minutes=1)
REFUSED = Hold(HoldKind.operator, Reason.rejected, "refused", None)
LATER = Hold(HoldKind.retry, Reason.refused_for_now, "refused", timedelta(seconds=2))
CONSENT = Hold(HoldKind.customer, Reason.awaiting_consent, "no consent", timedelta(seconds=2))
UNKNOWN = Hold(HoldKind.retry, Reason.unknown_outcome, "no answer", timedelta(seconds=2))
STARTED = {"installation_id": "i", "form": []}
GENEROUS = FailureBudget(share=1)


def take(engine: Engine, now: datetime, limit: int = 100, scope: Scope | None = None) -> list[Record]:
    page: Page | None = claim(engine, scope or Scope(), worker="w", limit=limit, lease=LEASE, now=now)
    return page.records if page is not None else []


def put(engine: Engine, now: datetime, writes: Sequence[Write], budget: FailureBudget = GENEROUS) -> None:
    assert record_group(engine, writes, worker="w", now=now, budget=budget) == [None] * len(writes)


def held(records: Sequence[Record], hold: Hold = REFUSED) -> list[Write]:
    return [Held(record, hold, 1) for record in records]


def moved(records: Sequence[Record]) -> list[Write]:
    return [Moved(record, Trigger.start_installation, STARTED) for record in records]


def add_many(add: Add, number: int, integration: str = "netsuite", **columns: Any) -> list[int]:
    columns = {"stage": Stage.authed, **columns}
    return [add(f"{integration}-{one:04d}@example.test", integration, **columns) for one in range(number)]


def row(engine: Engine, onboarding: int) -> Any:
    with reading(engine) as connection:
        return connection.execute(select(ONBOARDING).where(ONBOARDING.c.id == onboarding)).one()


def all_rows(engine: Engine) -> list[Any]:
    with reading(engine) as connection:
        return list(connection.execute(select(ONBOARDING).order_by(ONBOARDING.c.id)))


def quarantines(engine: Engine) -> list[Any]:
    with reading(engine) as connection:
        return list(connection.execute(select(QUARANTINE).order_by(QUARANTINE.c.id)))


def reject(engine: Engine, now: datetime, number: int = COHORT_SAMPLE) -> None:
    put(engine, now, held(take(engine, now, number)))


@pytest.fixture
def ill(engine: Engine, add: Add, now: datetime) -> list[int]:
    """Thirty of an integration that refuses everybody, of which twenty were tried."""
    ids = add_many(add, 30)
    reject(engine, now)
    return ids


# --- opening


def test_a_cohort_is_held_back_once_most_of_its_sample_were_refused_alike(
    engine: Engine, ill: list[int], now: datetime
) -> None:
    assert take(engine, now) == []
    [opened] = quarantines(engine)
    assert (opened.integration, opened.stage, opened.reason) == ("netsuite", Stage.authed, Reason.rejected)
    assert opened.probe_at == now + wait_before_probing(0)


def test_before_its_sample_is_full_nobody_is_held_back(engine: Engine, add: Add, now: datetime) -> None:
    add_many(add, 30)
    reject(engine, now, COHORT_SAMPLE - 1)

    assert len(take(engine, now)) == 30 - (COHORT_SAMPLE - 1)


def test_the_sample_is_the_same_whether_it_came_at_once_or_one_by_one(engine: Engine, add: Add, now: datetime) -> None:
    add_many(add, 30)
    for _ in range(COHORT_SAMPLE):
        reject(engine, now, 1)

    assert take(engine, now) == []


@pytest.mark.parametrize("hold", [CONSENT, UNKNOWN])
def test_waiting_for_people_and_unknown_outcomes_hold_nobody_back(
    engine: Engine, add: Add, now: datetime, hold: Hold
) -> None:
    add_many(add, 30)
    put(engine, now, held(take(engine, now, 25), hold))

    assert len(take(engine, now)) == 5


def test_who_is_refused_for_now_is_held_back_like_the_others(engine: Engine, add: Add, now: datetime) -> None:
    add_many(add, 30)
    put(engine, now, held(take(engine, now, COHORT_SAMPLE), LATER))

    assert take(engine, now + MINUTE / 2) == []


def test_other_integrations_and_other_stages_go_on(engine: Engine, ill: list[int], add: Add, now: datetime) -> None:
    other = add("a@example.test", "slack", stage=Stage.authed)
    further = add("b@example.test", "netsuite", stage=Stage.mapped)
    earlier = add("c@example.test", "netsuite", stage=Stage.created)

    claimed = [record.id for _ in range(3) for record in take(engine, now)]

    assert claimed == [further, other, earlier]


def test_a_customer_whose_one_onboarding_is_held_back_goes_on_with_the_other(
    engine: Engine, ill: list[int], add: Add, now: datetime
) -> None:
    other = add("netsuite-0025@example.test", "slack", stage=Stage.authed)

    assert [record.id for record in take(engine, now)] == [other]


def test_who_was_taken_in_before_the_id_was_known_is_of_the_same_cohort(
    engine: Engine, add: Add, now: datetime
) -> None:
    with writing(engine) as connection:
        connection.execute(
            insert(CATALOGUE_INTEGRATION),
            [
                {
                    "integration_id": "1",
                    "label": "NetSuite",
                    "apps": [],
                    "names": ["1", "netsuite", "erp"],
                    "read_at": now,
                },
                {"integration_id": "2", "label": "Other", "apps": [], "names": ["2", "other", "erp"], "read_at": now},
            ],
        )
    add_many(add, COHORT_SAMPLE, "by-id", integration_key="1", integration_id="1")
    reject(engine, now)
    add("by-name@example.test", "NetSuite", integration_key="netsuite", stage=Stage.authed)
    ambiguous = add("by-app@example.test", "erp", integration_key="erp", stage=Stage.authed)

    assert [record.id for record in take(engine, now)] == [ambiguous]


def test_workers_that_are_refused_at_once_open_one_quarantine(engine: Engine, add: Add, now: datetime) -> None:
    add_many(add, 200)

    def work(_: int) -> int:
        refused = 0
        while records := take(engine, now, limit=5):
            put(engine, now, held(records))
            refused += len(records)
        return refused

    with ThreadPoolExecutor(4) as pool:
        refused = sum(pool.map(work, range(4)))

    assert [one.closed_at for one in quarantines(engine)] == [None]
    assert COHORT_SAMPLE <= refused <= COHORT_SAMPLE + 4 * 5


# --- held back


def test_who_is_held_back_is_not_blamed_and_falls_due_with_the_probes(
    engine: Engine, ill: list[int], now: datetime
) -> None:
    take(engine, now)

    last = row(engine, ill[-1])
    assert (last.stage, last.hold, last.reason) == (Stage.authed, None, None)
    assert outlook(engine, Scope()).next_due_at == now + wait_before_probing(0)


def test_a_lease_that_ran_out_on_somebody_held_back_is_waited_for_by_nobody(
    engine: Engine, add: Add, now: datetime
) -> None:
    add_many(add, 30)
    records = take(engine, now)
    put(engine, now, held(records[:COHORT_SAMPLE]))

    with writing(engine) as connection:
        connection.execute(update(QUARANTINE).values(probe_at=now + 9 * MINUTE, held_until=now + 9 * MINUTE))
    assert take(engine, now + LEASE) == []
    ahead = outlook(engine, Scope())
    assert (ahead.leased, ahead.next_due_at) == (0, now + 9 * MINUTE)


def test_more_are_held_back_than_one_look_finds(engine: Engine, add: Add, now: datetime) -> None:
    add_many(add, 30 + 600)
    reject(engine, now)
    behind = add("z@example.test", "slack", stage=Stage.authed)

    assert [record.id for record in take(engine, now)] == [behind]
    assert outlook(engine, Scope()).next_due_at == now + wait_before_probing(0)


# --- probes


def test_a_few_are_let_through_at_the_time_of_the_probes(engine: Engine, ill: list[int], now: datetime) -> None:
    take(engine, now)
    later = now + MINUTE

    assert [len(take(engine, later)), len(take(engine, later))] == [PROBES, 0]
    assert outlook(engine, Scope()).next_due_at == later + wait_before_probing(1)


def test_probes_in_vain_make_the_next_ones_come_later(engine: Engine, ill: list[int], now: datetime) -> None:
    take(engine, now)
    first = now + MINUTE
    put(engine, first, held(take(engine, first)))

    assert take(engine, first + MINUTE) == []
    second = first + 2 * MINUTE
    assert len(take(engine, second)) == PROBES
    assert outlook(engine, Scope()).next_due_at == second + 4 * MINUTE


def test_one_probe_that_gets_past_releases_everybody(engine: Engine, ill: list[int], now: datetime) -> None:
    take(engine, now)
    later = now + MINUTE
    probes = take(engine, later)
    put(engine, later, [*held(probes[:1]), *moved(probes[1:2])])

    assert quarantines(engine)[0].closed_at == later
    assert len([record for _ in range(3) for record in take(engine, later) if record.stage is Stage.authed]) == 7


def test_a_probe_that_waits_for_its_customer_got_past(engine: Engine, ill: list[int], now: datetime) -> None:
    take(engine, now)
    put(engine, now + MINUTE, held(take(engine, now + MINUTE)[:1], CONSENT))

    assert quarantines(engine)[0].closed_at == now + MINUTE


def test_a_probe_whose_outcome_is_unknown_proves_nothing(engine: Engine, ill: list[int], now: datetime) -> None:
    take(engine, now)
    put(engine, now + MINUTE, held(take(engine, now + MINUTE), UNKNOWN))

    assert quarantines(engine)[0].closed_at is None


def test_who_was_in_hand_when_it_was_opened_is_no_probe(engine: Engine, add: Add, now: datetime) -> None:
    add_many(add, 30)
    records = take(engine, now)
    put(engine, now, held(records[:COHORT_SAMPLE]))
    put(engine, now, moved(records[COHORT_SAMPLE:]))

    assert quarantines(engine)[0].closed_at is None


def test_a_cohort_that_was_released_is_judged_anew(engine: Engine, add: Add, now: datetime) -> None:
    add_many(add, 70)
    reject(engine, now)
    take(engine, now)
    later = now + MINUTE
    put(engine, later, moved(take(engine, later)[:1]))
    with writing(engine) as connection:
        connection.execute(update(ONBOARDING).where(ONBOARDING.c.stage == Stage.installing).values(due_at=None))
    reject(engine, later, COHORT_SAMPLE - 1)
    assert len(quarantines(engine)) == 1
    reject(engine, later, 1)

    assert [one.closed_at for one in quarantines(engine)] == [later, None]


def test_health_costs_no_row_while_nobody_is_refused(engine: Engine, add: Add, now: datetime) -> None:
    add_many(add, 5)
    put(engine, now, moved(take(engine, now)))

    with reading(engine) as connection:
        assert connection.execute(select(HEALTH)).all() == []


# --- operators


def test_who_is_redriven_is_a_probe_at_once(engine: Engine, ill: list[int], now: datetime) -> None:
    take(engine, now)
    soon = now + timedelta(seconds=5)
    redrive(engine, Chosen(reason=Reason.rejected), by="ops", now=soon)

    probes = take(engine, soon)
    assert len(probes) == PROBES
    assert take(engine, soon) == []
    put(engine, soon, moved(probes[:1]))
    going_on = [record for _ in range(2) for record in take(engine, soon) if record.stage is Stage.authed]
    assert len(going_on) == 30 - PROBES


def test_probes_that_were_asked_for_make_nobody_wait_longer(engine: Engine, ill: list[int], now: datetime) -> None:
    take(engine, now)
    soon = now + timedelta(seconds=5)
    redrive(engine, Chosen(reason=Reason.rejected), by="ops", now=soon)
    put(engine, soon, held(take(engine, soon)))
    assert take(engine, soon) == []

    assert outlook(engine, Scope()).next_due_at == now + wait_before_probing(0)


def test_an_answer_has_those_who_were_held_back_probed(engine: Engine, add: Add, now: datetime) -> None:
    add_many(add, 30, stage=Stage.installing)
    put(engine, now, held(take(engine, now, COHORT_SAMPLE), replace(REFUSED, reason=Reason.invalid_answer)))
    take(engine, now)
    answer(engine, Chosen(username="netsuite-0029@example.test"), [Given(name="a", value="b")], by="ops", now=now)

    assert len(take(engine, now)) == PROBES


# --- the budget of a batch

TWO = FailureBudget(count=2)


def batch_of(engine: Engine) -> int:
    return find_batch(engine, "spring")


def spend(engine: Engine, now: datetime) -> None:
    put(engine, now, held(take(engine, now, 3)), TWO)


def test_a_batch_whose_budget_is_spent_is_claimed_by_nobody(engine: Engine, add: Add, now: datetime) -> None:
    add_many(add, 10)
    spend(engine, now)

    assert take(engine, now) == []
    assert take(engine, now, scope=Scope(batch_id=batch_of(engine))) == []
    assert outlook(engine, Scope()).next_due_at is None


def test_a_budget_that_is_not_spent_pauses_nobody(engine: Engine, add: Add, now: datetime) -> None:
    add_many(add, 10)
    put(engine, now, held(take(engine, now, 2)), TWO)

    assert len(take(engine, now)) == 8


def test_half_of_those_tried_last_spend_the_usual_budget(engine: Engine, add: Add, now: datetime) -> None:
    for kind in range(10):
        add_many(add, 7, f"kind-{kind}")
    records = take(engine, now)
    put(engine, now, [*held(records[:30]), *moved(records[30:60])], FailureBudget())
    assert paused_batches(engine) == []
    put(engine, now, held(records[60:65]), FailureBudget())

    assert [one.why for one in paused_batches(engine)] == ["54% of the last 65 records tried were refused"]


def test_what_a_quarantine_explains_does_not_spend_the_budget(engine: Engine, add: Add, now: datetime) -> None:
    add_many(add, 90)
    put(engine, now, held(take(engine, now)), FailureBudget(count=COHORT_SAMPLE))

    assert (len(quarantines(engine)), paused_batches(engine)) == (1, [])


def test_who_is_tried_again_and_again_spends_the_budget_once(engine: Engine, add: Add, now: datetime) -> None:
    add_many(add, 2)
    for second in range(5):
        put(engine, now + MINUTE * second, held(take(engine, now + MINUTE * second), LATER), TWO)

    assert paused_batches(engine) == []


def test_other_batches_go_on_beside_one_that_is_paused(engine: Engine, add: Add, now: datetime) -> None:
    add_many(add, 10)
    spend(engine, now)
    with writing(engine) as connection:
        autumn = connection.scalar(
            insert(BATCH).values(name="autumn", source="", templates=[], created_at=now).returning(BATCH.c.id)
        )
    other = add("a@example.test", "slack", batch_id=autumn)

    assert [record.id for record in take(engine, now)] == [other]


def test_a_batch_that_goes_on_is_claimed_where_it_stood(engine: Engine, add: Add, now: datetime) -> None:
    add_many(add, 10)
    spend(engine, now)
    take(engine, now)

    assert go_on(engine, batch_of(engine), now) is True
    assert len(take(engine, now)) == 7


def test_a_batch_that_goes_on_has_its_whole_budget_before_it(engine: Engine, add: Add, now: datetime) -> None:
    add_many(add, 10)
    spend(engine, now)
    go_on(engine, batch_of(engine), now)
    put(engine, now, held(take(engine, now, 2)), TWO)

    assert paused_batches(engine) == []


def test_what_waits_for_an_operator_is_not_let_go_with_its_batch(engine: Engine, add: Add, now: datetime) -> None:
    refused = add("a@example.test", stage=Stage.authed, hold=HoldKind.operator, reason=Reason.rejected, due_at=None)
    add_many(add, 10)
    spend(engine, now)
    go_on(engine, batch_of(engine), now)

    assert row(engine, refused).due_at is None


def test_a_batch_that_is_not_paused_is_left_as_it_is(engine: Engine, add: Add, now: datetime) -> None:
    add_many(add, 10)
    before = all_rows(engine)

    assert go_on(engine, batch_of(engine), now) is False
    assert all_rows(engine) == before


# --- what operators see


def test_the_counts_say_who_is_held_back(engine: Engine, ill: list[int], add: Add, now: datetime) -> None:
    [seen] = standing(engine).quarantined

    assert (seen.label, seen.stage, seen.reason, seen.held_back) == ("netsuite", Stage.authed, Reason.rejected, 10)
    assert (seen.since, seen.probe_at) == (now, now + wait_before_probing(0))


def test_a_batch_of_which_nobody_is_held_back_shows_no_quarantine(
    engine: Engine, ill: list[int], now: datetime
) -> None:
    with writing(engine) as connection:
        connection.execute(insert(BATCH).values(name="autumn", source="", templates=[], created_at=now))

    assert standing(engine, "autumn").quarantined == []
    assert len(standing(engine, "spring").quarantined) == 1


def test_who_is_paused_is_not_counted_as_quarantined_too(engine: Engine, ill: list[int], now: datetime) -> None:
    with writing(engine) as connection:
        connection.execute(update(BATCH).values(paused_at=now, paused_why="so it is"))

    assert [one.held_back for one in quarantined_cohorts(engine)] == [0]
    assert [(one.batch, one.since, one.why, one.held_back) for one in standing(engine).paused] == [
        ("spring", now, "so it is", 10)
    ]


def test_a_story_says_what_holds_its_record_back(engine: Engine, ill: list[int], now: datetime) -> None:
    [refused], [waiting] = (story(engine, f"netsuite-00{number}@example.test").onboardings for number in ("00", "29"))

    assert refused.quarantined is None
    assert waiting.quarantined is not None
