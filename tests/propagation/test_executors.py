"""Thread pools that carry the context: `ContextThreadPoolExecutor` and `run_in_executor`."""

from __future__ import annotations

import asyncio
import sys
import threading
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import pytest

import ctxvars
from ctxvars import ContextThreadPoolExecutor, run_in_executor
from tests.support.new_context import KINDS, in_new_context, variable_of
from tests.support.subprocesses import in_subprocess
from tests.support.worker_threads import (
    INHERIT,
    SEEN_BY_LATE_CALLS,
    pinned_by_a_worker,
    seen_by_late_calls,
)


def submitted() -> list[list[object]]:
    """Return the values that calls see of either kind of variable, and leave for later calls."""
    found: list[list[object]] = []
    with ContextThreadPoolExecutor(max_workers=1) as pool:
        for variable in map(variable_of, KINDS):

            def replace(variable: Any = variable) -> object:
                seen = variable.get()
                variable.set("the call's")
                return seen

            variable.set("first")
            first = pool.submit(replace)
            variable.set("second")
            second = pool.submit(replace)
            results = [first.result(), second.result(), pool.submit(replace).result()]
            elsewhere = in_new_context(pool.submit, replace).result()
            found.append([*results, elsewhere, variable.get()])
    return found


@pytest.mark.parametrize("options", INHERIT, ids=" ".join)
def test_a_call_runs_in_a_copy_of_the_context_it_was_submitted_from(
    options: tuple[str, ...],
) -> None:
    expected = ["first", "second", "second", "none", "second"]
    assert in_subprocess(submitted, options=options) == [expected, expected]


def mapped() -> list[list[object]]:
    found: list[list[object]] = []
    with ContextThreadPoolExecutor(max_workers=2) as pool:
        for variable in map(variable_of, KINDS):

            def add(left: str, right: str, variable: Any = variable) -> object:
                seen = variable.get()
                variable.set("the call's")
                return f"{seen} {left}{right}"

            variable.set("mapped")
            results = pool.map(add, "abc", "xyz", timeout=30, chunksize=2)
            variable.set("later")
            found.append([*results, variable.get()])
    return found


@pytest.mark.parametrize("options", INHERIT, ids=" ".join)
def test_map_carries_the_context_to_each_call(options: tuple[str, ...]) -> None:
    expected = ["mapped ax", "mapped by", "mapped cz", "later"]
    assert in_subprocess(mapped, options=options) == [expected, expected]


@pytest.mark.skipif(sys.version_info < (3, 14), reason="buffersize came with 3.14")
@pytest.mark.parametrize("module", KINDS, ids=lambda module: module.__name__)
def test_calls_that_are_submitted_late_see_the_context_of_the_map(module: Any) -> None:
    with ContextThreadPoolExecutor(max_workers=1) as pool:
        assert seen_by_late_calls(pool, variable_of(module)) == SEEN_BY_LATE_CALLS


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="buffersize came with 3.14")
def test_a_buffersize_is_refused_as_the_standard_library_does() -> None:
    with ContextThreadPoolExecutor() as pool, pytest.raises(TypeError, match="buffersize"):
        pool.map(str, [1], buffersize=1)


@pytest.mark.parametrize("options", INHERIT, ids=" ".join)
def test_a_worker_keeps_no_context_alive(options: tuple[str, ...]) -> None:
    assert in_subprocess(pinned_by_a_worker, "ours", options=options) == [False, False]


@pytest.mark.skipif(sys.version_info < (3, 14), reason="threads may inherit contexts from 3.14 on")
def test_a_worker_of_a_plain_pool_may_keep_a_context_alive() -> None:
    assert in_subprocess(pinned_by_a_worker, "plain", options=INHERIT[-1]) == [True, True]


def test_a_call_that_raises_leaves_nothing_behind() -> None:
    variable = ctxvars.ContextVar("variable", default="none")

    def fail() -> None:
        variable.set("set by the call")
        raise ZeroDivisionError("by the call")

    with ContextThreadPoolExecutor(max_workers=1) as pool:
        future = pool.submit(fail)
        with pytest.raises(ZeroDivisionError, match="by the call"):
            future.result()
        assert pool.submit(variable.get).result() == "none"
    assert variable.get() == "none"


def test_arguments_are_passed_on() -> None:
    def call(*args: object, **kwargs: object) -> tuple[object, object]:
        return args, kwargs

    with ContextThreadPoolExecutor() as pool:
        future = pool.submit(call, 1, fn=2, self=3, context=4)
        assert future.result() == ((1,), {"fn": 2, "self": 3, "context": 4})
        assert isinstance(future, Future)


def test_the_initializer_runs_in_the_worker_and_calls_see_what_it_sets() -> None:
    variable = ctxvars.ContextVar("variable", default="none")
    variable_was_set = threading.Event()

    def initialize(value: str) -> None:
        variable.set(value)
        variable_was_set.set()

    with ContextThreadPoolExecutor(
        1, thread_name_prefix="named", initializer=initialize, initargs=("initial",)
    ) as pool:
        assert pool.submit(variable.get).result() == "initial"
        assert pool.submit(lambda: threading.current_thread().name).result().startswith("named")
    assert variable_was_set.is_set()


def test_a_subclass_may_change_submit() -> None:
    variable = ctxvars.ContextVar("variable", default="none")

    class Counting(ContextThreadPoolExecutor):
        count = 0

        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
            self.count += 1
            return super().submit(fn, *args, **kwargs)

    def use() -> None:
        variable.set("seen")
        with Counting() as pool:
            assert list(pool.map(lambda _: variable.get(), range(3))) == ["seen"] * 3
            assert pool.count == 3

    in_new_context(use)


@pytest.mark.parametrize("method", ["submit", "map"])
def test_submit_and_map_refuse_a_function_that_is_not_callable(method: str) -> None:
    with (
        ContextThreadPoolExecutor() as pool,
        pytest.raises(TypeError, match=rf"^{method}\(\) argument 'fn' must be callable, got 5$"),
    ):
        getattr(pool, method)(5, [1])


def test_an_executor_that_was_shut_down_says_so() -> None:
    pool = ContextThreadPoolExecutor()
    pool.shutdown()
    message = "cannot schedule new futures after shutdown"
    with pytest.raises(RuntimeError, match=message):
        pool.submit(int)
    with pytest.raises(RuntimeError, match=message):
        pool.map(int, "1")

    async def run() -> None:
        with pytest.raises(RuntimeError, match=message):
            run_in_executor(asyncio.get_running_loop(), pool, int)

    asyncio.run(run())


def seen_through_a_loop() -> list[list[object]]:
    """Return the values in calls of `run_in_executor`, with pools of each kind."""

    async def run(variable: Any) -> list[object]:
        loop = asyncio.get_running_loop()
        variable.set("the task's")

        def replace(value: str) -> object:
            seen = variable.get()
            variable.set(value)
            return seen

        with ThreadPoolExecutor() as plain, ContextThreadPoolExecutor() as ours:
            results = [
                await run_in_executor(loop, executor, replace, "the call's")
                for executor in (None, plain, ours)
            ]
            return [*results, await loop.run_in_executor(ours, variable.get), variable.get()]

    return [asyncio.run(run(variable)) for variable in map(variable_of, KINDS)]


@pytest.mark.parametrize("options", INHERIT, ids=" ".join)
def test_run_in_executor_carries_the_context(options: tuple[str, ...]) -> None:
    expected = ["the task's"] * 5
    assert in_subprocess(seen_through_a_loop, options=options) == [expected, expected]


def test_run_in_executor_on_uvloop() -> None:
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed")
    variable = ctxvars.ContextVar("variable", default="none")

    async def run() -> str:
        variable.set("the task's")
        return await run_in_executor(asyncio.get_running_loop(), None, variable.get)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(run()) == "the task's"


def test_a_default_executor_that_carries_the_context() -> None:
    variable = ctxvars.ContextVar("variable", default="none")

    async def run() -> list[str]:
        loop = asyncio.get_running_loop()
        variable.set("the task's")
        before = await loop.run_in_executor(None, variable.get)
        loop.set_default_executor(ContextThreadPoolExecutor())
        return [before, await loop.run_in_executor(None, variable.get)]

    # Without the flag of 3.14.
    if not getattr(sys.flags, "thread_inherit_context", 0):
        assert asyncio.run(run()) == ["none", "the task's"]


def test_run_in_executor_refuses_what_no_context_can_reach() -> None:
    executors: list[Any] = [ProcessPoolExecutor(max_workers=1)]
    if sys.version_info >= (3, 14):
        from concurrent.futures import InterpreterPoolExecutor

        executors.append(InterpreterPoolExecutor(max_workers=1))

    async def run() -> None:
        loop = asyncio.get_running_loop()
        for executor in executors:
            with executor, pytest.raises(TypeError, match=r"argument 'executor' must run calls in"):
                run_in_executor(loop, executor, int)
        with pytest.raises(TypeError, match=r"^run_in_executor\(\) argument 'function' must be"):
            run_in_executor(loop, None, 5)  # type: ignore[arg-type]

    asyncio.run(run())
