"""One line in the log of a run, as Prefect's pages show it: what a page came to.

Prefect's own lines, several for each task run, are kept out by a level that spares a third of a bulk run. Ours have a
logger of their own beside them, one line a page. They are queued, and sent by a thread of Prefect's every two seconds:
a server that is away costs them, and nothing else.
"""

import logging
from functools import cache

from prefect.logging import get_logger, get_run_logger


def write_in_run_log(words: str) -> None:
    """Write ``words`` into the log of the task run, or the flow run, in which this is called; on no terminal.

    Raises prefect.exceptions.MissingContextError outside a run.
    """
    inside = get_run_logger()
    if isinstance(inside, logging.LoggerAdapter):  # any other is Prefect's way to keep no log at all
        _beside(inside.logger.name).info(words, extra=dict(inside.extra or {}))


@cache
def _beside(name: str) -> logging.Logger:
    """Return a logger that says more than Prefect's logger ``name``, and only to those who send it to Prefect."""
    logger = get_logger(f"{name}.onboarding")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    for handler in logging.getLogger(name).handlers:
        if not isinstance(handler, logging.StreamHandler):
            logger.addHandler(handler)
    return logger
