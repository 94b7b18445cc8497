"""The pace of each account, where all workers of a database share it: one row, locked while turns are reserved.

Carried out twice, because a commit only seemed to fail, a reservation costs a quarter of a second's turns, and a
refusal is no news the second time.
"""

import hashlib
from dataclasses import asdict, fields, replace

from sqlalchemy import Engine, bindparam, select, update

from states.pace import Block, News, Pace, exchanged
from store.engine import insert, writing
from store.models import ACCOUNT_PACE, AccountPace
from store.outages import outlasting_outages

_NAMES = [field.name for field in fields(Pace)]
_READ = (
    select(*(ACCOUNT_PACE.c[name] for name in _NAMES))
    .where(ACCOUNT_PACE.c.account == bindparam("of_account"))
    .with_for_update()
)
_SAVE = (
    update(ACCOUNT_PACE)
    .where(ACCOUNT_PACE.c.account == bindparam("of_account"))
    .values({name: bindparam(f"new_{name}") for name in _NAMES})
)


def account_of(base_url: str, api_key: str) -> str:
    """Return the name of an account's pace. The key cannot be told from it."""
    return hashlib.sha256(f"{base_url.rstrip('/')}\n{api_key}".encode()).hexdigest()[:32]


@outlasting_outages
def exchange(engine: Engine, account: str, given: float | None, news: News, wanted: int, now: float) -> Block:
    """Let all workers have ``news``, and reserve up to ``wanted`` turns of the rate that is ``given`` or found."""
    with writing(engine) as connection:
        row = connection.execute(_READ, {"of_account": account}).one_or_none()
        if row is None:
            first = asdict(Pace(given=given, next_at=0.0, paused_until=0.0, seen_at=0.0))
            connection.execute(
                insert(connection, AccountPace).values(account=account, **first).on_conflict_do_nothing()
            )
            row = connection.execute(_READ, {"of_account": account}).one()
        known = Pace(*row)
        pace, block = exchanged(replace(known, given=given), news, wanted, now)
        if pace != known:
            changed = {f"new_{name}": getattr(pace, name) for name in _NAMES}
            connection.execute(_SAVE, {"of_account": account, **changed})
    return block
