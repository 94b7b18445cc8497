"""A mutant is this program with one safeguard taken out: it must fail the tests that are there for the safeguard.

It is made on the source, in a copy of the tree, so that what is tested is the program as it would be without that line,
and nothing that a test has put into it. The tests run in a process of their own.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).parents[2]
_COPIED = ("states", "store", "flows", "deployments", "tests")
_REPORT = "report.xml"
_BY_AN_ASSERTION = ("assert ", "AssertionError", "Failed: DID NOT RAISE")


class MutationGone(AssertionError):
    """The text that a mutation replaces is not there, or not once: the mutation no longer says what it means."""


@dataclass(frozen=True, kw_only=True)
class Mutation:
    """One safeguard, the line that it hangs on, and the tests of which one must notice that it is gone."""

    name: str
    file: str
    was: str
    becomes: str
    tests: tuple[str, ...]

    def apply(self, tree: Path) -> None:
        """Take the safeguard out of the copy in ``tree``. Raises :class:`MutationGone`."""
        path = tree / self.file
        source = path.read_text(encoding="utf-8") if path.exists() else ""
        if source.count(self.was) != 1:
            raise MutationGone(f"{self.name}: {self.file} holds {source.count(self.was)} times, not once: {self.was}")
        path.write_text(source.replace(self.was, self.becomes), encoding="utf-8")


@dataclass(frozen=True)
class Verdict:
    """How the tests ended."""

    exit_code: int
    ran: int
    broken: list[str]
    """Tests that could not run: what they need was missing."""
    failures: list[str]
    """What each failed test said."""
    output: str

    @property
    def passed(self) -> bool:
        """Whether everything went well."""
        return self.exit_code == 0 and self.ran > 0 and not self.failures and not self.broken

    @property
    def noticed(self) -> bool:
        """Whether a test failed, and by an assertion of its own: a program that merely breaks proves nothing."""
        by_assertion = [failure for failure in self.failures if failure.startswith(_BY_AN_ASSERTION)]
        return self.exit_code == 1 and bool(by_assertion) and not self.broken


def copy_tree(to: Path) -> Path:
    """Copy what the tests need to ``to``; return it."""
    for name in _COPIED:
        shutil.copytree(ROOT / name, to / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", to)
    return to


def run_tests(tree: Path, tests: Sequence[str], seconds: float = 240) -> Verdict:
    """Run ``tests`` on the program in ``tree``, up to the first failure."""
    run = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider"),
            *("--basetemp", str(tree / "temporary"), "--junit-xml", str(tree / _REPORT), *tests),
        ],
        cwd=tree,
        env=dict(_plain_environment()),
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    return _read(tree / _REPORT, run.returncode, run.stdout + run.stderr)


def noticing(mutations: Iterable[Mutation]) -> list[str]:
    """Return the tests that notice one of ``mutations``, each once."""
    return sorted({test for mutation in mutations for test in mutation.tests})


def _plain_environment() -> Iterable[tuple[str, str]]:
    """Without what the outer pytest tells its own processes."""
    return ((name, value) for name, value in os.environ.items() if not name.startswith(("PYTEST_", "PYTHONPATH")))


def _read(report: Path, exit_code: int, output: str) -> Verdict:
    cases = list(ET.parse(report).iter("testcase")) if report.exists() else []  # noqa: S314 - pytest has just written it
    return Verdict(
        exit_code,
        len(cases),
        [str(found.get("message")) for case in cases for found in case.iter("error")],
        [str(found.get("message")) for case in cases for found in case.iter("failure")],
        output,
    )
