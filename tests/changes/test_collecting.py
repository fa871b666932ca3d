"""`run_collecting` and `merge_back` bring back what code sets in a copy of the context."""

from __future__ import annotations

import contextlib
import contextvars as native
import functools
import gc
import threading
import traceback
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import ctxvars
from ctxvars import MISSING, ContextVar, merge_back, run_collecting
from tests.support.gc.values import Value
from tests.support.loops import Loop
from tests.support.new_context import current, in_new_context

A, B, C = (ContextVar[Any](name) for name in "abc")
NATIVE = native.ContextVar[str]("native", default="none")


def run_new(loop: Loop, main: Callable[[], Any]) -> None:
    in_new_context(loop.run, main())


def changed(changes: ctxvars.Changes) -> dict[str, tuple[Any, Any]]:
    return {change.key.name: (change.old, change.new) for change in changes}


class Awaitable:
    """An awaitable that is not a coroutine."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop

    def __await__(self) -> Any:
        A.set("awaited")
        yield from self.loop.turn().__await__()
        B.set(A.get())
        return "result"


def test_values_that_a_coroutine_function_sets_come_back(loop: Loop) -> None:
    async def body(value: str, *, other: str) -> str:
        A.set(value)
        await loop.turn()
        B.set(f"{A.get()} {other}")
        NATIVE.set("set inside")
        return "result"

    async def main() -> None:
        A.set("before")
        result, changes = await run_collecting(body, "new", other="one")
        assert result == "result"
        assert changed(changes) == {"a": ("before", "new"), "b": (MISSING, "new one")}
        assert (current(), NATIVE.get()) == ({"a": "before"}, "none")
        changes.apply()
        assert current() == {"a": "new", "b": "new one"}

    run_new(loop, main)


def test_values_that_a_function_sets_come_back(loop: Loop) -> None:
    def body(value: str) -> threading.Thread:
        A.set(value)
        return threading.current_thread()

    async def main() -> None:
        thread, changes = await run_collecting(body, "new")
        assert thread is threading.current_thread()
        assert changed(changes) == {"a": (MISSING, "new")}
        assert current() == {}

    run_new(loop, main)


def test_values_that_an_awaitable_sets_come_back(loop: Loop) -> None:
    async def coroutine() -> str:
        return await Awaitable(loop)

    async def main() -> None:
        for awaitable in (Awaitable(loop), coroutine()):
            result, changes = await run_collecting(awaitable)
            assert result == "result"
            assert changed(changes) == {"a": (MISSING, "awaited"), "b": (MISSING, "awaited")}
            # A function may return an awaitable.
            assert (await run_collecting(lambda: Awaitable(loop)))[0] == "result"
        assert current() == {}

    run_new(loop, main)


def test_a_body_that_raises(loop: Loop) -> None:
    async def body() -> None:
        A.set("set before")
        await loop.turn()
        raise ZeroDivisionError

    async def main() -> None:
        with pytest.raises(ZeroDivisionError) as raised:
            await run_collecting(body)
        assert [frame.name for frame in traceback.extract_tb(raised.value.__traceback__)] == [
            "main",
            "run_collecting",
            "run_in",
            "body",
        ]
        assert current() == {}

    run_new(loop, main)


def test_run_collecting_refuses_wrong_arguments(loop: Loop) -> None:
    async def main() -> None:
        message = r"^run_collecting\(\) argument 'function' must be callable or awaitable, got 5$"
        with pytest.raises(TypeError, match=message):
            await run_collecting(5)  # type: ignore[call-overload]
        message = r"^run_collecting\(\) takes arguments for a function only, not for <"
        with pytest.raises(TypeError, match=message):
            await run_collecting(Awaitable(loop), 1)  # type: ignore[call-overload]

    run_new(loop, main)


def test_a_coroutine_function_that_is_merged_back(loop: Loop) -> None:
    @merge_back
    async def change(value: str) -> str:
        A.set(value)
        await loop.turn()
        B.set(A.get())
        return value

    async def main() -> None:
        C.set("before")
        assert await change("new") == "new"
        assert current() == {"a": "new", "b": "new", "c": "before"}

    run_new(loop, main)


def test_a_function_that_is_merged_back_runs_on_another_thread(loop: Loop) -> None:
    @merge_back
    def change(value: str, *, other: str) -> threading.Thread:
        assert C.get() == "before"
        A.set(value)
        B.set(other)
        return threading.current_thread()

    async def main() -> None:
        C.set("before")
        thread = await change("new", other="one")
        assert thread is not threading.current_thread()
        assert current() == {"a": "new", "b": "one", "c": "before"}

    run_new(loop, main)


async def wait_for(loop: Loop, condition: Callable[[], object]) -> None:
    while not condition():
        await loop.turn()


def interfered(loop: Loop, change: Callable[[Callable[[], Any]], Any]) -> dict[str, Any]:
    """Return the values after `change` was awaited, while other code has set A and C.

    `change` gets an awaitable, and awaits it in its middle.
    """
    steps: list[str] = []
    found: dict[str, Any] = {}

    async def main() -> None:
        A.set("base")
        here = ctxvars.copy_context()

        async def pause() -> None:
            steps.append("begun")
            await wait_for(loop, lambda: "interfered" in steps)

        async def call() -> None:
            await ctxvars._core.isolate(change(pause), here, False)

        async def interfere() -> None:
            await wait_for(loop, lambda: "begun" in steps)
            here.run(A.set, "ours")
            here.run(C.set, "ours")
            steps.append("interfered")

        await loop.together(call, interfere)
        found.update((variable.name, value) for variable, value in here.items())

    run_new(loop, main)
    return found


async def set_a_and_b(pause: Callable[[], Any]) -> None:
    A.set("theirs")
    B.set("theirs")
    await pause()


def test_of_what_both_set_the_latest_is_kept(loop: Loop) -> None:
    expected = {"a": "theirs", "b": "theirs", "c": "ours"}
    assert interfered(loop, merge_back(set_a_and_b)) == expected


def test_a_variable_set_by_the_call_and_its_caller_is_resolved(loop: Loop) -> None:
    asked: list[tuple[Any, ...]] = []

    def resolve(*conflict: Any) -> object:
        asked.append(conflict)
        return MISSING

    expected = {"b": "theirs", "c": "ours"}
    assert interfered(loop, merge_back(resolve=resolve)(set_a_and_b)) == expected
    assert interfered(loop, merge_back(set_a_and_b, resolve=resolve)) == expected
    assert asked == [(A, "base", "ours", "theirs")] * 2


def test_values_set_before_an_error_are_merged_back(loop: Loop) -> None:
    @merge_back
    async def change() -> None:
        A.set("set before")
        await loop.turn()
        raise ZeroDivisionError

    @merge_back
    def change_on_a_thread() -> None:
        B.set("set before")
        raise ZeroDivisionError

    async def main() -> None:
        with pytest.raises(ZeroDivisionError):
            await change()
        with pytest.raises(ZeroDivisionError):
            await change_on_a_thread()
        assert current() == {"a": "set before", "b": "set before"}

    run_new(loop, main)


def test_a_scope_that_ended_in_the_call_leaves_nothing_to_merge_back(loop: Loop) -> None:
    async def main() -> None:
        token = A.set("a")

        @merge_back
        async def change() -> None:
            # The call runs in another context than the one where the token was created.
            with pytest.raises(ValueError, match="different Context"):
                A.reset(token)
            with B.set("inner"):
                pass

        await change()
        assert current() == {"a": "a"}

    run_new(loop, main)


def test_changes_of_tasks_are_collected(loop: Loop) -> None:
    @merge_back
    async def change(variable: ContextVar[Any], value: str) -> None:
        variable.set(value)

    @merge_back
    def change_on_a_thread() -> None:
        C.set(f"{C.get('no')} thread")

    async def body() -> str:
        await loop.together(
            functools.partial(change, A, "of a task"),
            functools.partial(change, B, "of another"),
            change_on_a_thread,
        )
        assert current() == {"a": "before"}
        return "result"

    async def main() -> None:
        A.set("before")
        result, changes = await run_collecting(body)
        assert (result, current()) == ("result", {"a": "before"})
        changes.apply()
        assert current() == {"a": "of a task", "b": "of another", "c": "no thread"}

    run_new(loop, main)


def test_changes_of_tasks_of_tasks_are_collected(loop: Loop) -> None:
    @merge_back
    async def inner() -> None:
        A.set("inner")

    @merge_back
    async def outer() -> None:
        await loop.together(inner)
        B.set("outer")

    async def main() -> None:
        _, changes = await run_collecting(loop.together, outer)
        assert changed(changes) == {"a": (MISSING, "inner"), "b": (MISSING, "outer")}

    run_new(loop, main)


def test_of_changes_that_are_collected_the_latest_wins(loop: Loop) -> None:
    @merge_back
    async def change(value: str) -> None:
        A.set(value)

    async def undo() -> None:
        token = A.set("for a while")
        A.reset(token)

    @merge_back
    async def change_and_undo() -> None:
        token = A.set("inner")
        await change("innermost")
        assert A.get() == "innermost"
        A.reset(token)

    async def one_after_the_other() -> None:
        await loop.together(functools.partial(change, "first"))
        await loop.together(functools.partial(change, "second"))

    async def and_itself() -> None:
        await one_after_the_other()
        A.set("the body's own")

    async def chained() -> None:
        A.set("the body's own")
        await loop.together(functools.partial(change, "first"))
        await loop.together(undo, functools.partial(change, "second"))

    async def main() -> None:
        for body, expected in (
            (one_after_the_other, {"a": (MISSING, "second")}),
            (and_itself, {"a": (MISSING, "the body's own")}),
            (chained, {"a": (MISSING, "second")}),
            (change_and_undo, {}),
            (functools.partial(loop.together, change_and_undo), {}),
        ):
            _, changes = await run_collecting(body)
            assert changed(changes) == expected

    run_new(loop, main)


def test_the_innermost_call_collects(loop: Loop) -> None:
    @merge_back
    async def change() -> None:
        A.set("new")

    async def inner() -> int:
        _, changes = await run_collecting(loop.together, change)
        return len(changes)

    async def main() -> None:
        count, changes = await run_collecting(inner)
        assert (count, len(changes)) == (1, 0)

    run_new(loop, main)


def test_tasks_that_outlive_the_call_are_not_collected(loop: Loop) -> None:
    """A task that outlives the collecting call neither sends changes nor keeps the call alive."""
    steps: list[str] = []
    references: list[weakref.ref[Value]] = []

    @merge_back
    async def change() -> None:
        value = Value()
        references.append(weakref.ref(value))
        A.set(value)

    async def background(context: ctxvars.Context) -> None:
        await wait_for(loop, lambda: "collected" in steps)
        await ctxvars._core.isolate(change(), context.copy(), False)
        gc.collect()
        steps.append("alive" if references[0]() else "dead")

    async def main() -> None:
        contexts: list[ctxvars.Context] = []

        async def body() -> None:
            contexts.append(ctxvars.copy_context())

        _, changes = await run_collecting(body)
        assert not changes
        steps.append("collected")
        await background(contexts[0])
        assert not changes

    run_new(loop, main)
    assert steps == ["collected", "dead"]


def test_a_call_that_is_cancelled(loop: Loop) -> None:
    """As without the decorator, values stay set that the call had set."""
    anyio = pytest.importorskip("anyio", reason="anyio is not installed")

    @merge_back
    async def change() -> None:
        A.set("set before")
        await anyio.sleep(60)

    async def main() -> None:
        with anyio.move_on_after(0.01) as scope:
            await change()
        assert scope.cancelled_caught
        assert current() == {"a": "set before"}

    run_new(loop, main)


def test_a_function_that_returns_what_is_to_be_awaited(loop: Loop) -> None:
    async def main() -> None:
        assert await merge_back(lambda: Awaitable(loop))() == "result"
        assert current() == {"a": "awaited", "b": "awaited"}

    run_new(loop, main)


@pytest.mark.parametrize("ending", ["returns", "raises"])
def test_a_private_context_is_freed_at_once(loop: Loop, ending: str) -> None:
    """The private context may hold large values of a request, so it must not wait for the GC."""
    references: list[weakref.ref[Value]] = []

    async def change() -> None:
        value: Any = Value()
        references.append(weakref.ref(value))
        # The value is not merged back, so only the private context refers to it.
        native_value.set(value)
        await loop.turn()
        del value
        if ending == "raises":
            raise ZeroDivisionError

    native_value: native.ContextVar[Value] = native.ContextVar("native_value")

    async def main() -> None:
        for call in (merge_back(change), lambda: run_collecting(change)):
            with contextlib.suppress(ZeroDivisionError):
                await call()

    enabled = gc.isenabled()
    gc.disable()
    try:
        run_new(loop, main)
        assert [reference() for reference in references] == [None, None]
    finally:
        if enabled:
            gc.enable()
