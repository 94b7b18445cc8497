"""Recording what workers did: the only writers of a stage.

Workers hand in groups of writes as their calls are sent and answers arrive; a group is one transaction. Each write is
fenced (:mod:`store.fence`). A write that fails its fence changes nothing but the intent that it carries the answer for;
its writer is told so. The others are carried out kind by kind (:mod:`store.beginnings`, :mod:`store.outcomes`).
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import Connection, Engine

from states.health import USUAL_BUDGET, FailureBudget
from store.beginnings import begin, issue, learn, prolong, take_turn
from store.closing import Closing
from store.engine import writing
from store.fence import cancelling, fence
from store.health import note_outcomes
from store.journal import Close, answered_late, close_intents, report_late, report_unknown
from store.outages import outlasting_outages
from store.outcomes import hold, move, release
from store.writes import Begin, Held, Issue, Learn, LeaseLost, Moved, Prolong, Released, TakeTurn, Write


@outlasting_outages
def record_group(
    engine: Engine, writes: Sequence[Write], *, worker: str, now: datetime, budget: FailureBudget = USUAL_BUDGET
) -> list[int | LeaseLost | None]:
    """Carry out ``writes`` in one transaction; return for each its new intent's id, None, or a :class:`LeaseLost`."""
    results: list[int | LeaseLost | None] = [None] * len(writes)
    with writing(engine) as connection:
        fenced = fence(connection, writes, now)
        stopped = fenced.stopped(writes) | _answered_after_all(connection, writes, fenced.ours)
        ours = fenced.ours - stopped.keys()
        kept: dict[type, list[tuple[int, Write]]] = defaultdict(list)
        for place, write in enumerate(writes):
            if place in ours:
                kept[type(write)].append((place, cancelling(write, fenced.cancelled.get(place))))
            else:
                why = stopped.get(place, "is no longer leased by this worker")
                results[place] = LeaseLost(f"onboarding {write.record.id} {why}")
        release(connection, [Released(writes[place].record) for place in stopped], worker, now)
        _close(connection, writes, ours, now)
        for kind, apply in _APPLY.items():
            if kept[kind]:
                outcomes = apply(connection, [write for _, write in kept[kind]], worker, now)
                for (place, _), outcome in zip(kept[kind], outcomes, strict=True):
                    results[place] = outcome
        note_outcomes(connection, [write for group in kept.values() for _, write in group], now, budget)
    return results


def _answered_after_all(connection: Connection, writes: Sequence[Write], ours: set[int]) -> dict[int, str]:
    """Return the places of those that call again, although the answer to the call before came meanwhile; and why.

    They are given back: whoever claims them next uses that answer, and nothing is left behind at Alloy.
    """
    again = {
        write.replaces.id: place
        for place, write in enumerate(writes)
        if place in ours and isinstance(write, Begin) and write.replaces is not None
    }
    late = answered_late(connection, list(again)) if again else ()
    return {again[intent_id]: "was answered after all" for intent_id in late}


def _close(connection: Connection, writes: Sequence[Write], ours: set[int], now: datetime) -> None:
    closes = []
    for place, write in enumerate(writes):
        close = write.replaces if isinstance(write, Begin) else getattr(write, "closes", None)
        if close is None:
            continue
        if close.outcome is Closing.nothing or (place in ours and (isinstance(write, Moved) or close.evidence is None)):
            closes.append(close)
        elif close.evidence is not None:  # only a move uses it: whoever claims the record next must find it
            closes.append(Close(close.id, Closing.late, close.evidence))
    close_intents(connection, closes, now)
    unknown = {place: write.unknown for place, write in enumerate(writes) if isinstance(write, Held) and write.unknown}
    report_unknown(connection, [call for place, call in unknown.items() if place in ours], now)
    report_late(connection, [call for place, call in unknown.items() if place not in ours], now)


_APPLY: dict[type, Callable[..., Sequence[int | None]]] = {
    Begin: begin,
    Prolong: prolong,
    Learn: learn,
    TakeTurn: take_turn,
    Issue: issue,
    Moved: move,
    Held: hold,
    Released: release,
}
"""In the order in which one group's writes are carried out."""
