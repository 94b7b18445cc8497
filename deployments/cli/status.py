"""Where everybody stands: the funnel, who waits for what, and the commands that move them on."""

from datetime import UTC, datetime

from deployments.cli.opening import open_to_ask
from deployments.cli.options import Batch, Every, Json, Watch
from deployments.cli.report import counts_object, json_lines, pace_object, paces_object, standing_lines
from deployments.cli.watching import Seen, show_once_or_watch
from states.holds import HoldKind
from states.stage import Stage


def status(batch: Batch = None, as_json: Json = False, watching: Watch = False, every: Every = None) -> None:
    """Show where everybody stands.

    The funnel, who waits for what, and the commands that move them on.
    """

    def look(indent: int | None) -> Seen:
        return _look(batch, as_json=as_json, indent=indent)

    show_once_or_watch(look, watching=watching, every=every, as_json=as_json)


def _look(batch: str | None, *, as_json: bool, indent: int | None) -> Seen:
    from store.completed_lately import present_pace
    from store.standing import standing as read_standing

    with open_to_ask() as database:
        standing = read_standing(database, batch)
        pace = present_pace(database, datetime.now(UTC), batch=batch)
        calls, seconds = standing.calls, standing.seconds
        if as_json:
            counts = counts_object(standing, calls=calls, seconds=seconds)
            lines = json_lines({**counts, **paces_object(standing), **pace_object(standing, pace)}, indent)
        else:
            lines = list(standing_lines(database, standing, calls=calls, seconds=seconds, pace=pace))
    ended = all(stage is Stage.completed or hold is HoldKind.cancelled for stage, hold, _ in standing.parts)
    return Seen(lines, over=ended and standing.total > 0 and not standing.unfinished)
