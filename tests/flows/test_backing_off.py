"""Durable back-off: from seconds to a day, per record, kept in the database, until an operator is asked.

The clock jumps to whenever the record falls due, so that more than a month of waiting costs a second or two.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from random import Random

import httpx
import pytest

from deployments.sandbox.faults import Fault
from flows.alloy.transport import AiohttpTransport
from flows.loop import Driven
from flows.pacing import Pacing
from flows.resources import open_resources
from states.holds import LAST_ATTEMPT, HoldKind, Reason, wait_before_retry
from states.stage import Stage
from store.records import Scope
from store.views import Event
from tests.flows.world import World, on_sqlite

DAY = timedelta(days=1)
BROKEN = Fault(kind="err_before", route="start_installation", count=10_000)


def failures(world: World) -> list[Event]:
    return [event for event in world.story().history if event.hold is not None]


async def run_until_held(world: World, kind: HoldKind) -> None:
    """Let the time of the next attempt come, again and again; each run opens and closes everything, as a process."""
    for _ in range(2 * LAST_ATTEMPT):
        driven = await world.run()
        if world.story().hold is kind:
            return
        assert driven.next_due_at is not None
        world.clock.ahead += max(driven.next_due_at - world.clock.now(), timedelta(0))
    raise AssertionError(f"never held for {kind}")


def waits_between(events: Sequence[Event]) -> list[timedelta]:
    return [later.at - earlier.at for earlier, later in pairwise(events)]


async def test_the_last_of_forty_attempts_asks_an_operator_and_every_error_is_in_the_history(
    database_url: str, tmp_path: Path
) -> None:
    async with World(database_url, tmp_path) as world:
        world.add()
        world.sandbox.faults.add(BROKEN)

        await run_until_held(world, HoldKind.operator)

        held, told = world.story(), failures(world)
        assert (held.stage, held.reason, held.attempts, held.due_at) == (
            Stage.authed, Reason.gave_up, LAST_ATTEMPT, None,
        )  # fmt: skip
        assert [event.hold for event in told] == [HoldKind.retry] * (LAST_ATTEMPT - 1) + [HoldKind.operator]
        assert all("503" in event.sentence or "outcome" in event.sentence for event in told)
        assert f"given up after {LAST_ATTEMPT} attempts" in told[-1].sentence
        assert "`onboard redrive`" in told[-1].sentence


@on_sqlite
async def test_the_waits_double_from_seconds_to_a_day_and_no_two_are_alike(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        world.add()
        world.sandbox.faults.add(BROKEN)

        await run_until_held(world, HoldKind.operator)

        waits = waits_between(failures(world))
        lag = timedelta(seconds=30)  # a look-up may be waited for longer, and a run takes its time
        for attempt, wait in enumerate(waits, start=1):
            assert wait_before_retry(attempt, 0.0) - timedelta(seconds=1) <= wait
            assert wait <= wait_before_retry(attempt, 1.0, timedelta(seconds=60)) + lag
        assert max(waits) > DAY / 2
        assert len(set(waits)) == len(waits)


@on_sqlite
async def test_records_that_fail_together_are_not_tried_again_together(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        names = [f"{number}@example.test" for number in range(5)]
        for name in names:
            world.add(name)
        world.sandbox.faults.add(Fault(kind="err_before", route="create_user", count=10_000))

        for _ in range(8):
            driven = await world.run()
            assert driven.next_due_at is not None
            world.clock.ahead += max(driven.next_due_at - world.clock.now(), timedelta(0))

        due = sorted(due for name in names if (due := world.story(name).due_at) is not None)
        assert len(due) == len(names)
        assert due[-1] - due[0] > timedelta(seconds=2)


async def test_a_restart_changes_neither_the_time_nor_the_count(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        world.add()
        world.sandbox.faults.add(BROKEN)
        await world.run()
        before, calls = world.story(), len(list(world.sandbox.requests))

        for _ in range(3):
            await world.run()

        after = world.story()
        assert before.hold is HoldKind.retry
        assert before.attempts > 0
        assert (after.due_at, after.attempts, after.history) == (before.due_at, before.attempts, before.history)
        assert len(list(world.sandbox.requests)) == calls


async def test_success_at_one_stage_gives_the_next_one_all_its_attempts(database_url: str, tmp_path: Path) -> None:
    async with World(database_url, tmp_path) as world:
        world.add()
        world.sandbox.faults.add(Fault(kind="err_before", route="start_installation", count=9))
        world.sandbox.faults.add(Fault(kind="err_before", route="complete_installation", count=10_000))

        while world.story().stage is not Stage.mapped:
            driven = await world.run()
            assert driven.next_due_at is not None
            world.clock.ahead += max(driven.next_due_at - world.clock.now(), timedelta(0))
            if world.story().stage is Stage.authed:
                most = world.story().attempts

        assert world.story().attempts < most


# --- what Alloy asks for


class SlowingDown(httpx.AsyncBaseTransport):
    """Refuses one route for now, and says in its own way for how long."""

    def __init__(self, path: str, header: str | None, *, date: datetime) -> None:
        self._inner = AiohttpTransport(secure=False)
        self._path = path
        headers = [] if header is None else [(b"retry-after", header.encode())]
        self._headers = [*headers, (b"date", f"{date:%a, %d %b %Y %H:%M:%S} GMT".encode())]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == self._path:
            return httpx.Response(503, headers=self._headers, content=b"{}", request=request)
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


class SlowedDown(World):
    """A world in which no user can be created, and Alloy says when to ask again."""

    header: str | None = None
    ahead_of_us = timedelta(0)
    """How wrong the two clocks are."""

    async def run(self, scope: Scope | None = None) -> Driven:
        date = datetime.now(tz=self.clock.now().tzinfo) + self.ahead_of_us
        header = self.header.format(soon=date + timedelta(minutes=20)) if self.header else self.header
        async with open_resources(
            self.settings,
            clock=self.clock,
            pacing=Pacing(self.rate, clock=self.clock.monotonic, sleep=self.clock.sleep),
            random=Random(1),  # noqa: S311 - a repeatable test
            transport=SlowingDown("/users", header, date=date),
        ) as resources:
            return await self.loop(resources, scope).run()

    async def wait_after_failing(self) -> timedelta:
        """Return for how long the record stands still after the last attempt of one run."""
        self.add()
        await self.run()
        held, [*_, last] = self.story(), failures(self)
        assert (held.hold, held.stage) == (HoldKind.retry, Stage.new)
        assert held.due_at is not None
        return held.due_at - last.at


MINUTES = timedelta(minutes=1)
SOON = "{soon:%a, %d %b %Y %H:%M:%S} GMT"


@on_sqlite
@pytest.mark.parametrize(
    ("header", "at_least", "at_most"),
    [
        ("1200", 20 * MINUTES, 22 * MINUTES),
        ("1200.5", 20 * MINUTES, 22.1 * MINUTES),
        (SOON, 19.9 * MINUTES, 22 * MINUTES),
        ("31536000", DAY, 1.1 * DAY),
        ("9" * 400, DAY, 1.1 * DAY),
        ("Fri, 31 Dec 9999 23:59:59 GMT", DAY, 1.1 * DAY),
        *(
            (ours, timedelta(0), MINUTES)
            for ours in (
                None, "", "0", "-5", "soon", "nan", "1e9", "Wed, 21 Oct 2015 07:28:00 GMT",
                "Mon, 05 Jan 99999999999999999999 10:00:30 GMT", "Mon, 05 Jan 2026 10:00:30 +99999999999999",
            )
        ),
    ],
    ids=lambda value: str(value)[:40] or "empty",
)  # fmt: skip
async def test_what_alloy_asks_for_is_waited_for_up_to_a_day_and_nonsense_is_not(
    database_url: str, tmp_path: Path, header: str | None, at_least: timedelta, at_most: timedelta
) -> None:
    async with SlowedDown(database_url, tmp_path) as world:
        world.header = header

        waited = await world.wait_after_failing()

        assert at_least <= waited <= at_most


@on_sqlite
@pytest.mark.parametrize("hours", [-3, 3])
async def test_a_date_is_read_by_the_clock_that_wrote_it(database_url: str, tmp_path: Path, hours: int) -> None:
    async with SlowedDown(database_url, tmp_path) as world:
        world.header, world.ahead_of_us = SOON, timedelta(hours=hours)

        waited = await world.wait_after_failing()

        assert 19.9 * MINUTES <= waited <= 22 * MINUTES
