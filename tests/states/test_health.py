"""When a cohort is judged, how it is probed, and when a batch has had enough."""

from datetime import timedelta

import pytest

from states.health import (
    BATCH_RECENT,
    BATCH_SAMPLE,
    COHORT_RECENT,
    COHORT_SAMPLE,
    FailureBudget,
    Recent,
    refusal_in,
    wait_before_probing,
)
from states.holds import Hold, HoldKind, Reason


def recent(*outcomes: tuple[int, Reason | None], most: int = COHORT_RECENT) -> Recent:
    """What is remembered after so many records in a row ended in each outcome."""
    remembered = Recent(most)
    onboarding_id = 0
    for number, refused in outcomes:
        for _ in range(number):
            onboarding_id += 1
            remembered.note(onboarding_id, refused)
    return remembered


# --- a cohort


def test_a_cohort_is_judged_by_no_fewer_than_its_sample() -> None:
    assert recent((COHORT_SAMPLE - 1, Reason.rejected)).refused_alike() is None
    assert recent((COHORT_SAMPLE, Reason.rejected)).refused_alike() is Reason.rejected


def test_half_of_them_is_not_most_of_them() -> None:
    assert recent((10, Reason.rejected), (10, None)).refused_alike() is None
    assert recent((11, Reason.rejected), (9, None)).refused_alike() is Reason.rejected


def test_who_is_refused_for_different_reasons_is_not_refused_alike() -> None:
    assert recent((10, Reason.rejected), (10, Reason.invalid_answer)).refused_alike() is None


def test_one_record_that_is_refused_again_and_again_is_one_record() -> None:
    remembered = Recent(COHORT_RECENT)
    for _ in range(2 * COHORT_SAMPLE):
        remembered.note(1, Reason.refused_for_now)

    assert remembered.refused_alike() is None


def test_what_lies_further_back_is_forgotten() -> None:
    assert recent((30, Reason.rejected), (20, None)).refused_alike() is None


def test_nothing_is_remembered_until_somebody_is_refused_and_when_nobody_is_any_more() -> None:
    assert recent((100, None)).outcomes == {}
    assert recent((1, Reason.rejected), (COHORT_RECENT, None)).outcomes == {}


def test_a_record_that_moves_on_after_all_is_no_longer_refused() -> None:
    remembered = recent((1, Reason.rejected))
    remembered.note(1, None)

    assert remembered.outcomes == {}


# --- what counts


@pytest.mark.parametrize(
    ("reason", "counts"),
    [
        (Reason.rejected, True),
        (Reason.refused_for_now, True),
        (Reason.invalid_answer, True),
        (Reason.unknown_outcome, False),
        (Reason.unreadable_answer, False),
        (Reason.not_confirmed, False),
        (Reason.unreachable, False),
        (Reason.rate_limited, False),
        (Reason.awaiting_consent, False),
        (Reason.awaiting_answer, False),
        (Reason.already_installed, False),
        (Reason.same_onboarding_twice, False),
        (Reason.user_of_another_customer, False),
    ],
)
def test_only_who_was_told_no_counts_as_refused(reason: Reason, counts: bool) -> None:
    hold = Hold(HoldKind.operator, reason, "why", None)

    assert refusal_in(hold) is (reason if counts else None)


# --- probing


def test_probes_come_ever_more_rarely_up_to_an_hour_apart() -> None:
    waits = [wait_before_probing(rounds) for rounds in (0, 1, 2, 3, 10, 10_000)]

    assert waits == [timedelta(minutes=number) for number in (1, 2, 4, 8, 60, 60)]


# --- the budget of a batch


def test_the_share_is_judged_by_no_fewer_than_the_sample() -> None:
    budget = FailureBudget(share=0.5)

    assert budget.spent(recent((BATCH_SAMPLE - 1, Reason.rejected), most=BATCH_RECENT), 49) is None
    assert budget.spent(recent((BATCH_SAMPLE, Reason.rejected), most=BATCH_RECENT), 50) is not None


def test_the_share_counts_every_reason() -> None:
    mixed = recent((20, Reason.rejected), (20, Reason.invalid_answer), (20, None), most=BATCH_RECENT)

    assert FailureBudget(share=0.5).spent(mixed, 40) == "67% of the last 60 records tried were refused"
    assert FailureBudget(share=0.7).spent(mixed, 40) is None


def test_a_share_of_everybody_is_never_exceeded() -> None:
    assert FailureBudget(share=1).spent(recent((BATCH_RECENT, Reason.rejected), most=BATCH_RECENT), 1000) is None


def test_the_count_is_judged_from_the_first_record_on() -> None:
    few = recent((4, Reason.rejected), most=BATCH_RECENT)

    assert FailureBudget(count=3).spent(few, 4) == "4 of its records were refused, and 3 may be"
    assert FailureBudget(count=4).spent(few, 4) is None
