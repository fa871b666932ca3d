"""Steps of isolated bodies: failing, from other threads, deeply nested, and last ones."""

from __future__ import annotations

import asyncio
import collections.abc
import contextlib
import contextvars as native
import ctypes
import gc
import sys
import threading
import types
import weakref
from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import Any

import pytest

import ctxvars
from ctxvars import _core, isolated
from tests.support.builds import FREE_THREADED
from tests.support.concurrency import with_small_stack
from tests.support.subprocesses import in_subprocess

user = ctxvars.ContextVar[Any]("user", default="nobody")


class Reentrant(collections.abc.Generator[Any, Any, None]):
    """A generator that allows a step within a step. Each step calls a function."""

    def __init__(self, step: Callable[[], Any]) -> None:
        self.step = step

    def send(self, value: Any, /) -> Any:
        return self.step()

    def throw(self, *error: Any) -> Any:
        raise error[0]


# Leaving the context.


def out_of_memory_in_steps() -> list[str]:
    """Make each allocation of a step fail in turn; return the failures that changed the context."""
    import _testcapi

    wrong = []
    language = native.ContextVar[str]("language")

    def numbers() -> Iterator[int]:
        user.set("body")
        while True:
            yield 1

    def try_one(live: bool, first: bool, fail_at: int) -> bool:
        language.set("en")
        body = _core.isolate(numbers(), None, live)
        if not first:
            next(body)
            user.set("caller")
            language.set("fr")
        before = dict(native.copy_context())
        failed = False
        _testcapi.set_nomemory(fail_at, fail_at + 1)
        try:
            next(body)
        except BaseException:
            failed = True
        finally:
            _testcapi.remove_mem_hooks()
        if dict(native.copy_context()) != before:
            wrong.append(f"live={live} first={first} {fail_at}")
        return not failed

    for live in (False, True):
        for first in (False, True):
            succeeded = 0
            for fail_at in range(100):
                done = native.copy_context().run(try_one, live, first, fail_at)
                succeeded = succeeded + 1 if done else 0
                if succeeded == 5:
                    break
    return wrong


def test_a_step_that_runs_out_of_memory_leaves_the_context() -> None:
    pytest.importorskip("_testcapi")
    assert in_subprocess(out_of_memory_in_steps) == []


def switch_contexts(name: str, raises: bool) -> list[str]:
    """Run a body that enters a context without leaving it, so its context cannot be left either."""
    other, own = native.Context(), native.Context()
    enter, leave = ctypes.pythonapi.PyContext_Enter, ctypes.pythonapi.PyContext_Exit
    enter.argtypes = leave.argtypes = [ctypes.py_object]

    def switch() -> None:
        enter(other)
        if raises:
            raise ZeroDivisionError

    def body() -> Iterator[None]:
        switch()
        yield

    run = {
        "run": lambda: ctxvars.Context.wrap(own).run(switch),
        "isolate": lambda: next(_core.isolate(body(), own, False)),
    }[name]
    found = []
    try:
        run()
    except RuntimeError as error:
        found = [str(error).replace(repr(own), "own"), repr(error.__context__)]
    leave(other)
    leave(own)
    return found


@pytest.mark.parametrize("raises", [False, True])
@pytest.mark.parametrize("name", ["run", "isolate"])
def test_a_context_that_cannot_be_left_is_named(name: str, raises: bool) -> None:
    message, context = in_subprocess(switch_contexts, name, raises)
    assert message.startswith("cannot exit context: own stays entered, because code that ran in it")
    assert context == ("ZeroDivisionError()" if raises else "None")


# Steps within steps.


def test_a_step_inside_of_a_step_in_the_context_of_the_body() -> None:
    seen = []

    def step() -> str:
        seen.append(user.get())
        user.set("body")
        return next(body) if len(seen) < 3 else "done"

    body = isolated(Reentrant(step))
    assert next(body) == "done"
    assert seen == ["nobody", "body", "body"]
    assert user.get() == "nobody"


def test_a_step_of_another_thread_during_a_step_is_refused() -> None:
    found: list[Any] = []

    def elsewhere() -> None:
        user.set("thread")
        try:
            next(body)
        except RuntimeError as error:
            found.append(str(error))
        found.append(user.get())

    def step() -> str:
        user.set("body")
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        return user.get()

    body = isolated(Reentrant(step))
    assert next(body) == "body"
    assert "is already entered" in found[0]
    assert found[1:] == ["thread"]


def test_a_step_in_another_context_during_a_step_is_refused() -> None:
    other = ctxvars.Context()

    def step() -> str:
        user.set("body")
        with pytest.raises(RuntimeError, match="is already entered"):
            other.run(next, body)
        return user.get()

    body = isolated(Reentrant(step))
    assert next(body) == "body"
    assert user not in other


@pytest.mark.skipif(FREE_THREADED, reason="there the context refuses it before the generator does")
def test_a_generator_itself_refuses_a_step_in_another_context() -> None:
    def numbers() -> Iterator[Any]:
        with pytest.raises(ValueError, match="generator already executing"):
            ctxvars.Context().run(next, body)
        yield 1

    body = isolated(numbers())
    assert next(body) == 1


# Deep nests.

# Each of these has crashed the interpreter.
DEEP = 100_000


def endless() -> Iterator[int]:
    while True:
        yield 1


async def forever() -> int:
    return 1


async def one() -> Any:
    yield 1


def nest(innermost: Any, every_hundred: Callable[[Any], object] = id) -> Any:
    """Isolate a body that many times, and call a function between some of them."""
    body = innermost
    again = _core.isolate_calls(lambda: body, True, None, False)
    for level in range(DEEP):
        body = again()
        if level % 100 == 0:
            every_hundred(body)
    return body


def recursion(action: Callable[[], Any]) -> str:
    try:
        action()
    except RecursionError:
        return "RecursionError"
    return "done"


def use_nests() -> dict[str, str]:
    deep, coroutine, generator = nest(endless()), nest(forever()), nest(one())
    found = {
        "next": recursion(lambda: next(deep)),
        "send": recursion(lambda: deep.send(None)),
        "throw": recursion(lambda: deep.throw(ValueError())),
        "close": recursion(lambda: deep.close()),
        "repr": recursion(lambda: repr(deep)),
        "await": recursion(lambda: coroutine.__await__()),
        "coroutine": recursion(lambda: coroutine.send(None)),
        "anext": recursion(lambda: generator.__anext__()),
        "asend": recursion(lambda: generator.asend(None)),
    }
    assert deep.__class__ is types.GeneratorType
    assert deep.gi_frame is not None
    assert not deep.gi_running
    deep.__name__ = "renamed"
    assert deep.__name__ == "renamed"
    return found


def test_deep_nests_of_bodies() -> None:
    found = set(in_subprocess(use_nests, options=("-W", "ignore")).values())
    assert "RecursionError" in found
    # Since 3.14, the limit is the size of the stack: operations that need little of it may succeed.
    assert sys.version_info >= (3, 14) or found == {"RecursionError"}


def drop_suspended_nest() -> str:
    ended = []

    def body() -> Iterator[int]:
        try:
            user.set("body")
            while True:
                yield 1
        finally:
            ended.append(user.get())

    # Each level has been resumed once, and so has a context.
    deep = [nest(body(), every_hundred=lambda outermost: recursion(lambda: next(outermost)))]
    with_small_stack(deep.clear)
    gc.collect()
    return repr(ended)


def test_a_deep_nest_of_suspended_bodies_is_dropped() -> None:
    assert in_subprocess(drop_suspended_nest) == "['body']"


def use_functions() -> list[str]:
    function: Any = lambda: 1  # noqa: E731
    through_partials: Any = function
    for _ in range(DEEP):
        function = _core.isolate_calls(function, False, None, False)
        through_partials = partial(_core.isolate_calls(through_partials, False, None, False))

    class Owner:
        method = function

    assert function.__code__.co_argcount == 0
    assert Owner().method is not None
    return [recursion(function), recursion(through_partials), recursion(lambda: repr(function))]


def test_deep_nests_of_functions() -> None:
    assert in_subprocess(use_functions) == ["RecursionError"] * 3


# The last step.


class Big:
    """A value that a context keeps alive."""


def keeps(body: Any, finish: Callable[[Any], object], live: bool = False) -> list[bool]:
    """Whether an isolated body keeps a value alive after its first step, and after the last."""
    big = Big()
    dead = weakref.ref(big)
    context = native.copy_context()
    context.run(user.set, big)
    context.run(native_user.set, big)
    made = _core.isolate(body(), None, live)
    context.run(start, made)
    del big, context
    found = [dead() is not None]
    finish(made)
    return [*found, dead() is not None]


native_user = native.ContextVar[Any]("native_user")


def start(body: Any) -> None:
    drive(body.asend(None) if hasattr(body, "asend") else body)


def drive(body: Any) -> None:
    with contextlib.suppress(StopIteration, StopAsyncIteration):
        body.send(None)


def fail(step: Callable[[], object]) -> None:
    with pytest.raises(KeyError):
        step()


@types.coroutine
def pause() -> Generator[None, None, None]:
    yield


async def pauses() -> None:
    await pause()


def twice() -> Iterator[int]:
    yield 1


@pytest.mark.parametrize("live", [False, True], ids=["once", "live"])
@pytest.mark.parametrize(
    ("body", "finish"),
    [
        (twice, lambda body: next(body, None)),
        (twice, lambda body: drive(body)),
        (twice, lambda body: body.close()),
        (twice, lambda body: fail(lambda: body.throw(KeyError()))),
        (lambda: isolated(isolated(twice())), lambda body: next(body, None)),
        (pauses, drive),
        (pauses, lambda body: drive(body.__await__())),
        (pauses, lambda body: body.close()),
        (pause, drive),
        (one, lambda body: drive(body.asend(None))),
        (one, lambda body: drive(body.aclose())),
        (one, lambda body: fail(lambda: body.athrow(KeyError()).send(None))),
    ],
)
def test_an_ended_body_releases_its_context(body: Any, finish: Any, live: bool) -> None:
    assert keeps(body, finish, live) == [True, False]


def test_a_given_context_is_released_by_an_ended_body() -> None:
    context = native.Context()
    body = _core.isolate(twice(), context, False)
    references = sys.getrefcount(context)
    assert list(body) == [1]
    assert sys.getrefcount(context) == references - 1


def test_a_failed_step_that_is_not_the_last_one_keeps_the_context() -> None:
    def body() -> Generator[Any, Any, None]:
        while True:
            yield user.get()

    generator = isolated(body())
    context = native.copy_context()
    context.run(user.set, "first step")
    with pytest.raises(TypeError, match="just-started generator"):
        context.run(generator.send, 1)
    assert next(generator) == "first step"


def test_an_ended_body_is_used_again() -> None:
    body = isolated(twice())
    assert list(body) == [1]
    assert list(body) == []
    body.close()  # type: ignore[attr-defined]
    with pytest.raises(KeyError):
        body.throw(KeyError())  # type: ignore[attr-defined]


def test_a_value_that_is_freed_by_the_last_step() -> None:
    seen = []

    class SetsWhenFreed:
        def __del__(self) -> None:
            seen.append(user.get())

    def body() -> Iterator[int]:
        user.set(SetsWhenFreed())
        yield 1
        raise ZeroDivisionError

    generator = isolated(body())
    next(generator)
    with pytest.raises(ZeroDivisionError):
        next(generator)
    assert seen == ["nobody"]


# Results of other code.


class Awaitable:
    """An awaitable whose `__await__` returns any object. It has `throw`, so it can be isolated."""

    def __init__(self, result: Any) -> None:
        self.result = result

    def __await__(self) -> Any:
        return self.result

    def throw(self, *_: Any) -> None: ...


@pytest.mark.parametrize("result", [5, None, forever], ids=["5", "None", "coroutine"])
def test_an_await_method_must_return_an_iterator_that_is_not_a_coroutine(result: Any) -> None:
    async def main(wrap: Any) -> None:
        made = result() if callable(result) else result
        try:
            await wrap(Awaitable(made))
        finally:
            if made is not result:
                made.close()

    for wrap in (isolated, lambda body: body):
        with pytest.raises(TypeError, match=r"__await__\(\) (returned|must return)"):
            main(wrap).send(None)


class Numbers:
    """An async generator only by its methods, whose operations a function returns."""

    def __init__(self, operation: Callable[[], Any]) -> None:
        self.__operation = operation

    def __aiter__(self) -> Any:
        return self

    def __anext__(self) -> Any:
        return self.__operation()

    async def athrow(self, *_: Any) -> None: ...


async def first(generator: Any) -> Any:
    return await anext(generator)


def test_operations_of_an_async_generator_of_other_code() -> None:
    async def operation() -> Any:
        await pause()
        return user.get()

    body = first(isolated(Numbers(operation)))
    assert body.send(None) is None
    with pytest.raises(StopIteration, match="nobody"):
        body.send(None)

    async def main() -> Any:
        future = asyncio.get_running_loop().create_future()
        future.set_result("future")
        return await isolated(Numbers(lambda: future)).__anext__()

    assert asyncio.run(main()) == "future"
    with pytest.raises(TypeError, match="must be awaitable, got 5"):
        isolated(Numbers(lambda: 5)).__anext__()


@pytest.mark.parametrize(
    "wrap", [lambda body: body, isolated, lambda body: isolated(isolated(body))]
)
def test_an_iterator_of_a_coroutine_is_made_twice_by_name(wrap: Any) -> None:
    coroutine = wrap(pauses())
    first, second = coroutine.__await__(), coroutine.__await__()
    assert next(first) is None
    third = coroutine.__await__()
    with pytest.raises(StopIteration):
        next(third)
    del second

    async def awaits(body: Any) -> None:
        await body

    awaited = wrap(pauses())
    drive(awaited)
    with pytest.raises(RuntimeError, match="coroutine is being awaited already"):
        awaits(awaited).send(None)
    awaited.close()
