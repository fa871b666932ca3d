"""The comparisons detect a broken module, and a list of differences that is not exact."""

import tomllib
from pathlib import Path

import pytest

from tests.foreign import cpython_tests, test_cpython
from tests.foreign.endings import RUNNERS, Difference, Endings, Outcome, compare, surprises
from tests.foreign.packages import OURS, STDLIB, SUITES, Suite, run

BROKEN = ("broken_contextvars", [RUNNERS / "broken_contextvars.py"])

TESTS = """
import contextvars
import unittest

import pytest

variable = contextvars.ContextVar("variable", default=0)


def test_reset():
    token = variable.set(1)
    variable.reset(token)
    assert variable.get() == 0


def test_used_token():
    token = variable.set(1)
    variable.reset(token)
    with pytest.raises(RuntimeError):
        variable.reset(token)


@pytest.mark.skip(reason="it has one")
def test_skipped():
    pass


@pytest.mark.xfail
def test_expected_failure():
    assert False


def test_error():
    raise KeyError


@pytest.fixture
def nothing():
    raise ValueError


def test_setup(nothing):
    pass


class Subtests(unittest.TestCase):
    def test_subtests(self):
        for number in range(3):
            with self.subTest(number=number):
                assert number != 1
"""

SUITE = Suite("made", "1", "", "", ("test_made.py",), holder="test_made")
USED_TOKEN = "test_made.py::test_used_token"


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A suite whose tests end in all possible ways."""
    (tmp_path / "pytest.ini").write_text("[pytest]")
    (tmp_path / "test_made.py").write_text(TESTS)
    return tmp_path


def test_endings_of_pytest(sources: Path) -> None:
    endings = run(SUITE, sources, STDLIB, sources / "record")
    assert endings == {
        "test_made.py::test_reset": ["ok"],
        USED_TOKEN: ["ok"],
        "test_made.py::test_skipped": ["skip: it has one"],
        "test_made.py::test_expected_failure": ["expected failure"],
        "test_made.py::test_error": ["error: KeyError"],
        "test_made.py::test_setup": ["error in setup: ValueError"],
        "test_made.py::Subtests::test_subtests": [
            "failure: AssertionError",
            "ok",
            "ok",
            "ok",
        ],
    }
    assert run(SUITE, sources, OURS, sources / "record") == endings


def test_broken_module_is_noticed_by_pytest(sources: Path) -> None:
    def run_both(only: str | None = None) -> tuple[Endings, Endings]:
        theirs = run(SUITE, sources, STDLIB, sources / "record", only)
        return theirs, run(SUITE, sources, BROKEN, sources / "record", only)

    outcome = compare(Outcome("made"), *run_both(), {}, run_both)
    assert outcome.surprises.keys() == {USED_TOKEN}
    assert (outcome.tests, outcome.same, outcome.skipped) == (7, 5, 1)

    listed = {USED_TOKEN: Difference(["failure: Failed"], "it is broken")}
    assert not compare(Outcome("made"), *run_both(), listed, run_both).surprises


def test_broken_module_is_noticed_by_unittest(tmp_path: Path) -> None:
    module = "test.test_context"
    pytest.importorskip(module, reason="CPython's own tests are not installed")
    in_place = ("contextvars", "broken_contextvars")
    options = ("--classes", test_cpython.CLASSES[module], "--facades")
    theirs, broken = cpython_tests.run_both(
        test_cpython.RUNNER, in_place, module, tmp_path, *options, seconds=60
    )
    # This is the test of used tokens.
    what = surprises(theirs, broken, {})[f"{module}.ContextTest.test_context_getset_1"]
    assert what == "['ok'] on theirs, ['failure: AssertionError'] on ours"


@pytest.mark.parametrize(
    ("start", "holder"), [(("ctxvars.contextvars", STDLIB[1]), "test_made"), (OURS, "nobody")]
)
def test_wrong_module_is_noticed(sources: Path, start: tuple[str, list[str]], holder: str) -> None:
    suite = Suite("made", "1", "", "", ("test_made.py",), holder=holder)
    with pytest.raises(AssertionError, match=r"^exit 3: "):
        run(suite, sources, start, sources / "record")


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.package)
def test_installed_version_is_that_of_the_tests(suite: Suite) -> None:
    project = tomllib.loads((RUNNERS.parents[2] / "pyproject.toml").read_text())
    assert f"{suite.package}=={suite.version}" in project["dependency-groups"]["test"]


THEIRS = {"a": ["ok"], "b": ["ok"]}
FAILS = ["error: TypeError"]
LISTED = {"b": Difference(FAILS, "a reason")}


@pytest.mark.parametrize(
    ("ours", "surprising"),
    [
        pytest.param({"a": ["ok"], "b": FAILS}, set(), id="as listed"),
        pytest.param({"a": ["ok"], "b": ["ok"]}, {"b"}, id="vanished"),
        pytest.param({"a": ["ok"], "b": ["error: KeyError"]}, {"b"}, id="in another way"),
        pytest.param({"a": FAILS, "b": FAILS}, {"a"}, id="not listed"),
        pytest.param({"b": FAILS}, {"a"}, id="missing"),
        pytest.param({"a": ["ok"], "b": FAILS, "c": ["ok"]}, {"c"}, id="only on ours"),
    ],
)
def test_list_is_exact(ours: Endings, surprising: set[str]) -> None:
    outcome = compare(Outcome("made"), THEIRS, ours, LISTED, lambda _: (THEIRS, ours))
    assert outcome.surprises.keys() == surprising


def test_a_difference_by_chance_is_not_a_surprise() -> None:
    ours = {"a": FAILS, "b": FAILS}
    alone = ({"a": ["ok"]}, {"a": ["ok"]})
    assert not compare(Outcome("made"), THEIRS, ours, LISTED, lambda _: alone).surprises
