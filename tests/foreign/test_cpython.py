"""CPython's tests end on ctxvars as they end on the standard library's `contextvars`.

Each module of tests runs twice, once with ctxvars in the place of `contextvars`. As by
`python -m ctxvars run`, the module is replaced before any module that uses it is imported. The
endings of each test are compared, including subtests, and skips with their reasons. The C modules
`_asyncio` and `_contextvars` stay as they are. The tests of `contextvars` itself run on
`ctxvars.Context` as well, which is another class without `run`.
"""

import platform
import sys
from pathlib import Path

import pytest

from tests.foreign import cpython_tests
from tests.foreign.endings import RUNNERS, Endings, Outcome, compare

RUNNER = RUNNERS / "cpython_runner.py"

SECONDS_PER_MODULE = 600

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


# The module that the tests import as `contextvars`.
IN_PLACE = ("contextvars", "ctxvars.contextvars")


def run_both(module: str, directory: Path, *options: str) -> tuple[Endings, Endings]:
    """Return the endings on the standard library, and those on ctxvars."""
    options = ("--classes", CLASSES.get(module, ".*"), *options)
    return cpython_tests.run_both(
        RUNNER, IN_PLACE, module, directory, *options, seconds=SECONDS_PER_MODULE
    )


@pytest.mark.parametrize(
    ("module", "options"),
    [*((module, ()) for module in MODULES), ("test.test_context", ("--facades",))],
)
def test_same_endings(
    module: str, options: tuple[str, ...], outcome: Outcome, tmp_path: Path
) -> None:
    outcome.suite, outcome.version = "CPython", platform.python_version()
    outcome.what = " ".join([f"`{module}`", *(f"with `{option}`" for option in options)])
    pytest.importorskip("test.test_context", reason="CPython's own tests are not installed")
    theirs, ours = run_both(module, tmp_path, *options)
    compare(
        outcome,
        theirs,
        ours,
        {},
        lambda test: run_both(module, tmp_path, *options, "--only", test),
    )
    assert not outcome.surprises
