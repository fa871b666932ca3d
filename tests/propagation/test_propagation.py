"""The patch that makes all threads and executors carry the context."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from typing import Any

import pytest

import ctxvars
from ctxvars import ContextThread, ContextThreadPoolExecutor, propagate_to_threads
from tests.support.concurrency import in_threads
from tests.support.new_context import KINDS, in_new_context, variable_of
from tests.support.subprocesses import in_subprocess
from tests.support.worker_threads import (
    INHERIT,
    SEEN_BY_LATE_CALLS,
    Running,
    pinned_by_a_worker,
    ran,
    seen_by_late_calls,
)

PATCHED = ((threading.Thread, "start"), (ThreadPoolExecutor, "submit"), (ThreadPoolExecutor, "map"))


def methods() -> list[object]:
    """Return the methods that the patched classes define themselves."""
    return [vars(owner).get(name) for owner, name in PATCHED]


UNPATCHED = methods()


@pytest.fixture(autouse=True)
def _is_undone() -> Iterator[None]:
    yield
    assert methods() == UNPATCHED


class Plain(threading.Thread):
    """A subclass that was defined before the patch, with a method `run`."""

    def __init__(self, run: Callable[[], None]) -> None:
        super().__init__()
        self.work = run

    def run(self) -> None:
        self.work()


def seen_everywhere(variable: Any) -> list[object]:
    """Return the values in threads and calls of each form, which also set the variable."""
    seen: list[object] = []

    def see(_: object = None) -> None:
        seen.append(variable.get())
        variable.set("the thread's")

    async def use_a_loop() -> None:
        await asyncio.get_running_loop().run_in_executor(None, see)

    variable.set("the starter's")
    for thread in (threading.Thread(target=see), threading.Timer(0, see), Plain(see)):
        ran(thread)
    with ThreadPoolExecutor(max_workers=1) as pool:
        pool.submit(see).result()
        list(pool.map(see, range(2)))
    asyncio.run(use_a_loop())
    # Threads and pools that carry the context themselves still work.
    ran(ContextThread(target=see))
    running = Running(variable)
    ran(running)
    with ContextThreadPoolExecutor() as ours:
        ours.submit(see).result()
    return [*seen, *running.seen, variable.get()]


def seen_with_the_patch() -> list[list[object]]:
    with propagate_to_threads():
        return [in_new_context(seen_everywhere, variable_of(module)) for module in KINDS]


@pytest.mark.parametrize("options", INHERIT, ids=" ".join)
def test_threads_and_calls_run_in_copies_of_the_context(options: tuple[str, ...]) -> None:
    expected = ["the starter's"] * 11
    assert in_subprocess(seen_with_the_patch, options=options) == [expected, expected]


def test_threads_are_patched_only_in_the_block() -> None:
    variable = ctxvars.ContextVar("variable", default="none")

    def seen() -> list[object]:
        found: list[object] = []
        with ThreadPoolExecutor() as pool:
            ran(threading.Thread(target=lambda: found.append(variable.get())))
            return [*found, pool.submit(variable.get).result()]

    def use() -> None:
        variable.set("the starter's")
        unpatched = seen()
        with propagate_to_threads():
            assert seen() == ["the starter's"] * 2
        assert seen() == unpatched
        if not getattr(sys.flags, "thread_inherit_context", 0):
            assert unpatched == ["none"] * 2

    in_new_context(use)


def test_the_patch_stays_until_the_last_stop() -> None:
    first, second = propagate_to_threads(), propagate_to_threads()
    patched = methods()
    assert all(map(lambda now, before: now is not before, patched, UNPATCHED))
    first.stop()
    first.stop()  # a second stop has no effect
    assert methods() == patched
    with propagate_to_threads() as third, third:
        assert methods() == patched
    second.stop()
    assert methods() == UNPATCHED
    with propagate_to_threads():
        assert methods() != UNPATCHED


def test_a_block_that_raises_stops_the_patch() -> None:
    with pytest.raises(ZeroDivisionError), propagate_to_threads():
        raise ZeroDivisionError


def test_the_methods_look_like_the_originals() -> None:
    with propagate_to_threads():
        for (owner, name), original in zip(PATCHED, UNPATCHED, strict=True):
            method = getattr(owner, name)
            assert (method.__name__, method.__module__) == (name, method.__wrapped__.__module__)
            assert original is None or method.__wrapped__ is original


def test_another_patch_on_top_is_left_alone() -> None:
    """A tool that watches threads may patch `start` as well. After a stop, ours has no effect."""
    variable = ctxvars.ContextVar("variable", default="none")
    started: list[str] = []
    found: list[object] = []
    plain = threading.Thread.start

    def see_in_a_thread() -> None:
        variable.set("the starter's")
        ran(threading.Thread(target=lambda: found.append(variable.get())))

    propagation = propagate_to_threads()
    ours = threading.Thread.start

    @wraps(ours)
    def start(thread: threading.Thread) -> None:
        started.append("noticed")
        ours(thread)

    threading.Thread.start = start  # type: ignore[method-assign]
    try:
        in_new_context(see_in_a_thread)
        propagation.stop()
        assert threading.Thread.start is start
        in_new_context(see_in_a_thread)
        with propagate_to_threads():
            in_new_context(see_in_a_thread)
        assert threading.Thread.start is start
    finally:
        threading.Thread.start = plain  # type: ignore[method-assign]
    unpatched = "the starter's" if getattr(sys.flags, "thread_inherit_context", 0) else "none"
    assert found == ["the starter's", unpatched, "the starter's"]
    assert started == ["noticed"] * 3


@pytest.mark.skipif(sys.version_info < (3, 14), reason="Thread(context=) came with 3.14")
@pytest.mark.parametrize("module", KINDS, ids=lambda module: module.__name__)
def test_a_thread_that_is_given_a_context_runs_in_that_one(module: Any) -> None:
    variable = variable_of(module)
    context = module.Context()
    variable.set("the starter's")
    with propagate_to_threads():
        ran(threading.Thread(target=variable.set, args=("left",), context=context))  # type: ignore[call-arg]
    assert context[variable] == "left"


@pytest.mark.skipif(sys.version_info < (3, 14), reason="buffersize came with 3.14")
def test_calls_that_are_submitted_late_see_the_context_of_the_map() -> None:
    with propagate_to_threads(), ThreadPoolExecutor(max_workers=1) as pool:
        assert seen_by_late_calls(pool, variable_of(ctxvars)) == SEEN_BY_LATE_CALLS


@pytest.mark.skipif(sys.version_info < (3, 14), reason="other interpreters came with 3.14")
def test_calls_in_other_interpreters_are_not_patched() -> None:
    from concurrent.futures import InterpreterPoolExecutor

    with propagate_to_threads(), InterpreterPoolExecutor(max_workers=1) as pool:
        assert pool.submit(int, "1").result() == 1
        assert list(pool.map(int, "12")) == [1, 2]


def pinned_with_the_patch() -> list[bool]:
    with propagate_to_threads():
        return pinned_by_a_worker("plain")


@pytest.mark.parametrize("options", INHERIT, ids=" ".join)
def test_a_worker_keeps_no_context_alive(options: tuple[str, ...]) -> None:
    assert in_subprocess(pinned_with_the_patch, options=options) == [False, False]


def test_threads_may_start_and_stop_the_patch_at_once() -> None:
    def use() -> None:
        for _ in range(50):
            with propagate_to_threads():
                assert methods() != UNPATCHED

    in_threads(*[use] * 4)
