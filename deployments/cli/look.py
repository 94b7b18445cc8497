"""The verbs that read: the funnel, one customer's story, the consent links to send out, what may be left behind."""

from collections.abc import Callable
from typing import Any

from deployments.cli.leftovers import leftovers
from deployments.cli.links import links
from deployments.cli.show import show
from deployments.cli.status import status

VERBS: tuple[Callable[..., Any], ...] = (status, show, links, leftovers)
