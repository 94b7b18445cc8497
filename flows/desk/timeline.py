"""The way of one onboarding as a chart: how long it was at each stage, and when it stood still, and why."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from flows.desk.drawing import drawing, label
from flows.desk.words import span
from states.stage import Stage
from store.views import Event, OnboardingStory

HOLDS = 12
"""So many of the latest holds are drawn: a chart of forty attempts shows nothing."""
_SHORTEST = timedelta(milliseconds=1)


def timeline(one: OnboardingStory, now: datetime) -> str:
    """Return the chart; nothing before anything happened."""
    if not one.history:
        return ""
    stays = list(_stays(one, now))
    holds = list(_holds(one, now))[-HOLDS:]
    length = stays[-1][2] - stays[0][1]
    pattern = "%H:%M:%S" if length < timedelta(minutes=5) else "%H:%M" if length < timedelta(days=1) else "%d %b"
    lines = [
        "gantt",
        "    dateFormat x",
        f"    axisFormat {pattern}",
        "    section stages",
        *(_bar(f"{stage} {span(until - since)}", "done" if over else "active", since, until)
          for stage, since, until, over in stays),
    ]  # fmt: skip
    if holds:
        lines += ["    section held for"]
        lines += [_bar(words, "crit", since, until) for words, since, until in holds]
    return drawing(
        lines, gantt={"useWidth": 720, "leftPadding": 80, "barHeight": 26, "fontSize": 14, "sectionFontSize": 14}
    )


def _stays(one: OnboardingStory, now: datetime) -> Iterator[tuple[Stage, datetime, datetime, bool]]:
    """Yield each stage with since when and until when it was there, and whether that is over."""
    moves = [event for event in one.history if event.trigger is not None]
    stage, since = Stage.new, one.history[0].at
    for move in moves:
        yield stage, since, move.at, True
        stage, since = move.stage, move.at
    if stage is Stage.completed:
        yield stage, since, since, True
    else:
        yield stage, since, now, False


def _holds(one: OnboardingStory, now: datetime) -> Iterator[tuple[str, datetime, datetime]]:
    """Yield each hold until the next thing that happened."""
    for event, after in zip(one.history, [*one.history[1:], None], strict=True):
        if event.hold is not None:
            until = after.at if after is not None else now if one.hold is not None else event.at
            yield _words(event), event.at, until


def _words(event: Event) -> str:
    return label(f"{event.hold} {event.reason}".replace("_", " "))


def _bar(words: str, kind: str, since: datetime, until: datetime) -> str:
    return f"    {words} :{kind}, {_milliseconds(since)}, {_milliseconds(max(until, since + _SHORTEST))}"


def _milliseconds(time: datetime) -> int:
    return round(time.timestamp() * 1000)
