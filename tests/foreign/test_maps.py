"""The tests of other maps pass on `ctxvars.Map`, with listed exceptions.

They are the tests of the package immutables, which has the method names of ctxvars, and CPython's
tests of the map inside `contextvars`, of the mapping protocol, of `dict` and its views, and of
`frozendict`. The sources of immutables are downloaded, the others come with the interpreter.
"""

import json
import os
import platform
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.foreign.endings import RUNNERS, Difference, Endings, Outcome, compare
from tests.foreign.map_differences import DIFFERENCES
from tests.foreign.sdist import download, unpack

RUNNER = RUNNERS / "map_runner.py"

IMMUTABLES = ("immutables", "0.21")
SHA256 = "b55ffaf0449790242feb4c56ab799ea7af92801a0a43f9e2f4f8af2ab24dfc4a"

SECONDS_PER_MODULE = 600


@dataclass(frozen=True)
class Suite:
    """A module of tests, and its classes that are run."""

    module: str
    classes: str
    shows_original: bool = True
    """Whether the tests can also run on the original map."""
    displays: bool = False
    """Whether they test `dict` by dict displays, which are then replaced by `Versions`."""

    @property
    def from_immutables(self) -> bool:
        return self.module.startswith("tests.")


# The tests of immutables exist twice, also for its map in C. Few interpreters expose the HAMT of
# `contextvars`. `mapping_protocol` derives tests from CPython's abstract ones.
SUITES = [
    Suite("tests.test_map", "PyMapTest"),
    Suite("tests.test_none_keys", "PyMapNoneTest"),
    Suite("tests.test_pattern_matching", "PyMapTest"),
    Suite("tests.test_issue24", "Issue24PyTest"),
    Suite("test.test_context", "HamtTest", shows_original=False),
    Suite("mapping_protocol", ".*", shows_original=False),
    Suite("test.test_dictviews", "DictSetTest", displays=True),
    Suite("test.test_dict", "DictTest", displays=True),
]
if sys.version_info >= (3, 15):
    SUITES.append(Suite("test.test_dict", "FrozenDict.*Tests"))


def run(suite: Suite, directory: Path, *options: str | Path) -> Endings:
    """Return how the tests ended, by their ids."""
    record = directory / "record"
    # Some tests expect an order of strings. In a map, it is the order of their hashes.
    environment = os.environ | {"PYTHONHASHSEED": "0"}
    command: list[str | Path] = [sys.executable, "-X", "faulthandler", RUNNER, record]
    done = subprocess.run(
        [*command, suite.module, suite.classes, *options],
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS_PER_MODULE,
        check=False,
    )
    endings: Endings = {}
    for line in record.read_text().splitlines():
        test, ending, traceback = json.loads(line)
        # A test with subtests ends as the first subtest that did not pass. Their parameters
        # stand before the ending.
        if endings.get(test, ["ok"]) == ["ok"]:
            endings[test] = [ending.rpartition(") ")[2]]
        if traceback:
            print(f"{test} ended as {ending}:\n{traceback}")
    log = done.stderr[-3000:]
    assert done.returncode == 0, f"exit {done.returncode}, last {list(endings)[-1:]}: {log}"
    return endings


def listed_for(suite: Suite) -> dict[str, Difference]:
    return {
        f"{test_class}.{test}": Difference([ending], reason)
        for test_class, tests in DIFFERENCES.items()
        if re.fullmatch(f"{suite.module}.{suite.classes}", test_class)
        for test, (ending, reason) in tests.items()
    }


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: f"{suite.module}-{suite.classes}")
def test_same_endings(suite: Suite, outcome: Outcome, cache: Path, tmp_path: Path) -> None:
    outcome.what = f"`{suite.module}`"
    options: list[str | Path] = []
    if suite.from_immutables:
        outcome.suite, outcome.version = IMMUTABLES
        archive = download(*IMMUTABLES, SHA256, cache)
        unpack(archive, "tests", tmp_path)
        options += ["--path", unpack(archive, "immutables", tmp_path)]
    else:
        outcome.suite, outcome.version = "CPython, on maps", platform.python_version()
        pytest.importorskip("test.mapping_tests", reason="CPython's own tests are not installed")

    def run_both(only: str | None = None) -> tuple[Endings, Endings]:
        ours = run(suite, tmp_path, *options, *(["--displays"] if suite.displays else []))
        if suite.shows_original:
            theirs = run(suite, tmp_path, *options, "--original")
        else:
            theirs = {test: ["ok"] for test in ours}
        return theirs, ours

    theirs, ours = run_both()
    # Not every interpreter has each of the tests.
    listed = {test: listed for test, listed in listed_for(suite).items() if test in theirs}
    compare(outcome, theirs, ours, listed, run_both)
    assert ["ok"] in ours.values()
    assert not outcome.surprises
