"""A transaction that was ended to resolve a deadlock is tried again; real deadlocks are in ``test_circles.py``."""

import pytest
from sqlalchemy.exc import OperationalError

from store.deadlocks import once_more_after_a_deadlock


class Ended(Exception):
    """As the driver says that it was chosen to resolve a deadlock."""

    sqlstate = "40P01"


def test_a_transaction_that_was_ended_is_tried_again() -> None:
    ends = iter([True, False])

    @once_more_after_a_deadlock
    def work() -> str:
        if next(ends):
            raise OperationalError("update", None, Ended())
        return "done"

    assert work() == "done"


def test_any_other_fault_is_not_tried_again() -> None:
    tries = []

    @once_more_after_a_deadlock
    def work() -> None:
        tries.append(1)
        raise OperationalError("update", None, Exception("the disk is full"))

    with pytest.raises(OperationalError):
        work()

    assert len(tries) == 1
