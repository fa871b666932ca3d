"""CPython's tests of classes end alike with `build_class` and `builtins.__build_class__`.

Each module of tests runs twice, once with `ctxvars.classes.build_class` in the place of
`builtins.__build_class__`, for the tests and their imports. The endings of each test are compared.
No differences are allowed.
"""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from tests.foreign import cpython_tests
from tests.foreign.endings import RUNNERS, Endings, Outcome, compare

RUNNER = RUNNERS / "class_creation_runner.py"

SECONDS = 200

MODULES = [
    "test.test_abc",
    "test.test_class",
    "test.test_dataclasses",
    "test.test_descr",
    "test.test_enum",
    "test.test_genericclass",
    "test.test_metaclass",
    "test.test_subclassinit",
    "test.test_super",
    "test.test_type_annotations",
    "test.test_types",
    "test.test_typing",
]
if sys.version_info >= (3, 12):
    MODULES += ["test.test_type_params"]


# The module whose `build_class` the tests use.
IN_PLACE = ("builtins", "ctxvars.classes")


def run_both(module: str, directory: Path, *options: str) -> tuple[Endings, Endings]:
    """Return the endings with the function of the interpreter, and with that of ctxvars."""
    both = cpython_tests.run_both(RUNNER, IN_PLACE, module, directory, *options, seconds=SECONDS)
    assert not any("timeout" in endings[test] for endings in both for test in endings)
    return both


@pytest.mark.parametrize("module", MODULES)
def test_same_endings(module: str, outcome: Outcome, tmp_path: Path) -> None:
    outcome.suite, outcome.version = "CPython, on classes", platform.python_version()
    outcome.what = f"`{module}`"
    pytest.importorskip(module, reason="CPython's own tests are not installed")
    theirs, ours = run_both(module, tmp_path)
    compare(outcome, theirs, ours, {}, lambda test: run_both(module, tmp_path, "--only", test))
    assert not outcome.surprises


def test_class_statements_call_the_replacement(tmp_path: Path) -> None:
    runner = tmp_path / RUNNER.name
    wrong = "lambda *arguments, **keywords: 1 / 0"
    runner.write_text(RUNNER.read_text().replace("_core.build_class", wrong))
    command = [sys.executable, runner, "ctxvars.classes", "test.test_class", tmp_path / "record"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "ZeroDivisionError" in done.stderr
