"""Which lists of the inbox were looked into, and what came of them: each version of a list is taken in once."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, select

from store.engine import insert, reading, writing
from store.models import INBOX_LIST, InboxList
from store.outages import outlasting_outages


@dataclass(frozen=True, slots=True)
class LookedInto:
    """A list as it was when it was looked into."""

    place: str
    """Its path or URL."""
    stamp: str
    """What its folder told of it then: its size and when it was written, digested."""
    digest: str
    """Of its bytes."""
    batch: str
    refused: str | None
    """Why it was not taken in."""
    at: datetime


def looked_into(engine: Engine) -> Mapping[str, LookedInto]:
    """Return every list that was looked into, by its place, the latest last."""
    with reading(engine) as connection:
        rows = connection.execute(select(INBOX_LIST).order_by(INBOX_LIST.c.at, INBOX_LIST.c.place))
        return {row.place: LookedInto(**row._asdict()) for row in rows}


@outlasting_outages
def note_looked_into(engine: Engine, seen: LookedInto) -> None:
    """Remember a list, in place of what it was before."""
    values = {
        "place": seen.place, "stamp": seen.stamp, "digest": seen.digest,
        "batch": seen.batch, "refused": seen.refused, "at": seen.at,
    }  # fmt: skip
    with writing(engine) as connection:
        noted = insert(connection, InboxList).values(values)
        connection.execute(
            noted.on_conflict_do_update(index_elements=[INBOX_LIST.c.place], set_={**values, "place": seen.place})
        )
