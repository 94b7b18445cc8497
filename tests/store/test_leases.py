"""Due onboardings are claimed by one worker at a time, the furthest first, one of each customer."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import chain

from sqlalchemy import Engine, update

from states.holds import HoldKind
from states.stage import Stage
from store.engine import writing
from store.leases import claim, outlook, release, renew
from store.models import ONBOARDING
from store.records import Page, Scope
from tests.store.conftest import LEASE, Add

EVERYTHING = Scope()
SECOND = timedelta(seconds=1)


def take(
    engine: Engine, now: datetime, *, worker: str = "w1", limit: int = 10, size: int = 1, scope: Scope = EVERYTHING
) -> Page | None:
    return claim(engine, scope, worker=worker, limit=limit, size=size, lease=LEASE, now=now)


def ids(page: Page | None) -> list[int]:
    return [] if page is None else [record.id for record in page.records]


def test_what_is_due_is_claimed_once(engine: Engine, add: Add, now: datetime) -> None:
    onboarding = add()

    assert ids(take(engine, now)) == [onboarding]
    assert take(engine, now, worker="w2") is None


def test_what_is_not_due_yet_is_left_alone(engine: Engine, add: Add, now: datetime) -> None:
    add(due_at=now + SECOND)

    assert take(engine, now) is None


def test_what_waits_for_an_operator_is_left_alone(engine: Engine, add: Add, now: datetime) -> None:
    add(due_at=None, hold=HoldKind.operator)

    assert take(engine, now) is None


def test_the_latest_stage_is_claimed_first(engine: Engine, add: Add, now: datetime) -> None:
    add("new@example.test")
    mapped = add("mapped@example.test", stage=Stage.mapped)

    assert ids(take(engine, now)) == [mapped]


def test_what_a_dead_worker_held_is_claimed_before_what_is_further(engine: Engine, add: Add, now: datetime) -> None:
    left_behind = add("left-behind@example.test", due_at=now - LEASE)
    take(engine, now - LEASE, worker="dead")
    for number in range(4):
        add(f"c{number}@example.test", stage=Stage.mapped)

    assert ids(take(engine, now, size=4)) == [left_behind]


def test_a_large_page_is_not_spent_on_a_straggler(engine: Engine, add: Add, now: datetime) -> None:
    new = [add(f"c{number}@example.test") for number in range(4)]
    add("mapped@example.test", stage=Stage.mapped)

    assert ids(take(engine, now, size=8)) == new


def test_the_latest_stage_that_fills_half_a_page_is_claimed_first(engine: Engine, add: Add, now: datetime) -> None:
    for number in range(4):
        add(f"c{number}@example.test")
    mapped = [add(f"mapped{number}@example.test", stage=Stage.mapped) for number in range(2)]

    assert ids(take(engine, now, size=4)) == mapped


def test_what_was_claimed_together_is_split_into_pages_of_one_lease(engine: Engine, add: Add, now: datetime) -> None:
    onboardings = [add(f"c{number}@example.test") for number in range(5)]
    claimed = take(engine, now)
    assert claimed is not None

    pages = claimed.split(2)

    assert [ids(page) for page in pages] == [onboardings[:2], onboardings[2:4], onboardings[4:]]
    assert {page.token for page in pages} == {claimed.token}
    assert len({page.key for page in pages}) == 3


def test_a_page_holds_one_stage_and_at_most_its_limit(engine: Engine, add: Add, now: datetime) -> None:
    first = [add(f"c{number}@example.test") for number in range(5)]

    assert ids(take(engine, now, limit=3)) == first[:3]


def test_one_onboarding_of_a_customer_is_claimed_at_a_time(engine: Engine, add: Add, now: datetime) -> None:
    first = add(integration="netsuite")
    add(integration="slack")

    assert ids(take(engine, now)) == [first]
    assert take(engine, now, worker="w2") is None


def test_the_other_onboarding_of_a_customer_follows_when_the_first_is_given_back(
    engine: Engine, add: Add, now: datetime
) -> None:
    add(integration="netsuite")
    second = add(integration="slack", due_at=now - SECOND)
    page = take(engine, now)
    assert page is not None
    release(engine, [page.token])

    assert ids(take(engine, now)) == [second]


def test_a_lease_that_ran_out_is_claimed_by_the_next_worker(engine: Engine, add: Add, now: datetime) -> None:
    onboarding = add()
    take(engine, now)

    assert take(engine, now + LEASE - SECOND, worker="w2") is None
    assert ids(take(engine, now + LEASE, worker="w2")) == [onboarding]


def test_a_renewed_lease_lasts_longer(engine: Engine, add: Add, now: datetime) -> None:
    add()
    page = take(engine, now)
    assert page is not None

    assert renew(engine, [page.token], lease=LEASE, now=now + LEASE / 2) == 1
    assert take(engine, now + LEASE, worker="w2") is None


def test_a_lease_that_ran_out_cannot_be_renewed(engine: Engine, add: Add, now: datetime) -> None:
    add()
    page = take(engine, now)
    assert page is not None

    assert renew(engine, [page.token], lease=LEASE, now=now + LEASE) == 0


def test_a_released_record_is_as_it_was(engine: Engine, add: Add, now: datetime) -> None:
    onboarding = add()
    page = take(engine, now)
    assert page is not None
    release(engine, [page.token])

    assert ids(take(engine, now, worker="w2")) == [onboarding]


def test_a_scope_keeps_a_run_to_its_own(engine: Engine, add: Add, now: datetime) -> None:
    add()

    assert take(engine, now, scope=Scope(batch_id=999)) is None


def test_many_workers_at_once_share_without_overlap(engine: Engine, add: Add, now: datetime) -> None:
    expected = {add(f"c{number}@example.test") for number in range(60)}

    def work(worker: int) -> list[int]:
        taken: list[int] = []
        while (page := take(engine, now, worker=f"w{worker}", limit=4)) is not None:
            taken += ids(page)
        return taken

    with ThreadPoolExecutor(4) as pool:
        shares = list(pool.map(work, range(4)))

    assert sorted(chain.from_iterable(shares)) == sorted(expected)


def test_two_workers_never_hold_two_onboardings_of_one_customer(engine: Engine, add: Add, now: datetime) -> None:
    for number in range(20):
        add(f"c{number}@example.test", "netsuite")
        add(f"c{number}@example.test", "slack")

    with ThreadPoolExecutor(4) as pool:
        pages = list(pool.map(lambda worker: take(engine, now, worker=f"w{worker}", limit=40), range(8)))

    customers = [record.customer_id for page in pages if page for record in page.records]
    assert len(customers) == len(set(customers))


def test_the_outlook_tells_what_falls_due_next_and_what_is_leased(engine: Engine, add: Add, now: datetime) -> None:
    add("a@example.test")
    add("b@example.test", due_at=now + 5 * SECOND)
    take(engine, now)

    ahead = outlook(engine, EVERYTHING)

    assert (ahead.next_due_at, ahead.leased, ahead.leased_until) == (now + 5 * SECOND, 1, now + LEASE)


def test_what_falls_due_only_after_its_lease_is_waited_for_until_then(engine: Engine, add: Add, now: datetime) -> None:
    add()
    take(engine, now)
    due = now + LEASE + 5 * SECOND
    with writing(engine) as connection:  # as an operator may have made it, whose clock was ahead
        connection.execute(update(ONBOARDING).values(due_at=due))

    ahead = outlook(engine, EVERYTHING)

    assert (ahead.next_due_at, ahead.leased, ahead.leased_until) == (due, 0, None)


def test_a_claimed_record_knows_the_other_onboardings_of_its_customer(engine: Engine, add: Add, now: datetime) -> None:
    other = add(integration="slack", stage=Stage.completed, due_at=None, credential_id="cred")
    add(integration="netsuite", stage=Stage.created)
    page = take(engine, now)
    assert page is not None

    assert [(one.id, one.credential_id) for one in page.records[0].siblings] == [(other, "cred")]
