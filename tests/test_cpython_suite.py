"""CPython's own tests end on ctxvars as they end on the standard library's `contextvars`.

Each module of tests runs twice, once with `ctxvars.contextvars` in the place of `contextvars`
before anything that uses it is imported, and the endings are compared test by test, including
skips with their reasons and subtests. `_asyncio` and `_contextvars`, in C, stay as they are.

Where `asyncio` insists on native contexts (see `INSISTS`), it keeps the standard library's module,
as it does in every program; only the tests then use ours.
"""

import asyncio
import itertools
import json
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import ctxvars

pytest.importorskip("test.test_context", reason="CPython's own tests are not installed")

Endings = dict[str, list[str]]

RUNNER = Path(__file__).with_name("cpython_suite.py")

SECONDS_PER_MODULE = 200
SECONDS_PER_TEST = 20

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


async def insists() -> bool:
    coroutine = asyncio.sleep(0)
    try:
        await asyncio.get_running_loop().create_task(coroutine, context=ctxvars.Context())
    except TypeError:
        coroutine.close()
        return True
    return False


# Since gh-157301, in 3.15, a task refuses a context that is not native when it is made. Before,
# it took whatever has a method `run`; only eager tasks, which enter it themselves, did not.
INSISTS = asyncio.run(insists())

# The tests that end differently on ctxvars, and how. All of them give our `Context` as the context
# of a task. `ctxvars.create_task` takes it, or `Context.native` can be given.
DIFFERENCES: Endings = {}

# Those that leave the loop hanging: before gh-157301, a loop is lost when an eager task fails to
# start, with the standard library's context too if that is entered already.
HANGING: list[str] = []

TASK_GROUPS = "test.test_asyncio.test_taskgroups"
TASKS = "test.test_asyncio.test_tasks"

if sys.version_info >= (3, 14):
    test = f"{TASK_GROUPS}.TestEagerTaskTaskGroup.test_taskgroup_task_context"
    if INSISTS:
        DIFFERENCES[test] = ["error: ExceptionGroup"]
    else:
        DIFFERENCES[test] = ["error: ExceptionGroup", "timeout"]
        HANGING.append(test)

if INSISTS:
    DIFFERENCES[f"{TASK_GROUPS}.TestTaskGroup.test_taskgroup_task_context"] = [
        "error: ExceptionGroup"
    ]
    for test_class, method in itertools.product(
        [
            "CTask_CFuture_SubclassTests",
            "CTask_CFuture_Tests",
            "CTask_PyFuture_Tests",
            "CTaskSubclass_PyFuture_Tests",
            "PyTask_CFuture_Tests",
            "PyTask_CFutureSubclass_Tests",
            "PyTask_PyFuture_SubclassTests",
            "PyTask_PyFuture_Tests",
        ],
        [
            "test_context_4",
            "test_context_5",
            "test_context_6",
            "test_context_already_entered_leaves_loop_usable",
            "test_get_context",
        ],
    ):
        DIFFERENCES[f"{TASKS}.{test_class}.{method}"] = ["error: TypeError"]
    # The task is made by a finalizer, whose exception is only printed.
    test = f"{TASKS}.CTask_CFuture_Tests.test_task_created_during_thread_state_clear"
    DIFFERENCES[test] = ["failure: AssertionError"]


def run(contextvars: str, module: str, directory: Path, *options: str, seconds: int) -> Endings:
    """How the tests of `module` end with the module `contextvars`, by the ids of the tests."""
    directory = directory / contextvars
    directory.mkdir(exist_ok=True)
    record, log = directory / "record", directory / "log"
    command = [sys.executable, "-P", "-X", "faulthandler", RUNNER, contextvars, module, record]
    command += ["--classes", CLASSES.get(module, ".*"), *options]
    if INSISTS:
        command.append("--keep-asyncio")
    with log.open("w") as output:
        try:
            code = subprocess.run(
                command,
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                timeout=seconds,
            ).returncode
            how = f"exit {code}" if code else None
        except subprocess.TimeoutExpired:
            how = "timeout"

    endings: Endings = {}
    for line in record.read_text().splitlines():
        test, ending, _ = json.loads(line)
        endings.setdefault(test, []).append(ending)
    assert endings, f"no test of {module} ran: {log.read_text()[-2000:]}"
    if how is not None:
        endings[test].append(how)
    # Some tests make subtests of the members of a set, in any order.
    return {test: sorted(endings[test]) for test in endings}


def run_both(
    module: str, directory: Path, *options: str, seconds: int = SECONDS_PER_TEST
) -> tuple[Endings, Endings]:
    """The endings on the standard library, and those on ctxvars."""
    with ThreadPoolExecutor(2) as pool:
        stdlib, ours = pool.map(
            lambda contextvars: run(contextvars, module, directory, *options, seconds=seconds),
            ["contextvars", "ctxvars.contextvars"],
        )
    return stdlib, ours


def surprises(stdlib: Endings, ours: Endings) -> list[str]:
    """The tests that differ and are not listed, differ in another way, or are listed and do not."""
    return [
        test
        for test in sorted(stdlib.keys() | ours.keys())
        if ours.get(test) != DIFFERENCES.get(test, stdlib.get(test))
        or (test in DIFFERENCES and ours.get(test) == stdlib.get(test))
    ]


@pytest.mark.parametrize("module", MODULES)
def test_same_endings(module: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hanging = [test for test in HANGING if test.startswith(f"{module}.")]
    stdlib, ours = run_both(module, tmp_path, "--without", *hanging, seconds=SECONDS_PER_MODULE)
    for test in hanging:
        for endings, alone in zip(
            (stdlib, ours), run_both(module, tmp_path, "--only", test), strict=True
        ):
            endings |= alone
    assert not [test for test in stdlib if "_FailedTest" in test], "a test cannot be loaded"

    # Some tests depend on the time: what differs is run again, alone, up to two times.
    suspects = {test: (stdlib.get(test), ours.get(test)) for test in surprises(stdlib, ours)}
    remaining = {
        test: endings
        for test, endings in suspects.items()
        if all(surprises(*run_both(module, tmp_path, "--only", test)) for _ in range(2))
    }

    listed = {test for test in DIFFERENCES if test.startswith(f"{module}.")}
    counts = Counter(ending.split(":")[0] for test in stdlib for ending in stdlib[test][-1:])
    with capsys.disabled():
        print(f"\n{module}: {len(stdlib)} tests ({dict(counts)} on the standard library)")
        print(f"  {len(listed)} listed differences; run again: {suspects or 'none'}", end=" ")
    assert not remaining
    assert listed <= stdlib.keys(), "listed tests that do not exist"
