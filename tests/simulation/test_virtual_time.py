"""The loop under the simulation: time that jumps, parties that stop, and an order that is drawn by lot."""

import asyncio
import time
from random import Random

import pytest

from tests.simulation.virtual_time import Party, Stuck, VirtualLoop, context_of, no_real_time


def play(story, *, seed: int = 0):
    loop = VirtualLoop(Random(seed), most_steps=10_000)  # noqa: S311 - repeatable
    try:
        with no_real_time(loop):
            return loop.run_until_complete(story(loop))
    finally:
        loop.close()


def test_a_year_passes_in_no_time() -> None:
    async def story(loop: VirtualLoop) -> float:
        await asyncio.sleep(365 * 86_400)
        return loop.time()

    assert play(story) == 365 * 86_400


def test_the_standard_librarys_clock_goes_with_it() -> None:
    async def story(loop: VirtualLoop) -> float:
        began = time.monotonic()
        await asyncio.sleep(100)
        return time.monotonic() - began

    assert play(story) == 100


def test_a_timeout_strikes_at_its_time() -> None:
    async def story(loop: VirtualLoop) -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3):
                await asyncio.sleep(10)
        return loop.time()

    assert play(story) == 3


def test_a_stopped_party_does_late_what_it_would_have_done_meanwhile() -> None:
    async def story(loop: VirtualLoop) -> list[float]:
        times: list[float] = []

        async def live() -> None:
            for _ in range(3):
                await asyncio.sleep(10)
                times.append(loop.time())

        party = Party("stopped")
        life = loop.create_task(live(), context=context_of(party))
        await asyncio.sleep(15)
        party.stopped = True
        await asyncio.sleep(30)
        party.stopped = False
        await life
        return times

    assert play(story) == [10, 45, 55]


def test_what_a_stopped_party_has_called_off_does_not_happen() -> None:
    async def story(loop: VirtualLoop) -> bool:
        async def live() -> bool:
            try:
                async with asyncio.timeout(20):
                    await asyncio.sleep(10)  # both fall due while it is stopped; this one did so first
            except TimeoutError:
                return False
            return True

        party = Party("stopped")
        life = loop.create_task(live(), context=context_of(party))
        await asyncio.sleep(5)
        party.stopped = True
        await asyncio.sleep(3)
        party.stopped = False
        return await life

    assert play(story)


def test_who_comes_first_of_several_is_the_seeds_choice_and_no_accident() -> None:
    async def story(loop: VirtualLoop) -> str:
        order: list[str] = []

        async def live(name: str) -> None:
            for _ in range(5):
                await asyncio.sleep(1)
                order.append(name)

        await asyncio.gather(*(loop.create_task(live(name), context=context_of(Party(name))) for name in "abc"))
        return "".join(order)

    assert play(story, seed=1) == play(story, seed=1)
    assert len({play(story, seed=seed) for seed in range(5)}) > 1


def test_waiting_for_what_never_comes_is_an_error() -> None:
    async def story(loop: VirtualLoop) -> None:
        await loop.create_future()

    with pytest.raises(Stuck):
        play(story)


def test_going_round_for_ever_is_an_error() -> None:
    async def story(loop: VirtualLoop) -> None:
        while True:  # noqa: ASYNC110 - on purpose
            await asyncio.sleep(0)

    with pytest.raises(Stuck):
        play(story)
