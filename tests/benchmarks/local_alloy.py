"""The local Alloy as a process of its own, whose time and memory are not ours."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from deployments.sandbox.control import SandboxControl

API_KEY = "sandbox-dev-key"
_ADMIN_TOKEN = "benchmark"
_LONGEST_ANSWER_SECONDS = 600.0
"""The ledger of a hundred thousand customers takes a while."""


@dataclass(frozen=True, slots=True)
class LocalAlloy:
    """One that runs."""

    control: SandboxControl
    pid: int

    @property
    def url(self) -> str:
        """Where it is called."""
        return self.control.url

    def begin_anew(self, **knobs: object) -> None:
        """Empty the account, forget the requests, and turn these knobs; all others are as they were made."""
        self.control.reset()
        self.control.turn(**knobs)


@contextmanager
def local_alloy() -> Iterator[LocalAlloy]:
    """Run it on a free port of the loopback."""
    command = [sys.executable, "-m", "deployments.sandbox", "--port", "0", "--dev-key", API_KEY]
    environment = {**os.environ, "SANDBOX_ADMIN_TOKEN": _ADMIN_TOKEN}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            yield LocalAlloy(SandboxControl(url, _ADMIN_TOKEN, _LONGEST_ANSWER_SECONDS), process.pid)
        finally:
            process.terminate()
