"""Takes a checked list in: rows become customers and onboardings, a thousand in one transaction.

A list of one chunk is in as a whole or not at all. A longer one is half in between its transactions; what it adds is
held back until the last (:mod:`store.intake.holding_back`). Doing it again changes nothing, so an intake that died is
continued by starting it again. What a row may still change on an onboarding that was there before is decided in
:mod:`store.intake.changes`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial

from sqlalchemy import Connection, Engine, or_, select, update

from states.forms import Given
from states.holds import HoldKind, Reason
from states.stage import Stage
from store.catalogue import Catalogue
from store.engine import writing
from store.intake.additions import add_customers, add_onboardings, once_more_with_customers_who_are_there
from store.intake.amendments import amend, changes, find, read_known, sealed_of
from store.intake.changes import Circumstances, Known
from store.intake.holding_back import Entered, Listed, enter, let_go, note
from store.intake.taking import Asked, Intake, Taking, ask
from store.lists.check import Repeated
from store.lists.rows import CustomerRow, Fault
from store.models import BATCH, ONBOARDING
from store.outages import outlasting_outages
from store.vault import Vault

CHUNK = 1_000
CHUNK_CHARACTERS = 8_000_000
"""A chunk of very long rows is ended before it has all of them: memory is bounded by their length, too."""
LONGEST_BATCH_NAME = 200


class ListRefused(ValueError):
    """A row with a fault came although only good ones were to: the list was not checked, or has changed since."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.fault = fault


def take_in(
    engine: Engine,
    batch_name: str,
    rows: Iterable[CustomerRow | Fault | Repeated],
    *,
    source: str,
    templates: Sequence[Given] | None,
    catalogue: Catalogue | None,
    vault: Vault,
    now: datetime,
    accept_valid: bool = False,
    fingerprint: str = "",
    rows_in_list: int | None = None,
    watch: Callable[[int], None] = lambda _rows: None,
) -> Intake:
    """Take ``rows`` into the batch ``batch_name``, which is made if it is new, and say what became of them.

    ``rows`` are what :func:`store.lists.check.check_rows` passes on, after ``check_list`` found nothing wrong; with
    ``accept_valid`` faulty ones are skipped and reported. ``templates`` replace the batch's own, unless they are None.
    By its ``fingerprint`` a list is known again that was left half in. ``watch`` is told after each chunk how many rows
    are in, and may raise to end the intake there.

    Raises :class:`ListRefused`, :class:`store.intake.holding_back.ListInTheWay` and ``IntakeDiscarded``; what
    was taken in before stays, held back, and taking the same list in again goes on from there.
    """
    if not 1 <= len(batch_name) <= LONGEST_BATCH_NAME:
        raise ValueError(f"a batch's name has 1 to {LONGEST_BATCH_NAME} characters")
    taker = _Taker(engine, Listed(batch_name, source, fingerprint, rows_in_list, templates), catalogue, vault, now)
    for chunk, is_last in _in_chunks(_good_rows(rows, taker.intake, accept_valid)):
        taker.take(chunk, is_last=is_last)
        watch(taker.rows)
    return taker.intake


def _good_rows(
    rows: Iterable[CustomerRow | Fault | Repeated], intake: Intake, accept_valid: bool
) -> Iterator[CustomerRow]:
    for item in rows:
        if isinstance(item, CustomerRow):
            yield item
        elif isinstance(item, Repeated):
            intake.repeated += 1
        elif accept_valid:
            intake.refuse(item)
        else:
            raise ListRefused(item)


def _in_chunks(rows: Iterator[CustomerRow]) -> Iterator[tuple[list[CustomerRow], bool]]:
    """Yield the rows in chunks, at least one, and with each whether it is the last."""
    chunk = _next_chunk(rows)
    while following := _next_chunk(rows):
        yield chunk, False
        chunk = following
    yield chunk, True


def _next_chunk(rows: Iterator[CustomerRow]) -> list[CustomerRow]:
    chunk: list[CustomerRow] = []
    characters = 0
    for row in rows:
        chunk.append(row)
        characters += row.characters
        if len(chunk) == CHUNK or characters >= CHUNK_CHARACTERS:
            break
    return chunk


class _Taker:
    """One process at the intake of one list."""

    def __init__(
        self, engine: Engine, listed: Listed, catalogue: Catalogue | None, vault: Vault, now: datetime
    ) -> None:
        self.intake = Intake()
        self.rows = 0
        self._engine = engine
        self._listed = listed
        self._catalogue = catalogue if catalogue is not None and catalogue.entries else None
        self._vault = vault
        self._now = now
        self._entered: Entered | None = None
        self._templates: list[Given] = []

    def take(self, chunk: Sequence[CustomerRow], *, is_last: bool) -> None:
        """Take a chunk in, and count it once it certainly is."""
        first = self._entered is None
        entered, of_chunk = self._write(chunk, is_last=is_last)
        if first:
            self.intake.batch_id = entered.batch_id
            self.intake.rows_before = entered.rows_before
        self.intake.add(of_chunk)
        self.rows += len(chunk)
        self._entered = entered

    @outlasting_outages
    @once_more_with_customers_who_are_there
    def _write(self, chunk: Sequence[CustomerRow], *, is_last: bool) -> tuple[Entered, Intake]:
        token = self._entered.token if self._entered is not None else None
        of_chunk = Intake()
        with writing(self._engine) as connection:
            entered = enter(connection, self._listed, token, self._now)
            if token is None:
                self._templates = _settle_templates(connection, entered.batch_id, self._listed.templates, self._now)
            of_chunk.batch_id = entered.batch_id
            around = Circumstances(self._vault, self._templates, self._now, partial(sealed_of, connection))
            due_at = self._now if is_last else None
            _take_chunk(connection, chunk, Taking(self._catalogue, self._listed.source, around, of_chunk, due_at))
            if is_last:
                let_go(connection, entered, self._listed, self._now)
            else:
                note(connection, entered, rows=self.rows + len(chunk), changed=of_chunk.updated)
        return entered, of_chunk


def _take_chunk(connection: Connection, rows: Sequence[CustomerRow], taking: Taking) -> None:
    asked = [one for row in rows if (one := ask(row, taking)) is not None]
    customers = add_customers(connection, [one.row for one in asked], taking.around.now)
    known = read_known(connection, list(customers.before)) if customers.before else {}
    fresh: dict[tuple[str, str], Asked] = {}
    changed: list[tuple[Asked, Known]] = []
    for one in asked:
        record = find(one, known.get(one.row.username, ()))
        if record is None:
            if fresh.setdefault((one.row.username, one.key), one) is not one:
                taking.intake.repeated += 1
        elif record.batch_id != taking.intake.batch_id:
            taking.intake.leave_elsewhere(one.row.username)
        elif changes(one, record, taking):
            changed.append((one, record))
    amend(connection, changed, taking)
    add_onboardings(connection, list(fresh.values()), customers, taking)


def _settle_templates(
    connection: Connection, batch_id: int, templates: Sequence[Given] | None, now: datetime
) -> list[Given]:
    kept = connection.scalars(select(BATCH.c.templates).where(BATCH.c.id == batch_id)).one()
    fresh = [answer.model_dump(mode="json") for answer in templates or ()]
    if templates is not None and kept != fresh:
        connection.execute(update(BATCH).where(BATCH.c.id == batch_id).values(templates=fresh))
        _look_at_answers_again(connection, batch_id, now)
        kept = fresh
    return [Given.model_validate(one) for one in kept]


def _look_at_answers_again(connection: Connection, batch_id: int, now: datetime) -> None:
    here = (ONBOARDING.c.batch_id == batch_id, ONBOARDING.c.stage == Stage.installing)
    free = or_(ONBOARDING.c.lease_until.is_(None), ONBOARDING.c.lease_until <= now)
    # A worker that fills a form in at this moment does so with the old templates, and may come to a hold by them.
    connection.execute(update(ONBOARDING).where(*here, ~free).values(nudged=True))
    connection.execute(
        update(ONBOARDING)
        .where(
            *here,
            free,
            ONBOARDING.c.reason.in_([Reason.awaiting_answer, Reason.invalid_answer]),
            ONBOARDING.c.hold != HoldKind.cancelled,
        )
        .values(hold=None, reason=None, sentence=None, due_at=now, attempts=0, version=ONBOARDING.c.version + 1)
    )
