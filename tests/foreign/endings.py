"""Compares how tests end on two implementations.

A difference is expected only if it is listed, with its endings on ctxvars and the reason. The list
is exact: a listed test that ends in another way, or no longer differs, is a surprise, too.
"""

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

# Scripts and modules for the process of a suite, where this folder is on `sys.path`.
RUNNERS = Path(__file__).with_name("runners")

# By the id of a test: how it and its subtests ended. Most tests have one ending.
Endings = dict[str, list[str]]


class Difference(NamedTuple):
    """How a test ends on ctxvars, unlike on the original, and why that is right."""

    endings: list[str]
    reason: str


Differences = Mapping[str, Difference]


def exit_status(
    command: Sequence[str | Path],
    log: Path,
    *,
    directory: Path,
    seconds: int,
    environment: Mapping[str, str] | None = None,
) -> int:
    """Return the exit status of a runner, whose output goes to a file."""
    with log.open("w") as output:
        return subprocess.run(
            command,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            timeout=seconds,
            check=False,
        ).returncode


def read(record: Path) -> Endings:
    """Read the endings that a runner has recorded."""
    endings: Endings = {}
    for line in record.read_text().splitlines():
        test, ending, _ = json.loads(line)
        endings.setdefault(test, []).append(ending)
    # Some tests have a subtest for each member of a set, in any order.
    return {test: sorted(endings[test]) for test in endings}


def surprises(theirs: Endings, ours: Endings, listed: Differences) -> dict[str, str]:
    """The tests whose difference is not listed as such, or that are listed and do not differ."""
    found = {}
    for test in sorted(theirs.keys() | ours.keys()):
        expected = listed[test].endings if test in listed else theirs.get(test)
        if ours.get(test) != expected:
            found[test] = f"{theirs.get(test)} on theirs, {ours.get(test)} on ours"
        elif test in listed and ours.get(test) == theirs.get(test):
            found[test] = f"listed as a difference, but {ours.get(test)} on both"
    return found


@dataclass
class Outcome:
    """The result of comparing one suite, as it is published."""

    suite: str
    version: str = ""
    what: str = ""
    """Which of its tests are run."""
    tests: int = 0
    """How many tests there are, end alike, are skipped on both, and differ."""
    skipped: int = 0
    listed: dict[str, Difference] = field(default_factory=dict)
    surprises: dict[str, str] = field(default_factory=dict)
    note: str = ""
    """Why nothing ran, if so."""

    @property
    def same(self) -> int:
        return self.tests - self.skipped - len(self.listed) - len(self.surprises)


def compare(
    outcome: Outcome,
    theirs: Endings,
    ours: Endings,
    listed: Differences,
    run_again: Callable[[str], tuple[Endings, Endings]],
) -> Outcome:
    """Add the comparison of endings to `outcome`.

    Some tests depend on timing, so tests that differ are run again, alone, up to two times.
    """
    suspects = surprises(theirs, ours, listed)
    outcome.surprises = {
        test: what
        for test, what in suspects.items()
        if all(test in surprises(*run_again(test), listed) for _ in range(2))
    }
    outcome.tests = len(theirs.keys() | ours.keys())
    outcome.listed = {
        test: difference
        for test, difference in listed.items()
        if test in theirs and test not in outcome.surprises
    }
    outcome.skipped = sum(
        test not in outcome.listed
        and test not in outcome.surprises
        and all(ending.startswith("skip: ") for ending in endings)
        for test, endings in theirs.items()
    )
    return outcome
