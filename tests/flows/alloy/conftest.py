from collections.abc import Iterator

import pytest
import stamina


@pytest.fixture(autouse=True)
def no_waiting_between_attempts() -> Iterator[None]:
    """As many attempts as in earnest, without the seconds in between."""
    with stamina.set_testing(True, attempts=4):
        yield
