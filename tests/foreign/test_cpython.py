"""CPython's own tests end on ctxvars as they end on the standard library's `contextvars`.

Each module of tests runs twice, once with `ctxvars.contextvars` in the place of `contextvars`
before anything that uses it is imported, and the endings are compared test by test, including
skips with their reasons and subtests. `_asyncio` and `_contextvars`, in C, stay as they are.

Where `asyncio` insists on native contexts (see `INSISTS`), it keeps the standard library's module,
as it does in every program; only the tests then use ours.
"""

import platform
import sys
from pathlib import Path

import cpython_tests
import pytest
from cpython_differences import DIFFERENCES, HANGING, INSISTS
from endings import Endings, Outcome, compare

RUNNER = Path(__file__).with_name("cpython_runner.py")

SECONDS_PER_MODULE = 600
# After so long, a test that leaves the loop hanging has shown that it does.
SECONDS_TO_HANG = 30

MODULES = [
    "test.test_context",
    "test.test_asyncio.test_context",
    "test.test_asyncio.test_events",
    "test.test_asyncio.test_futures",
    "test.test_asyncio.test_futures2",
    "test.test_asyncio.test_runners",
    "test.test_asyncio.test_taskgroups",
    "test.test_asyncio.test_tasks",
    "test.test_asyncio.test_threads",
    "test.test_contextlib_async",
    "test.test_decimal",
    "test.test_genericalias",
    "test.test_threading",
]
if sys.version_info >= (3, 12):
    MODULES += ["test.test_asyncio.test_eager_task_factory", "test.test_unittest.test_async_case"]
if sys.version_info >= (3, 15):
    MODULES += ["test.test_asyncio.test_server_context"]

# The other classes of these modules test code in C: the map of `contextvars`, and `_decimal`.
CLASSES = {"test.test_context": "ContextTest", "test.test_decimal": "Py.*"}


# What the tests find as `contextvars`.
IN_PLACE = ("contextvars", "ctxvars.contextvars")


def options_for(module: str) -> list[str]:
    return ["--classes", CLASSES.get(module, ".*"), *(["--keep-asyncio"] if INSISTS else [])]


def run_both(
    module: str, directory: Path, *options: str, seconds: int = SECONDS_PER_MODULE
) -> tuple[Endings, Endings]:
    """The endings on the standard library, and those on ctxvars."""
    options = (*options_for(module), *options)
    return cpython_tests.run_both(RUNNER, IN_PLACE, module, directory, *options, seconds=seconds)


@pytest.mark.parametrize("module", MODULES)
def test_same_endings(module: str, outcome: Outcome, tmp_path: Path) -> None:
    outcome.suite, outcome.version = "CPython", platform.python_version()
    outcome.what = f"`{module}`"
    pytest.importorskip("test.test_context", reason="CPython's own tests are not installed")
    hanging = [test for test in HANGING if test.startswith(f"{module}.")]
    stdlib, ours = run_both(module, tmp_path, "--without", *hanging)
    for test in hanging:
        alone = run_both(module, tmp_path, "--only", test, seconds=SECONDS_TO_HANG)
        stdlib |= alone[0]
        ours |= alone[1]

    listed = {test: DIFFERENCES[test] for test in DIFFERENCES if test.startswith(f"{module}.")}
    compare(outcome, stdlib, ours, listed, lambda test: run_both(module, tmp_path, "--only", test))
    assert not outcome.surprises
    assert listed.keys() <= stdlib.keys(), "listed tests that do not exist"
