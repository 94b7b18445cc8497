"""Three books compared: the list that was handed in, our records, and the local Alloy's own ledger.

What may be left behind at Alloy is inert, and no surprise: every leftover is listed by us, and has a cause that is
known.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, Row, text

from deployments.sandbox.control import SandboxControl
from deployments.sandbox.ledger import Ledger
from states.stage import Trigger
from store.engine import reading
from store.standing import standing
from tests.chaos.crew import Struck
from tests.chaos.witness import Seen, foreign_writes, takeovers
from tests.journeys.people import Person

KILLED = "its worker was killed while the call was under way"
STOPPED = "its worker was stopped while the call was under way"
LOST = "Alloy's answer was lost or refused us by a fault"
LATE = "its worker was late to renew the lease, on a busy machine"
UNEXPLAINED = "unexplained"

_CLOCKS = timedelta(seconds=1)
_ROUTE_OF = {Trigger.start_installation: "start_installation", Trigger.authenticate: "create_credential"}


@dataclass(frozen=True, slots=True)
class Listed:
    """A call that we say may have left something at Alloy."""

    onboarding_id: int
    username: str
    integration_id: str
    trigger: Trigger
    opened_at: datetime
    closed_at: datetime


@dataclass
class Books:
    """What the comparison found."""

    disagreements: list[str] = field(default_factory=list)
    """Where the list, our records and Alloy's ledger tell different things."""
    foreign_writes: list[str] = field(default_factory=list)
    """What a worker wrote to a record whose lease it did not hold."""
    unlisted: list[str] = field(default_factory=list)
    """What stands at Alloy without use, and we do not list."""
    unexplained: list[str] = field(default_factory=list)
    """What we list without a cause that is known."""
    thrown_away: list[str] = field(default_factory=list)
    """Late answers of which nothing is kept."""
    completed: int = 0
    lost: int = 0
    doubled_users: int = 0
    doubled_installations: int = 0
    calls: int = 0
    orphans: int = 0
    """Installations at Alloy that were started and never completed."""
    unused: int = 0
    """Credentials at Alloy that nothing uses."""
    leftovers: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By trigger and cause: what we list."""
    taken_over: int = 0
    late: int = 0
    """Answers that came when the lease was lost, and were kept."""
    late_used: int = 0
    faults: Counter[str] = field(default_factory=Counter)

    @property
    def wrong(self) -> list[str]:
        """Everything that must not be, in words."""
        return self.disagreements + self.foreign_writes + self.unlisted + self.unexplained + self.thrown_away


def compare(
    engine: Engine, alloy: SandboxControl, listed: Sequence[Person], seen: dict[int, list[Seen]], struck: list[Struck]
) -> Books:
    """Compare the three books."""
    books, ledger, requests = Books(), alloy.ledger(), alloy.requests()
    books.calls = len(requests)
    books.faults = Counter(fault for one in requests for fault in one.faults)
    faulty = {(one.route, one.user) for one in requests if one.faults}
    _count_everybody(books, ledger, engine, listed)
    left = _listed_by_us(engine)
    _hold_leftovers_against(books, ledger, left)
    for one in left:
        cause = _cause(one, seen.get(one.onboarding_id, []), struck, faulty)
        books.leftovers[one.trigger.value, cause] += 1
        if cause == UNEXPLAINED:
            books.unexplained.append(_told(one, seen.get(one.onboarding_id, [])))
    for rows in seen.values():
        books.foreign_writes += foreign_writes(rows)
        books.taken_over += sum(1 for _ in takeovers(rows))
        books.late += sum(one.event == "closed" and one.outcome == "late" for one in rows)
    _follow_late_answers(books, engine)
    return books


def _count_everybody(books: Books, ledger: Ledger, engine: Engine, listed: Sequence[Person]) -> None:
    with reading(engine) as connection:
        rows = connection.execute(
            text(
                "SELECT customer.username, onboarding.integration_id, onboarding.stage, onboarding.installation_id,"
                " onboarding.credential_id, customer.alloy_user_id, onboarding.lease_token"
                " FROM onboarding JOIN customer ON customer.id = onboarding.customer_id"
            )
        ).all()
    names = {one.username for one in listed}
    keys = {one.key for one in listed}
    completed = {(row.username, row.integration_id) for row in rows if row.stage == "completed"}
    books.completed = len(completed)
    books.lost = len(keys - completed)
    books.doubled_users = ledger.users - len(ledger.users_of) + len(set(ledger.users_of) - names)
    books.doubled_installations = sum(len(ids) - 1 for ids in ledger.completed.values())
    once = dict.fromkeys(keys, 1)
    books.disagreements += [
        words
        for holds, words in (
            (len(rows) == len(listed), f"{len(listed)} are on the list, {len(rows)} in our records"),
            (completed == keys, f"not completed in our records: {sorted(keys - completed)[:5]}"),
            (set(ledger.users_of) == names, f"{ledger.users} users at Alloy, {len(names)} on the list"),
            (ledger.users == len(names), f"{ledger.users} users at Alloy, {len(names)} on the list"),
            (_sizes(ledger.completed) == once, "not exactly one completed installation for each on the list"),
            (_sizes(ledger.enabled) == once, "not exactly one live installation for each on the list"),
        )
        if not holds
    ]
    for row in rows:
        _hold_row_against(books, ledger, row)


def _sizes(ids_of: dict[tuple[str, str], list[str]]) -> dict[tuple[str, str], int]:
    return {key: len(ids) for key, ids in ids_of.items()}


def _hold_row_against(books: Books, ledger: Ledger, row: Row[Any]) -> None:
    if ledger.users_of.get(row.username) != row.alloy_user_id:
        books.disagreements.append(f"{row.username}: another user in our records than at Alloy")
    if row.installation_id not in ledger.completed.get((row.username, row.integration_id), []):
        books.disagreements.append(f"{row.username}: another installation in our records than at Alloy")
    if row.credential_id not in ledger.credentials_of.get(row.username, []):
        books.disagreements.append(f"{row.username}: a credential in our records that is not at Alloy")
    if row.lease_token is not None:
        books.disagreements.append(f"{row.username} is still in somebody's hands")


def _listed_by_us(engine: Engine) -> list[Listed]:
    with reading(engine) as connection:
        rows = connection.execute(
            text(
                "SELECT onboarding.id, customer.username, onboarding.integration_id, intent.trigger, intent.opened_at,"
                " intent.closed_at FROM intent JOIN onboarding ON onboarding.id = intent.onboarding_id"
                " JOIN customer ON customer.id = onboarding.customer_id WHERE intent.outcome IN ('leftover', 'late')"
            )
        ).all()
    left = [Listed(row[0], row[1], row[2], Trigger(row[3]), row[4], row[5]) for row in rows]
    assert standing(engine).leftovers == len(left), "`onboard status` counts others"
    return left


def _hold_leftovers_against(books: Books, ledger: Ledger, left: Iterable[Listed]) -> None:
    """Prove that whatever stands at Alloy without use is among what we list."""
    books.orphans, books.unused = ledger.orphans, ledger.unused_credentials
    starts = Counter((one.username, one.integration_id) for one in left if one.trigger is Trigger.start_installation)
    logins = Counter(one.username for one in left if one.trigger is Trigger.authenticate)
    for key, ids in ledger.started.items():
        if starts[key] < len(ids):
            books.unlisted.append(f"{key[0]}: installations {ids} are left at Alloy, and we list {starts[key]}")
    of_customer: dict[str, int] = defaultdict(int)
    for username, _ in ledger.completed:
        of_customer[username] += 1
    for username, ids in ledger.credentials_of.items():
        unused = len(ids) - of_customer[username]
        if unused > logins[username]:
            books.unlisted.append(f"{username}: {unused} unused credentials at Alloy, and we list {logins[username]}")


def _cause(
    one: Listed, seen: Iterable[Seen], struck: Iterable[Struck], faulty: set[tuple[str | None, str | None]]
) -> str:
    for blow in struck:
        under_way = one.opened_at <= (blow.until or blow.at) and one.closed_at >= blow.at
        if under_way and one.onboarding_id in blow.held:
            return KILLED if blow.kind == "kill" else STOPPED
    if (_ROUTE_OF.get(one.trigger), one.username) in faulty:
        return LOST
    # The intent's times are its workers', which look at the database's clock now and then; the witness's are its own.
    if any(one.opened_at - _CLOCKS <= other.at <= one.closed_at + _CLOCKS for other in takeovers(seen)):
        return LATE
    return UNEXPLAINED


def _told(one: Listed, seen: Iterable[Seen]) -> str:
    """Say what was seen of an onboarding around a leftover that nothing explains."""
    around = timedelta(seconds=10)
    lines = [
        f"  {each.at:%H:%M:%S.%f} {each.event} {each.outcome or ''} {each.before or '-'} -> {each.worker or '-'}"
        for each in seen
        if one.opened_at - around <= each.at <= one.closed_at + around
    ]
    window = f"{one.opened_at:%H:%M:%S.%f} to {one.closed_at:%H:%M:%S.%f}"
    return "\n".join([f"a leftover of {one.username} ({one.trigger}, {window})", *lines])


def _follow_late_answers(books: Books, engine: Engine) -> None:
    """Prove that no late answer was thrown away: it is kept with what it said, and used if nothing came before."""
    with reading(engine) as connection:
        late = connection.execute(
            text(
                "SELECT intent.outcome, intent.id, intent.evidence IS NULL FROM intent"
                " WHERE id IN (SELECT intent_id FROM witness WHERE outcome = 'late')"
            )
        ).all()
    books.late_used = sum(row.outcome == "found" for row in late)
    books.thrown_away += [f"intent {row.id} came late, and what it said is not kept" for row in late if row[2]]
