"""Group commit: writes gather while a group is being written, and each writer learns what became of its own."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from threading import Event
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from flows.recorder import Recorder
from store.writes import LeaseLost


class Books:
    """Stands for the database: remembers the groups, and holds the first one up until it is let go."""

    def __init__(self, *, held_up: bool = False) -> None:
        self.groups: list[list[Any]] = []
        self.answers: dict[Any, Any] = {}
        self.fault: Exception | None = None
        self.refused: Any = None
        self.let_go = Event()
        if not held_up:
            self.let_go.set()

    def record(self, group: Sequence[Any]) -> list[Any]:
        self.groups.append(list(group))
        assert self.let_go.wait(10)
        if self.fault is not None:
            raise self.fault
        if self.refused in group:
            raise IntegrityError("an insert", None, Exception("taken"))
        return [self.answers.get(write) for write in group]


@asynccontextmanager
async def recording(books: Books) -> AsyncIterator[Recorder]:
    with ThreadPoolExecutor(1) as executor:
        async with Recorder.open(books.record, executor) as recorder:
            yield recorder


def hand_in(recorder: Recorder, *writes: Any) -> list[asyncio.Task[int | None]]:
    return [asyncio.create_task(recorder.write(write)) for write in writes]


async def a_group_is_being_written(books: Books) -> None:
    async with asyncio.timeout(10):
        while not books.groups:  # noqa: ASYNC110 - it happens in another thread
            await asyncio.sleep(0.001)


async def test_a_single_write_waits_for_no_other() -> None:
    books = Books()
    async with recording(books) as recorder:
        await recorder.write("one")  # type: ignore[arg-type]

    assert books.groups == [["one"]]


async def test_what_arrives_while_a_group_is_written_makes_the_next_group_in_the_order_of_arrival() -> None:
    books = Books(held_up=True)
    async with recording(books) as recorder:
        first = hand_in(recorder, "one")
        await a_group_is_being_written(books)
        others = hand_in(recorder, "two", "three", "four")
        await asyncio.sleep(0)
        books.let_go.set()
        await asyncio.gather(*first, *others)

    assert books.groups == [["one"], ["two", "three", "four"]]


async def test_a_group_is_of_five_hundred_at_most() -> None:
    books = Books()
    async with recording(books) as recorder:
        await asyncio.gather(*hand_in(recorder, *range(1200)))

    assert [len(group) for group in books.groups] == [500, 500, 200]


async def test_a_writer_waits_until_its_group_is_written() -> None:
    books = Books(held_up=True)
    async with recording(books) as recorder:
        (writing,) = hand_in(recorder, "one")
        await a_group_is_being_written(books)

        assert not writing.done()

        books.let_go.set()
        await writing


async def test_each_writer_gets_the_answer_to_its_own_write() -> None:
    books = Books()
    books.answers = {"one": 11, "three": 33}
    async with recording(books) as recorder:
        assert await asyncio.gather(*hand_in(recorder, "one", "two", "three")) == [11, None, 33]


async def test_a_lost_lease_is_told_to_its_writer_and_to_nobody_else() -> None:
    books = Books()
    books.answers = {"two": LeaseLost("onboarding 2")}
    async with recording(books) as recorder:
        told = await asyncio.gather(*hand_in(recorder, "one", "two", "three"), return_exceptions=True)

    assert [type(one) for one in told] == [type(None), LeaseLost, type(None)]


async def test_a_database_that_fails_is_told_to_everybody_in_the_group() -> None:
    books = Books()
    books.fault = OSError("disk full")
    async with recording(books) as recorder:
        told = await asyncio.gather(*hand_in(recorder, "one", "two"), return_exceptions=True)

    assert told == [books.fault, books.fault]


async def test_after_a_failed_group_the_next_is_written() -> None:
    books = Books()
    books.fault = OSError("database is locked")
    async with recording(books) as recorder:
        with pytest.raises(OSError, match="locked"):
            await recorder.write("one")  # type: ignore[arg-type]
        books.fault = None
        await recorder.write("two")  # type: ignore[arg-type]

    assert books.groups == [["one"], ["two"]]


async def test_a_writer_that_gives_up_takes_nothing_back_and_disturbs_nobody() -> None:
    books = Books(held_up=True)
    async with recording(books) as recorder:
        gone, stays = hand_in(recorder, "one", "two")
        await a_group_is_being_written(books)
        gone.cancel()
        books.let_go.set()
        await stays

    assert books.groups == [["one", "two"]]


async def test_what_was_handed_in_is_written_before_the_recorder_closes() -> None:
    books = Books(held_up=True)
    async with recording(books) as recorder:
        hand_in(recorder, "one")
        await a_group_is_being_written(books)
        hand_in(recorder, "two")
        await asyncio.sleep(0)
        books.let_go.set()

    assert books.groups == [["one"], ["two"]]


async def test_every_group_is_announced() -> None:
    books = Books()
    async with recording(books) as recorder:
        recorder.changed.clear()
        await recorder.write("one")  # type: ignore[arg-type]
        async with asyncio.timeout(10):
            await recorder.changed.wait()


async def test_a_write_that_the_database_refuses_does_not_fail_its_group() -> None:
    books = Books(held_up=True)
    books.refused = "three"
    async with recording(books) as recorder:
        first = hand_in(recorder, "one")
        await a_group_is_being_written(books)
        others = hand_in(recorder, "two", "three", "four")
        await asyncio.sleep(0)
        books.let_go.set()
        results = await asyncio.gather(*first, *others, return_exceptions=True)

    assert [type(result) for result in results] == [type(None), type(None), IntegrityError, type(None)]


async def test_whoever_waits_for_the_last_group_is_answered_before_the_end() -> None:
    books = Books(held_up=True)
    async with recording(books) as recorder:
        (written,) = hand_in(recorder, "one")
        await a_group_is_being_written(books)
        books.let_go.set()

    assert await written is None


async def test_what_was_handed_in_is_written_though_its_writer_is_cancelled() -> None:
    books = Books(held_up=True)
    async with recording(books) as recorder:
        first = hand_in(recorder, "one")
        await a_group_is_being_written(books)
        others = hand_in(recorder, "two")
        await asyncio.sleep(0)
        for one in (*first, *others):
            one.cancel()
        await asyncio.gather(*first, *others, return_exceptions=True)
        books.let_go.set()

    assert books.groups == [["one"], ["two"]]
