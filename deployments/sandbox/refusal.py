"""How the sandbox says no: a status, and perhaps a sentence."""


class Refused(Exception):
    """The request is answered with an error, and nothing has changed."""

    def __init__(self, status: int, message: str | None = None) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message
