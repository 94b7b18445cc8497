"""Times, spans, numbers and shares, as the pages say them. Times are absolute: a page may be looked at much later."""

from datetime import datetime, timedelta


def moment(time: datetime | None) -> str:
    """Say a time, in UTC."""
    return f"{time:%Y-%m-%d %H:%M:%S}" if time is not None else ""


def span(length: timedelta) -> str:
    """Say how long something takes, in its two largest units at most."""
    seconds = length.total_seconds()
    if seconds < 10:
        return f"{seconds:.1f} s"
    for size, unit, part, smaller in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            whole, rest = divmod(round(seconds), size)
            return f"{whole} {unit} {rest // part} {smaller}" if rest // part else f"{whole} {unit}"
    return f"{round(seconds)} s"


def count(number: int, one: str, several: str | None = None) -> str:
    """Say a number of things: "1 row", "2 rows"."""
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"


def share(part: float | None) -> str:
    """Say a share of a hundred; nothing where there is none."""
    return "" if part is None else f"{part:.1%}"


def figure(number: float) -> str:
    """Say a number that need not be whole."""
    return f"{number:,.1f}".removesuffix(".0")
