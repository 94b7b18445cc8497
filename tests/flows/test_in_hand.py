"""How many records a worker takes in hand: what it moves in a second, within bounds."""

from flows.in_hand import LEAST_PER_CALL, MOST_PER_CALL, InHand

CONCURRENCY = 20
LEAST, MOST = LEAST_PER_CALL * CONCURRENCY, MOST_PER_CALL * CONCURRENCY


class Work:
    """Claims whatever there is room for, and moves so many records a second."""

    def __init__(self) -> None:
        self.now = 100.0
        self.unfinished = 0
        self.in_hand = InHand(CONCURRENCY, lambda: self.now)

    def moves(self, a_second: float, *, seconds: float = 3.0) -> int:
        """Go on like this for so long; return what is in hand then."""
        for _ in range(int(seconds / 0.05)):
            claimed = self.in_hand.room(self.unfinished)
            if claimed > 0:
                self.in_hand.begin(claimed)
                self.unfinished += claimed
            self.now += 0.05
            self.unfinished -= min(self.unfinished, round(a_second * 0.05))
        return self.unfinished


def test_a_worker_begins_with_what_keeps_slow_calls_in_flight():
    assert Work().in_hand.room(0) == LEAST


def test_what_is_in_hand_counts_against_the_room():
    work = Work()
    work.in_hand.begin(LEAST - 3)

    assert work.in_hand.room(LEAST - 3) == 3


def test_while_users_are_created_together_others_are_taken_in_hand_for_the_calls_that_are_free():
    work = Work()
    work.in_hand.begin(LEAST)

    assert (work.in_hand.room(LEAST), work.in_hand.room(LEAST, together=LEAST)) == (0, LEAST)


def test_however_many_are_created_together_no_more_than_twice_as_much_is_in_hand():
    work = Work()
    work.in_hand.begin(2 * LEAST)

    assert work.in_hand.room(2 * LEAST, together=2 * LEAST) == 0


def test_a_worker_that_moves_little_holds_little():
    assert Work().moves(20) <= LEAST


def test_a_worker_holds_about_what_it_moves_in_a_second():
    assert 60 <= Work().moves(80) <= 80


def test_a_quick_worker_holds_no_more_than_keeps_its_calls_in_flight():
    assert MOST - 60 <= Work().moves(1000) <= MOST


def test_a_worker_that_becomes_slow_lets_go():
    work = Work()
    work.moves(1000)

    assert work.moves(20, seconds=10) <= LEAST


def test_who_had_nothing_to_do_begins_small_again():
    work = Work()
    work.moves(1000)
    work.unfinished = 0
    work.in_hand.room(0)
    work.now += 2

    assert work.in_hand.room(0) == LEAST


def test_there_is_plenty_in_hand_once_much_is_moved_and_all_calls_are_kept_in_flight():
    work = Work()
    before = work.in_hand.is_ample(LEAST, per_second=10)
    work.moves(1000)

    assert (before, work.in_hand.is_ample(LEAST, per_second=10)) == (False, True)


def test_who_has_hardly_anything_in_hand_has_no_plenty_however_quick():
    work = Work()
    work.moves(1000)

    assert not work.in_hand.is_ample(LEAST - 1, per_second=10)


def test_what_is_too_little_for_all_calls_at_once_is_known_as_short():
    in_hand = Work().in_hand

    assert (in_hand.is_short(CONCURRENCY - 1), in_hand.is_short(CONCURRENCY)) == (True, False)
