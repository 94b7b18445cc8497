"""Pages for tests that want long ones of few customers."""

from collections.abc import Callable


class WholePages:
    """Pages as large as there is room, whatever Prefect could record."""

    def __init__(self, due: int, clock: Callable[[], float]) -> None:
        """Take what a budget is made of."""

    def size(self, room: int, *, in_bulk: bool, idle: bool) -> int:
        return max(room, 0)

    def spend(self) -> None:
        """Pages cost nothing."""
