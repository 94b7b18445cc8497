"""Signals as requests: the first one asks, the second one does what it did before."""

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from flows.stopping import stopped_by_signals


@pytest.fixture(params=[signal.SIGINT, signal.SIGTERM])
def number(request: pytest.FixtureRequest) -> signal.Signals:
    chosen: signal.Signals = request.param
    return chosen


@pytest.fixture
def heard(number: signal.Signals) -> Iterator[list[int]]:
    """What a handler heard that was there before."""
    heard: list[int] = []
    before = signal.signal(number, lambda of, _: heard.append(of))
    yield heard
    signal.signal(number, before)


async def test_the_first_signal_asks_the_run_to_stop(number: signal.Signals, heard: list[int]) -> None:
    stop = asyncio.Event()
    with stopped_by_signals(stop):
        os.kill(os.getpid(), number)
        async with asyncio.timeout(10):
            await stop.wait()

    assert heard == []


async def test_the_second_signal_does_what_it_did_before(number: signal.Signals, heard: list[int]) -> None:
    stop = asyncio.Event()
    with stopped_by_signals(stop, one_request=0):
        os.kill(os.getpid(), number)
        async with asyncio.timeout(10):
            await stop.wait()
            while signal.getsignal(number) is None or not heard:
                os.kill(os.getpid(), number)
                await asyncio.sleep(0.001)

    assert heard == [number]


async def test_two_signals_at_a_time_are_one_request(number: signal.Signals, heard: list[int]) -> None:
    stop = asyncio.Event()
    with stopped_by_signals(stop):
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
        async with asyncio.timeout(10):
            await stop.wait()

    assert heard == []


async def test_afterwards_signals_do_what_they_did_before(number: signal.Signals, heard: list[int]) -> None:
    stop = asyncio.Event()
    with stopped_by_signals(stop):
        pass
    os.kill(os.getpid(), number)
    await asyncio.sleep(0)

    assert (heard, stop.is_set()) == ([number], False)


async def test_in_another_thread_nothing_is_changed(number: signal.Signals) -> None:
    before = signal.getsignal(number)

    async def live() -> object:
        with stopped_by_signals(asyncio.Event()):
            return signal.getsignal(number)

    assert await asyncio.to_thread(asyncio.run, live()) is before
