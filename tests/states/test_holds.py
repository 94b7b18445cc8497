"""How long a record stands still, and what people are told."""

from datetime import timedelta

import pytest

from states.holds import (
    LAST_ATTEMPT,
    LOOKED_FOR_FREELY,
    REMEDIES,
    Reason,
    wait_before_looking,
    wait_before_retry,
    wait_in_a_crowd,
)


def test_retries_start_within_two_seconds() -> None:
    assert timedelta(seconds=1) <= wait_before_retry(1, 0.0) <= wait_before_retry(1, 0.999) <= timedelta(seconds=2)


def test_retries_double_up_to_a_day() -> None:
    waits = [wait_before_retry(attempt, 0.999999) for attempt in range(1, LAST_ATTEMPT)]

    assert waits == sorted(waits)
    assert waits[-1] <= timedelta(days=1)
    assert waits[-1] > timedelta(hours=23)


def test_what_the_vendor_asks_for_is_a_minimum_that_jitter_only_lengthens() -> None:
    asked = timedelta(minutes=5)

    assert asked == wait_before_retry(1, 0.0, asked)
    assert asked < wait_before_retry(1, 0.9, asked) < asked * 1.1


def test_an_absurd_wait_is_cut_to_a_day() -> None:
    assert wait_before_retry(1, 0.0, timedelta(days=4000)) == timedelta(days=1)


def test_looks_come_after_2_4_8_and_16_seconds() -> None:
    waited, times = timedelta(0), []
    for _ in range(4):
        waited += wait_before_looking(waited)
        times.append(waited.total_seconds())

    assert times == [2, 4, 8, 16]


def test_looks_are_never_more_than_six_hours_apart() -> None:
    assert wait_before_looking(timedelta(days=300)) == timedelta(hours=6)


def test_few_who_wait_are_looked_for_as_if_each_were_the_only_one() -> None:
    assert wait_in_a_crowd(LOOKED_FOR_FREELY, rate=0.1) == timedelta(0)


@pytest.mark.parametrize("rate", [5.0, 40.0])
@pytest.mark.parametrize("waiting", [1_000, 20_000])
def test_looking_for_many_takes_a_fifth_of_the_calls_at_most(waiting: int, rate: float) -> None:
    crowd = wait_in_a_crowd(waiting, rate)
    spreads = [(number + 0.5) / 100 for number in range(100)]

    apart = [wait_before_looking(timedelta(0), spread=spread, crowd=crowd).total_seconds() for spread in spreads]
    looks_per_second = waiting / (sum(apart) / len(apart))

    assert 0.9 * rate / 5 < looks_per_second <= 1.03 * rate / 5


def test_those_who_began_to_wait_together_are_not_looked_for_together() -> None:
    waits = [wait_before_looking(timedelta(days=1), spread=spread) for spread in (0.0, 0.25, 0.5, 0.75)]

    assert waits == sorted(set(waits))
    assert waits[-1] - waits[0] > timedelta(minutes=30)


@pytest.mark.parametrize("reason", list(Reason)[list(Reason).index(Reason.awaiting_consent) :])
def test_whoever_must_act_is_told_how(reason: Reason) -> None:
    run_level = {Reason.unauthorized, Reason.forbidden, Reason.wrong_host, Reason.not_shared}

    assert (reason in REMEDIES) is (reason not in run_level)
