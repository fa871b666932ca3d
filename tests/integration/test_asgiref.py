"""asgiref's `sync_to_async` and `async_to_sync`, which copy contexts back as a whole."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import ctxvars
from ctxvars import ContextVar, merge_back, run_collecting
from tests.support.new_context import current, in_new_context

asgiref_sync = pytest.importorskip("asgiref.sync", reason="asgiref is not installed")
async_to_sync, sync_to_async = asgiref_sync.async_to_sync, asgiref_sync.sync_to_async

X, Y, Z = (ContextVar[str](name) for name in "xyz")


def set_x() -> None:
    X.set("set on the thread")


Wrapper = Callable[[Callable[[], None]], Callable[[], Awaitable[None]]]


def fenced(function: Callable[[], None]) -> Callable[[], Awaitable[None]]:
    wrapped: Callable[[], Awaitable[None]] = merge_back(sync_to_async(function))
    return wrapped


async def together(wrap: Wrapper, function: Callable[[], None]) -> dict[str, str]:
    """Run two tasks in one context: one makes a call, and the other sets a variable meanwhile."""
    context = ctxvars.Context()
    begun, interfered = asyncio.Event(), threading.Event()

    def on_the_thread() -> None:
        function()
        assert interfered.wait(30)

    async def make_the_call() -> None:
        begun.set()  # The other task runs when this one waits for the thread.
        await wrap(on_the_thread)()

    async def interfere() -> None:
        await begun.wait()
        Y.set("set by the task")
        interfered.set()

    tasks = [ctxvars.create_task(body(), context=context) for body in (make_the_call, interfere)]
    await asyncio.gather(*tasks)
    return {variable.name: value for variable, value in context.items()}


def test_sync_to_async_undoes_nothing_that_was_set_meanwhile() -> None:
    """All variables are one native variable, for which asgiref takes the value of the thread."""

    def found(wrap: Wrapper) -> Any:
        return in_new_context(asyncio.run, together(wrap, set_x))

    everything = {"x": "set on the thread", "y": "set by the task"}
    assert found(sync_to_async) == {"x": "set on the thread"}
    assert found(fenced) == everything
    assert found(merge_back) == everything


def test_sync_to_async_carries_both_ways() -> None:
    @merge_back
    @sync_to_async
    def change() -> dict[str, str]:
        seen = current()
        X.set("changed")
        return seen

    async def main() -> list[dict[str, str]]:
        X.set("before")
        Y.set("before")
        return [await change(), current()]

    before = {"x": "before", "y": "before"}
    assert in_new_context(asyncio.run, main()) == [before, before | {"x": "changed"}]


def test_async_to_sync_brings_back_what_tasks_set() -> None:
    """From sync code to async code, its tasks, their sync code, and back."""

    def setting(variable: ContextVar[str]) -> Callable[[], Any]:
        @merge_back
        @sync_to_async
        def change() -> None:
            variable.set(f"set by {variable.name}, z is {Z.get()}")

        return change

    async def gathered() -> None:
        await asyncio.gather(setting(X)(), setting(Y)())

    async def collecting() -> None:
        _, changes = await run_collecting(gathered)
        changes.apply()

    def main(body: Callable[[], Awaitable[None]]) -> dict[str, str]:
        Z.set("the caller's")
        async_to_sync(body)()
        return current()

    assert in_new_context(main, gathered) == {"z": "the caller's"}
    assert in_new_context(main, collecting) == {
        "x": "set by x, z is the caller's",
        "y": "set by y, z is the caller's",
        "z": "the caller's",
    }


def test_async_to_sync_undoes_nothing_that_was_set_meanwhile() -> None:
    """The reverse direction: sync code on a thread calls async code, while its task runs.

    The values of the thread and of the async code are added to those that the task has set.
    """

    @merge_back
    async def set_z() -> None:
        await asyncio.sleep(0)
        Z.set("set by async code")

    def call_async_code() -> None:
        X.set("set on the thread")
        async_to_sync(set_z)()

    def found(wrap: Wrapper) -> Any:
        return in_new_context(asyncio.run, together(wrap, call_async_code))

    everything = {"x": "set on the thread", "y": "set by the task", "z": "set by async code"}
    assert found(sync_to_async) == {"x": "set on the thread", "z": "set by async code"}
    assert found(fenced) == everything
    assert found(merge_back) == everything


def test_values_set_on_the_waiting_thread_meanwhile_are_kept() -> None:
    """Async code calls sync code on the waiting thread, and the sync code sets variables."""

    @merge_back
    @sync_to_async(thread_sensitive=True)
    def on_the_thread_that_waits() -> None:
        X.set("set on the thread")

    async def body() -> dict[str, str]:
        Z.set("set by async code")
        await on_the_thread_that_waits()
        return current()

    def main() -> list[dict[str, str]]:
        Y.set("before")
        return [async_to_sync(body)(), current()]

    expected = {"x": "set on the thread", "y": "before", "z": "set by async code"}
    assert in_new_context(main) == [expected, expected]
