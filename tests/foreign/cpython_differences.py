"""The tests of CPython that end differently on our context variables, how, and why that is right.

All of them give our `Context` as the context of a task.
"""

import asyncio
import itertools
import sys

from endings import Difference

import ctxvars


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

NATIVE_TASKS = (
    "the task insists on a native context; `ctxvars.create_task` takes ours, or give it "
    "`Context.native`"
)
FINALIZER = "the task is made by a finalizer, whose exception is only printed: " + NATIVE_TASKS

DIFFERENCES: dict[str, Difference] = {}

# Those that leave the loop hanging: before gh-157301, a loop is lost when an eager task fails to
# start, with the standard library's context too if that is entered already.
HANGING: list[str] = []

TASK_GROUPS = "test.test_asyncio.test_taskgroups"
TASKS = "test.test_asyncio.test_tasks"

if sys.version_info >= (3, 14):
    test = f"{TASK_GROUPS}.TestEagerTaskTaskGroup.test_taskgroup_task_context"
    endings = ["error: ExceptionGroup"]
    if not INSISTS:
        endings.append("timeout")
        HANGING.append(test)
    DIFFERENCES[test] = Difference(endings, NATIVE_TASKS)

if INSISTS:
    DIFFERENCES[f"{TASK_GROUPS}.TestTaskGroup.test_taskgroup_task_context"] = Difference(
        ["error: ExceptionGroup"], NATIVE_TASKS
    )
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
        DIFFERENCES[f"{TASKS}.{test_class}.{method}"] = Difference(
            ["error: TypeError"], NATIVE_TASKS
        )
    DIFFERENCES[f"{TASKS}.CTask_CFuture_Tests.test_task_created_during_thread_state_clear"] = (
        Difference(["failure: AssertionError"], FINALIZER)
    )
