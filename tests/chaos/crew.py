"""The workers: real `onboard` processes, started again whenever one has ended while there is work left."""

import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from random import Random

from sqlalchemy import Engine, text

from deployments.cli.exits import ExitCode
from store.engine import reading
from tests.chaos.witness import database_now
from tests.journeys.processes import Onboard, Started

_LONGEST_END_SECONDS = 180.0
_LINES_OF_A_FAULT = 12


@dataclass(slots=True)
class Struck:
    """A worker that was killed or stopped, and what it held at that moment."""

    kind: str
    pid: int
    at: datetime
    held: frozenset[int]
    until: datetime | None = None
    """When it was continued."""

    def is_by(self, worker: str | None) -> bool:
        """Tell whether a worker's name is that of this process."""
        return is_named(worker, self.pid)


@dataclass(slots=True)
class Worker:
    """One place in the crew, and the process that fills it."""

    place: int
    started: Started
    wakes_at: float | None = None
    stop: Struck | None = None

    @property
    def pid(self) -> int:
        """The process."""
        return self.started.process.pid


@dataclass
class Crew:
    """So many workers, what was done to them, and how those ended that nobody had killed."""

    onboard: Onboard
    engine: Engine
    size: int
    words: tuple[tuple[str, ...], ...]
    """The commands that a worker may be."""
    random: Random
    workers: list[Worker] = field(default_factory=list)
    deaths: list[Struck] = field(default_factory=list)
    stops: list[Struck] = field(default_factory=list)
    ends: Counter[int] = field(default_factory=Counter)
    """Exit codes of those that ended by themselves."""
    complaints: list[str] = field(default_factory=list)
    """The last words of those that ended badly."""

    @property
    def ended_badly(self) -> bool:
        """Whether any ended for another reason than that there was nothing left, or no Prefect for a while."""
        return not set(self.ends) <= {ExitCode.fine, ExitCode.cannot_start}

    def keep_at_work(self) -> None:
        """Fill every place whose process has ended."""
        for worker in self.workers:
            if worker.started.process.poll() is not None:
                self._note_end(worker)
                worker.started = self._start()
        while len(self.workers) < self.size:
            self.workers.append(Worker(len(self.workers) + 1, self._start()))

    def wake(self, *, all_of_them: bool = False) -> list[Worker]:
        """Continue whoever has been stopped long enough."""
        woken = [one for one in self.workers if one.wakes_at and (all_of_them or time.monotonic() >= one.wakes_at)]
        for worker in woken:
            worker.started.process.send_signal(signal.SIGCONT)
            worker.wakes_at = None
            if worker.stop is not None:
                worker.stop.until = database_now(self.engine)
        return woken

    def at_work(self) -> list[Worker]:
        """Return those who hold leases and are not stopped."""
        return [one for one in self.workers if one.wakes_at is None and self._held_by(one)]

    def kill(self, worker: Worker) -> Struck:
        """End a worker as a power failure would."""
        worker.started.process.kill()
        worker.started.process.wait()
        death = Struck("kill", worker.pid, database_now(self.engine), self._held_by(worker))
        self.deaths.append(death)
        worker.started = self._start()
        return death

    def stop(self, worker: Worker, seconds: float) -> Struck:
        """Stop a worker for so long."""
        worker.started.process.send_signal(signal.SIGSTOP)
        worker.wakes_at = time.monotonic() + seconds
        worker.stop = Struck("stop", worker.pid, database_now(self.engine), self._held_by(worker))
        self.stops.append(worker.stop)
        return worker.stop

    def end(self) -> None:
        """Wake everybody, and wait until they have ended by themselves."""
        self.wake(all_of_them=True)
        for worker in self.workers:
            worker.started.ended(within=_LONGEST_END_SECONDS)
            self._note_end(worker)

    def _start(self) -> Started:
        return self.onboard.start(*self.random.choice(self.words), "--json")

    def _note_end(self, worker: Worker) -> None:
        ended = worker.started.ended()
        self.ends[ended.code] += 1
        assert "Traceback" not in ended.said, ended.said
        if ended.code not in (0, 1):
            lines = ended.err.strip().splitlines()
            self.complaints.append(f"worker {worker.place} ended with {ended.code}: {lines[-1] if lines else ''}")
            faults = self.onboard.home / "faults.log"
            if ended.code == ExitCode.unexpected and faults.exists():
                self.complaints += faults.read_text(encoding="utf-8").splitlines()[-_LINES_OF_A_FAULT:]

    def _held_by(self, worker: Worker) -> frozenset[int]:
        held = text("SELECT id FROM onboarding WHERE lease_token IS NOT NULL AND lease_owner LIKE :named")
        with reading(self.engine) as connection:
            return frozenset(connection.execute(held, {"named": f"%:{worker.pid}:%"}).scalars())


def is_named(worker: str | None, pid: int) -> bool:
    """Tell whether ``worker`` is what a process of this id calls itself."""
    return worker is not None and worker.split(":")[1:2] == [str(pid)]
