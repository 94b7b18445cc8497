"""The size of a page: one customer while task runs can be recorded, and just as many as must be when they cannot."""

from flows.pages import IN_BULK_PER_SECOND, SHORT_LIST, TASK_RUNS_PER_SECOND, PageBudget

MANY = SHORT_LIST + 1


class FakeTime:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def clock(self) -> float:
        return self.now


def begun_by(budget: PageBudget, most: int, *, in_bulk: bool = False, idle: bool = False) -> int:
    """Begin pages of one customer until there is no budget for another, or ``most`` of them."""
    begun = 0
    while begun < most and budget.size(1, in_bulk=in_bulk, idle=idle):
        budget.spend()
        begun += 1
    return begun


def test_a_page_is_one_customer_to_begin_with() -> None:
    assert PageBudget(MANY, FakeTime().clock).size(40, in_bulk=False, idle=False) == 1


def test_a_short_list_is_moved_customer_by_customer_at_once() -> None:
    budget = PageBudget(SHORT_LIST, FakeTime().clock)
    transitions = 5 * SHORT_LIST
    sizes = set()
    for _ in range(transitions):
        sizes.add(budget.size(40, in_bulk=False, idle=False))
        budget.spend()

    assert sizes == {1}


def test_without_room_there_is_no_page() -> None:
    budget = PageBudget(MANY, FakeTime().clock)

    assert (budget.size(0, in_bulk=False, idle=False), budget.size(-3, in_bulk=False, idle=False)) == (0, 0)


def test_no_more_task_runs_are_begun_than_can_be_recorded() -> None:
    fake = FakeTime()
    budget = PageBudget(MANY, fake.clock)
    saved = begun_by(budget, 10_000)

    begun = 0
    for _ in range(100):
        fake.now += 0.1
        begun += begun_by(budget, 10_000)

    assert 10 * TASK_RUNS_PER_SECOND - 1 <= begun <= 10 * TASK_RUNS_PER_SECOND
    assert saved < 10 * TASK_RUNS_PER_SECOND


def test_in_bulk_task_runs_are_few() -> None:
    fake = FakeTime()
    budget = PageBudget(MANY, fake.clock)
    begun_by(budget, 10_000, in_bulk=True)

    begun = 0
    for _ in range(100):
        fake.now += 0.1
        begun += begun_by(budget, 10_000, in_bulk=True)

    assert 10 * IN_BULK_PER_SECOND - 1 <= begun <= 10 * IN_BULK_PER_SECOND


def test_pages_grow_as_the_budget_runs_low() -> None:
    budget = PageBudget(MANY, FakeTime().clock)
    sizes = []
    while size := budget.size(40, in_bulk=False, idle=False):
        sizes.append(size)
        budget.spend()

    assert sizes == sorted(sizes)
    assert (sizes[0], sizes[-1]) == (1, 40)


def test_a_page_is_never_larger_than_the_room() -> None:
    budget = PageBudget(MANY, FakeTime().clock)
    sizes = []
    while size := budget.size(7, in_bulk=False, idle=False):
        sizes.append(size)
        budget.spend()

    assert max(sizes) == 7


def test_at_a_slow_pace_every_page_stays_one_customer() -> None:
    fake = FakeTime()
    budget = PageBudget(MANY, fake.clock)
    sizes = set()
    for _ in range(500):
        fake.now += 1 / (TASK_RUNS_PER_SECOND - 1)
        sizes.add(budget.size(40, in_bulk=False, idle=False))
        budget.spend()

    assert sizes == {1}


def test_what_can_be_saved_up_is_bounded() -> None:
    fake = FakeTime()
    budget = PageBudget(MANY, fake.clock)
    at_first = begun_by(budget, 10_000)
    fake.now += 86_400

    assert begun_by(budget, 10_000) == at_first


def test_who_has_calls_to_spare_does_not_wait_for_leave() -> None:
    budget = PageBudget(MANY, FakeTime().clock)
    begun_by(budget, 10_000)

    assert (budget.size(40, in_bulk=False, idle=True), budget.size(40, in_bulk=False, idle=False)) == (40, 0)


def test_what_is_begun_without_leave_comes_out_of_what_would_be_begun_later() -> None:
    fake = FakeTime()
    budget = PageBudget(MANY, fake.clock)
    begun_by(budget, 10_000)
    owed = begun_by(budget, 10_000, idle=True)

    fake.now += owed / TASK_RUNS_PER_SECOND

    assert begun_by(budget, 10_000) <= 1 <= owed
