"""A list that is only half in: held back, known as such, continued by the same list, refused to another, discarded."""

import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import Engine, func, insert, select, update

import store.intake.discard
import store.intake.take_in
from states.forms import Given
from states.holds import HoldKind, Reason
from states.stage import Stage, Trigger
from store.cancelling import cancel
from store.choosing import Chosen
from store.desk import answer, redrive
from store.engine import make_engine, reading, writing
from store.finding import find_batch
from store.intake.discard import WhollyIn, discard, preview_discard
from store.intake.holding_back import IntakeDiscarded, ListInTheWay
from store.intake.take_in import ListRefused, take_in
from store.intake.taking import Intake
from store.intake.unfinished import Unfinished, unfinished
from store.leases import claim, count_due, outlook
from store.lists.rows import CustomerRow, Fault, RawRow, build_row
from store.models import AUTH_VALUE, BATCH, CUSTOMER, HISTORY, INTENT, ONBOARDING, UNFINISHED_INTAKE
from store.records import Scope
from store.standing import standing
from store.vault import Vault
from store.views import story
from tests.store.conftest import LEASE, NOW, Add

CHUNK = 3
LATER = NOW + timedelta(hours=1)
LISTED = 10
CHUNKS = 4

Take = Callable[..., Intake]


class Killed(BaseException):
    """The process dies: nothing that follows is carried out."""


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store.intake.take_in, "CHUNK", CHUNK)
    monkeypatch.setattr(store.intake.discard, "CHUNK", CHUNK)


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Vault:
    return Vault.open(None, tmp_path_factory.mktemp("vault"))


def rows(number: int = LISTED, first: int = 0, **cells: str) -> list[CustomerRow]:
    named = {name.replace("__", "."): value for name, value in cells.items()}
    built = [
        build_row(
            RawRow(one + 2, {"username": f"c{one}", "integration": "slack", "auth.key": f"canary{one}", **named}),
            Path(),
        )
        for one in range(first, first + number)
    ]
    assert all(isinstance(one, CustomerRow) for one in built)
    return built  # type: ignore[return-value]  # asserted above


@pytest.fixture
def take(engine: Engine, vault: Vault) -> Take:
    def take(
        listed: list[CustomerRow], *, fingerprint: str = "the list", now=NOW, to=None, **options: object
    ) -> Intake:
        return take_in(
            to or engine,
            "spring",
            listed,
            source="customers.csv",
            templates=None,
            catalogue=None,
            vault=vault,
            now=now,
            fingerprint=fingerprint,
            rows_in_list=len(listed),
            **options,  # type: ignore[arg-type]
        )

    return take


def dying_after(number: int) -> Callable[[int], None]:
    """Return what to watch an intake with that is to die between two transactions."""

    def watch(done: int) -> None:
        if done >= number:
            raise Killed

    return watch


@pytest.fixture
def half_in(take: Take) -> None:
    with pytest.raises(Killed):
        take(rows(), watch=dying_after(2 * CHUNK))


def usernames(engine: Engine) -> list[str]:
    with reading(engine) as connection:
        return list(
            connection.scalars(
                select(CUSTOMER.c.username)
                .join(ONBOARDING, ONBOARDING.c.customer_id == CUSTOMER.c.id)
                .order_by(CUSTOMER.c.username)
            )
        )


def counts(engine: Engine) -> dict[str, int]:
    with reading(engine) as connection:
        return {
            table.name: connection.scalar(select(func.count()).select_from(table)) or 0
            for table in (BATCH, UNFINISHED_INTAKE, CUSTOMER, ONBOARDING, HISTORY, AUTH_VALUE)
        }


def batch_of(engine: Engine) -> SimpleNamespace:
    with reading(engine) as connection:
        return SimpleNamespace(**connection.execute(select(BATCH)).one()._mapping)


def claimed(engine: Engine) -> list[str]:
    page = claim(engine, Scope(), worker="w", limit=1000, lease=LEASE, now=LATER)
    return sorted(record.username for record in page.records) if page is not None else []


def everybody(number: int = LISTED) -> list[str]:
    return sorted(f"c{one}" for one in range(number))


# Held back


@pytest.mark.usefixtures("half_in")
def test_nothing_of_a_list_that_is_half_in_can_be_claimed(engine: Engine) -> None:
    assert len(usernames(engine)) == 2 * CHUNK
    assert claimed(engine) == []


@pytest.mark.usefixtures("half_in")
def test_nothing_of_a_list_that_is_half_in_is_waited_for(engine: Engine) -> None:
    assert (count_due(engine, Scope(), 10), outlook(engine, Scope()).next_due_at) == (0, None)


@pytest.mark.usefixtures("half_in")
def test_a_batch_whose_list_is_half_in_is_known_as_such(engine: Engine) -> None:
    assert batch_of(engine).taken_in_at is None
    assert unfinished(engine) == [
        Unfinished("spring", "customers.csv", 2 * CHUNK, LISTED, NOW, held_back=2 * CHUNK, discarded=False)
    ]


def test_a_list_that_is_wholly_in_is_due(engine: Engine, take: Take) -> None:
    take(rows())

    assert claimed(engine) == everybody()
    assert (batch_of(engine).taken_in_at, unfinished(engine)) == (NOW, [])


def test_a_list_of_one_chunk_is_in_as_a_whole_or_not_at_all(engine: Engine, take: Take, monkeypatch) -> None:
    def die(*_: object) -> None:
        raise Killed

    monkeypatch.setattr(store.intake.take_in, "let_go", die)
    with pytest.raises(Killed):
        take(rows(CHUNK))

    assert set(counts(engine).values()) == {0}


@pytest.mark.usefixtures("half_in")
def test_the_history_of_what_is_held_back_begins_with_its_list(engine: Engine) -> None:
    [one] = story(engine, "c0").onboardings

    assert [event.sentence for event in one.history] == ["taken in from customers.csv line 2"]


@pytest.mark.usefixtures("half_in")
def test_the_story_of_one_who_is_held_back_says_so(engine: Engine) -> None:
    [one] = story(engine, "c0").onboardings

    assert one.unfinished is not None
    assert one.unfinished.batch == "spring"


@pytest.mark.usefixtures("half_in")
def test_what_is_held_back_is_in_the_counts_and_told_apart(engine: Engine) -> None:
    now = standing(engine)

    assert (now.total, now.moving, sum(one.held_back for one in now.unfinished)) == (2 * CHUNK, 2 * CHUNK, 2 * CHUNK)


# What operators do meanwhile


@pytest.mark.usefixtures("half_in")
def test_an_answer_for_one_who_is_held_back_does_not_let_them_go(engine: Engine, take: Take) -> None:
    answer(engine, Chosen(username="c0"), [Given(name="channel", value="#x")], by="me", now=NOW)
    assert claimed(engine) == []

    take(rows())

    assert claimed(engine) == everybody()


@pytest.mark.usefixtures("half_in")
def test_one_who_was_cancelled_while_held_back_stays_so(engine: Engine, take: Take) -> None:
    cancel(engine, Chosen(username="c0"), by="me", now=NOW)

    take(rows())

    assert claimed(engine) == [name for name in everybody() if name != "c0"]


@pytest.mark.usefixtures("half_in")
def test_one_who_was_cancelled_and_let_go_again_is_still_held_back(engine: Engine) -> None:
    cancel(engine, Chosen(username="c0"), by="me", now=NOW)
    redrive(engine, Chosen(username="c0", hold=HoldKind.cancelled), by="me", now=NOW)

    assert claimed(engine) == []


# Continued


@pytest.mark.parametrize("boundary", range(1, CHUNKS))
def test_an_intake_that_died_between_two_chunks_is_continued_by_the_same_list(
    engine: Engine, take: Take, boundary: int
) -> None:
    with pytest.raises(Killed):
        take(rows(), watch=dying_after(boundary * CHUNK))

    intake = take(rows(), now=LATER)

    there = boundary * CHUNK
    assert (intake.rows_before, intake.unchanged, intake.added) == (there, there, LISTED - there)
    assert claimed(engine) == everybody()
    assert counts(engine) == {
        "batch": 1, "unfinishedintake": 0, "customer": LISTED, "onboarding": LISTED, "history": LISTED,
        "authvalue": LISTED,
    }  # fmt: skip


@pytest.mark.parametrize("chunk", range(CHUNKS))
@pytest.mark.parametrize("place", ["enter", "add_customers", "add_onboardings", "note", "let_go"])
def test_an_intake_that_died_in_the_middle_of_a_chunk_is_continued_by_the_same_list(
    engine: Engine, take: Take, monkeypatch: pytest.MonkeyPatch, place: str, chunk: int
) -> None:
    passed = 0
    real = getattr(store.intake.take_in, place)

    def die_in_time(*arguments: object, **named: object) -> object:
        nonlocal passed
        passed += 1
        if passed > chunk or place == "let_go":
            raise Killed
        return real(*arguments, **named)

    with monkeypatch.context() as patched:
        patched.setattr(store.intake.take_in, place, die_in_time)
        died = False
        try:
            take(rows())
        except Killed:
            died = True
    assert died or place == "note", "the last chunk is not noted: it ends the intake"
    assert len(usernames(engine)) % CHUNK == 0 or not died
    if died:
        assert claimed(engine) == []

    take(rows(), now=LATER)

    assert claimed(engine) == everybody()
    assert unfinished(engine) == []


@pytest.mark.usefixtures("half_in")
def test_an_intake_that_is_continued_and_dies_again_is_further(engine: Engine, take: Take) -> None:
    with pytest.raises(Killed):
        take(rows(), watch=dying_after(3 * CHUNK))

    assert [one.rows for one in unfinished(engine)] == [3 * CHUNK]


@pytest.mark.usefixtures("half_in")
def test_an_intake_that_is_continued_and_dies_early_is_no_less_far(engine: Engine, take: Take) -> None:
    with pytest.raises(Killed):
        take(rows(), watch=dying_after(CHUNK))

    assert [one.rows for one in unfinished(engine)] == [2 * CHUNK]


def test_a_fault_in_the_middle_leaves_a_list_half_in(engine: Engine, take: Take) -> None:
    listed: list[CustomerRow | Fault] = [*rows(3 * CHUNK), Fault(99, "", "is wrong", "mend it")]
    with pytest.raises(ListRefused):
        take(listed)  # type: ignore[arg-type]  # a list with a fault, on purpose

    assert [one.rows for one in unfinished(engine)] == [2 * CHUNK]
    assert claimed(engine) == []


def test_rows_that_could_not_be_committed_at_once_are_counted_once(engine: Engine, take: Take, monkeypatch) -> None:
    """The database ends a transaction to resolve a deadlock; it is carried out again."""
    passed: list[object] = []
    real = store.intake.take_in.note

    def deadlocked_once(*arguments: object, **named: object) -> None:
        real(*arguments, **named)  # type: ignore[arg-type]
        passed.append(arguments)
        if len(passed) == 2:
            from sqlalchemy.exc import OperationalError

            gone = SimpleNamespace(sqlstate="40P01", args=("deadlock detected",))
            raise OperationalError("INSERT", {}, gone)  # type: ignore[arg-type]

    monkeypatch.setattr(store.intake.take_in, "note", deadlocked_once)

    assert take(rows()).added == LISTED
    assert claimed(engine) == everybody()


# A longer list for a batch that is wholly in


@pytest.fixture
def longer_half_in(take: Take) -> None:
    take(rows(4), fingerprint="the first")
    with pytest.raises(Killed):
        take(rows(), fingerprint="longer", now=LATER, watch=dying_after(2 * CHUNK))


@pytest.mark.usefixtures("longer_half_in")
def test_what_a_batch_had_before_is_worked_on_while_a_longer_list_is_half_in(engine: Engine) -> None:
    assert claimed(engine) == everybody(4)


@pytest.mark.usefixtures("longer_half_in")
def test_a_longer_list_that_is_wholly_in_is_due(engine: Engine, take: Take) -> None:
    take(rows(), fingerprint="longer", now=LATER)

    assert claimed(engine) == everybody()


@pytest.mark.usefixtures("longer_half_in")
def test_a_batch_that_was_wholly_in_before_says_when(engine: Engine) -> None:
    assert batch_of(engine).taken_in_at == NOW


# Another list


@pytest.mark.usefixtures("half_in")
def test_another_list_is_refused_while_one_is_half_in(engine: Engine, take: Take) -> None:
    with pytest.raises(ListInTheWay, match=r"customers\.csv.*half in.*spring.*onboard discard --batch spring"):
        take(rows(2, first=50), fingerprint="another")

    assert len(usernames(engine)) == 2 * CHUNK


def test_another_list_is_taken_into_a_batch_that_is_wholly_in(engine: Engine, take: Take) -> None:
    take(rows(4), fingerprint="the first")

    take(rows(4, first=4), fingerprint="another")

    assert claimed(engine) == everybody(8)


# Side by side


def test_processes_that_take_in_one_long_list_at_once_add_it_once(database_url: str, take: Take) -> None:
    listed = rows(200)
    intakes: list[Intake] = []

    def work() -> None:
        engine = make_engine(database_url)
        intakes.append(take(listed, to=engine))
        engine.dispose()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (len(intakes), sum(one.added for one in intakes)) == (3, 200)


def test_who_comes_to_the_end_second_goes_on_in_peace(engine: Engine, take: Take) -> None:
    def overtaken(done: int) -> None:
        if done == CHUNK:
            take(rows())

    take(rows(), watch=overtaken)

    assert unfinished(engine) == []
    assert claimed(engine) == everybody()


def test_who_is_at_an_intake_that_is_discarded_stops(engine: Engine, take: Take) -> None:
    def discarded(done: int) -> None:
        if done == CHUNK:
            discard(engine, find_batch(engine, "spring"))

    with pytest.raises(IntakeDiscarded):
        take(rows(), watch=discarded)

    assert set(counts(engine).values()) == {0}


def test_who_is_at_an_intake_that_was_discarded_and_begun_again_stops(engine: Engine, take: Take) -> None:
    def discarded(done: int) -> None:
        if done == CHUNK:
            discard(engine, find_batch(engine, "spring"))
            with pytest.raises(Killed):
                take(rows(), watch=dying_after(CHUNK))

    with pytest.raises(IntakeDiscarded):
        take(rows(), watch=discarded)

    assert [one.rows for one in unfinished(engine)] == [CHUNK]


# Discarded


@pytest.mark.usefixtures("half_in")
def test_a_preview_says_what_would_be_discarded_and_leaves_it(engine: Engine) -> None:
    found = preview_discard(engine, find_batch(engine, "spring"))

    assert (found.source, found.onboardings, found.changed, found.before) == ("customers.csv", 2 * CHUNK, 0, 0)
    assert len(usernames(engine)) == 2 * CHUNK


@pytest.mark.usefixtures("half_in")
def test_a_new_batch_that_is_discarded_leaves_nothing(engine: Engine) -> None:
    assert discard(engine, find_batch(engine, "spring")) == 2 * CHUNK

    assert set(counts(engine).values()) == {0}


@pytest.mark.usefixtures("half_in")
def test_a_list_can_be_taken_in_after_another_was_discarded(engine: Engine, take: Take) -> None:
    discard(engine, find_batch(engine, "spring"))

    take(rows(4), fingerprint="another")

    assert claimed(engine) == everybody(4)


@pytest.mark.usefixtures("longer_half_in")
def test_discarding_a_longer_list_leaves_what_the_batch_had_before(engine: Engine) -> None:
    assert preview_discard(engine, find_batch(engine, "spring")).before == 4

    assert discard(engine, find_batch(engine, "spring")) == 2 * CHUNK - 4

    assert usernames(engine) == everybody(4)
    assert claimed(engine) == everybody(4)


def test_what_a_discarded_list_changed_stays_changed_and_is_told(engine: Engine, take: Take) -> None:
    take(rows(2), fingerprint="the first")
    with pytest.raises(Killed):
        take(rows(full_name="Ada"), fingerprint="longer", watch=dying_after(CHUNK))

    assert preview_discard(engine, find_batch(engine, "spring")).changed == 2

    discard(engine, find_batch(engine, "spring"))
    assert story(engine, "c0").full_name == "Ada"


def test_a_batch_that_is_wholly_in_is_not_discarded(engine: Engine, take: Take) -> None:
    take(rows())

    with pytest.raises(WhollyIn, match="onboard cancel --batch spring"):
        discard(engine, find_batch(engine, "spring"))

    assert usernames(engine) == everybody()


def test_a_customer_of_another_batch_keeps_their_own(engine: Engine, take: Take, add: Add) -> None:
    with writing(engine) as connection:
        connection.execute(insert(BATCH).values(name="autumn", source="", templates=[], created_at=NOW))
    add("c0", "netsuite", batch_id=find_batch(engine, "autumn"))
    with pytest.raises(Killed):
        take(rows(), watch=dying_after(CHUNK))

    discard(engine, find_batch(engine, "spring"))

    assert usernames(engine) == ["c0"]
    assert counts(engine)["customer"] == 1


@pytest.mark.usefixtures("half_in")
def test_a_customer_who_is_at_alloy_is_not_forgotten(engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(update(CUSTOMER).where(CUSTOMER.c.username == "c0").values(alloy_user_id="u1"))

    discard(engine, find_batch(engine, "spring"))

    assert counts(engine)["customer"] == 1


@pytest.mark.usefixtures("half_in")
@pytest.mark.parametrize("begun", ["stage", "intent", "lease"])
def test_what_was_begun_at_alloy_is_never_discarded(engine: Engine, begun: str) -> None:
    """It cannot come to that, since nobody claims what is held back; if it does, nothing of it may be lost."""
    with writing(engine) as connection:
        of_first = select(ONBOARDING.c.id).join(CUSTOMER).where(CUSTOMER.c.username == "c0").scalar_subquery()
        if begun == "intent":
            connection.execute(
                insert(INTENT).values(
                    onboarding_id=of_first, trigger=Trigger.create_user, digest="", opened_at=NOW, settled_at=NOW
                )
            )
        else:
            values = {"stage": Stage.created} if begun == "stage" else {"lease_token": "t", "lease_until": LATER}
            connection.execute(update(ONBOARDING).where(ONBOARDING.c.id == of_first).values(values))

    discard(engine, find_batch(engine, "spring"))

    assert usernames(engine) == ["c0"]
    assert counts(engine)["batch"] == 1


@pytest.mark.usefixtures("half_in")
@pytest.mark.parametrize("chunk", [0, 1, 2])
def test_a_discard_that_died_is_finished_by_another_and_by_nothing_else(
    engine: Engine, take: Take, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    passed = 0
    real = store.intake.discard._take_out_some

    def die_in_time(*arguments: object) -> int:
        nonlocal passed
        passed += 1
        if passed > chunk:
            raise Killed
        return real(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(store.intake.discard, "_take_out_some", die_in_time)
        with pytest.raises(Killed):
            discard(engine, find_batch(engine, "spring"))
    assert [one.discarded for one in unfinished(engine)] == [True]
    with pytest.raises(ListInTheWay, match="being discarded"):
        take(rows())
    assert claimed(engine) == []

    discard(engine, find_batch(engine, "spring"))

    assert set(counts(engine).values()) == {0}


@pytest.mark.usefixtures("half_in")
def test_one_whom_an_operator_held_meanwhile_is_discarded_with_the_rest(engine: Engine) -> None:
    cancel(engine, Chosen(username="c0"), by="me", now=NOW)

    discard(engine, find_batch(engine, "spring"))

    assert set(counts(engine).values()) == {0}


def test_one_who_is_held_for_a_reason_is_not_let_go_by_the_end_of_the_list(engine: Engine, take: Take) -> None:
    with pytest.raises(Killed):
        take(rows(), watch=dying_after(CHUNK))
    with writing(engine) as connection:
        of_first = select(ONBOARDING.c.id).join(CUSTOMER).where(CUSTOMER.c.username == "c0").scalar_subquery()
        held = {"hold": HoldKind.operator, "reason": Reason.rejected, "sentence": "why"}
        connection.execute(update(ONBOARDING).where(ONBOARDING.c.id == of_first).values(held))

    take(rows())

    assert "c0" not in claimed(engine)


# Rows of any length


def test_a_chunk_of_very_long_rows_is_ended_early(engine: Engine, take: Take, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store.intake.take_in, "CHUNK_CHARACTERS", 2_000)
    taken: list[int] = []

    take(rows(4, notes="x" * 1_500), watch=taken.append)

    assert taken == [2, 4]
    assert claimed(engine) == everybody(4)


@pytest.mark.parametrize(
    "text", ["Zoë 北京 😀", "a \"quoted\" 'one' \\ {}[]", "%s %(name)s :name ? $1", "line\nend\ttab", "1e999", ""]
)
def test_whatever_stands_in_a_cell_is_kept_as_it_is(engine: Engine, take: Take, vault: Vault, text: str) -> None:
    take(rows(1, full_name=text, notes=text, auth__key=f"canary {text}"))

    with reading(engine) as connection:
        name = connection.scalar(select(CUSTOMER.c.full_name))
        columns = connection.scalar(select(ONBOARDING.c.columns))
        sealed = connection.scalar(select(AUTH_VALUE.c.sealed))
    assert (name, columns["notes"]) == (text.strip(), text.strip())
    assert vault.open_value(sealed).get_secret_value() == f"canary {text}".strip()


def test_whatever_json_stands_in_a_cell_is_kept_as_it_is(engine: Engine, take: Take) -> None:
    nested = {"b": [1, -2.5, 1e22, 10**30, True, None, "Zoë"], "a": {"": "\\u0041"}}

    take(rows(1, notes=nested, amount=10**30, share=0.1, yes=True, none=None))  # type: ignore[arg-type]  # as in JSONL

    with reading(engine) as connection:
        columns = connection.scalar(select(ONBOARDING.c.columns))
    assert list(columns["notes"]) == ["b", "a"]
    assert columns == {**columns, "notes": nested, "amount": 10**30, "share": 0.1, "yes": True, "none": None}
