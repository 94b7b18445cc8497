"""Takes a checked list in: rows become customers and onboardings, a thousand in one transaction.

Doing it again changes nothing, so a process that dies half-way is simply started again. What a row may still change
on an onboarding that it made before is decided in :mod:`store.intake.changes`.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial
from itertools import islice

from sqlalchemy import Connection, Engine, or_, select, update

from states.forms import Given
from states.holds import HoldKind, Reason
from states.stage import Stage
from store.catalogue import Catalogue
from store.engine import insert, writing
from store.intake.additions import add_customers, add_onboardings
from store.intake.amendments import amend, changes, find, read_known, sealed_of
from store.intake.changes import Circumstances, Known
from store.intake.taking import Asked, Intake, Taking, ask
from store.lists.check import Repeated
from store.lists.rows import CustomerRow, Fault
from store.models import BATCH, ONBOARDING, Batch
from store.vault import Vault

CHUNK = 1_000
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
) -> Intake:
    """Take ``rows`` into the batch ``batch_name``, which is made if it is new, and say what became of them.

    ``rows`` are what :func:`store.lists.check.check_rows` passes on, after ``check_list`` found nothing wrong; with
    ``accept_valid`` faulty ones are skipped and reported. ``templates`` replace the batch's own, unless they are None.
    Raises :class:`ListRefused`; what was taken in before stays, and taking in again goes on from there.
    """
    if not 1 <= len(batch_name) <= LONGEST_BATCH_NAME:
        raise ValueError(f"a batch's name has 1 to {LONGEST_BATCH_NAME} characters")
    batch_id, of_batch = _open_batch(engine, batch_name, source, templates, now)
    intake = Intake(batch_id)
    if catalogue is not None and not catalogue.entries:
        catalogue = None
    good = _good_rows(rows, intake, accept_valid)
    while chunk := list(islice(good, CHUNK)):
        with writing(engine) as connection:
            around = Circumstances(vault, of_batch, now, partial(sealed_of, connection))
            _take_chunk(connection, chunk, Taking(catalogue, source, around, intake))
    return intake


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


def _open_batch(
    engine: Engine, name: str, source: str, templates: Sequence[Given] | None, now: datetime
) -> tuple[int, list[Given]]:
    fresh = [answer.model_dump(mode="json") for answer in templates or ()]
    with writing(engine) as connection:
        made = insert(engine, Batch).values(name=name, source=source, templates=fresh, created_at=now)
        connection.execute(made.on_conflict_do_nothing())
        batch_id, kept = connection.execute(select(BATCH.c.id, BATCH.c.templates).where(BATCH.c.name == name)).one()
        if templates is not None and kept != fresh:
            connection.execute(update(BATCH).where(BATCH.c.id == batch_id).values(templates=fresh))
            _look_at_answers_again(connection, batch_id, now)
            kept = fresh
    return batch_id, [Given.model_validate(one) for one in kept]


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
