"""`merge_back` on functions of every kind, and its errors."""

from __future__ import annotations

import asyncio
import contextvars as native
import functools
import inspect
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from ctxvars import ContextVar, merge_back
from tests.support.new_context import in_new_context

user: ContextVar[str] = ContextVar("user", default="nobody")


async def log_in(name: str, *, at: int = 0) -> str:
    """Set the user."""
    user.set(name)
    return f"{name} {at}"


def log_in_here(name: str, *, at: int = 0) -> str:
    """Set the user."""
    user.set(name)
    return f"{name} {at}"


@pytest.mark.parametrize("function", [log_in, log_in_here], ids=lambda it: it.__name__)
def test_a_wrapped_function_looks_like_the_original(function: Any) -> None:
    merging = merge_back(function)
    assert inspect.iscoroutinefunction(merging)
    assert inspect.signature(merging) == inspect.signature(function)
    assert (merging.__name__, merging.__doc__) == (function.__name__, "Set the user.")
    assert merging.__wrapped__ is function


class Session:
    """Methods of every kind, and `__call__`."""

    @merge_back
    async def method(self, name: str) -> object:
        user.set(name)
        return self

    @merge_back
    def on_a_thread(self, name: str) -> object:
        user.set(name)
        return self

    @classmethod
    @merge_back
    async def of_the_class(cls, name: str) -> object:
        user.set(name)
        return cls

    @staticmethod
    @merge_back
    async def static(name: str) -> object:
        user.set(name)
        return None

    async def __call__(self, name: str) -> object:
        user.set(name)
        return threading.current_thread()


def test_methods_and_objects() -> None:
    session = Session()

    async def main() -> None:
        calls: list[tuple[Any, object]] = [
            (session.method, session),
            (session.on_a_thread, session),
            (session.of_the_class, Session),
            (Session.static, None),
            # The test is async, too, so the calls stay on this thread.
            (merge_back(session), threading.current_thread()),
            (merge_back(functools.partial(session)), threading.current_thread()),
            (merge_back(functools.partial(log_in, at=1)), "5 1"),
        ]
        for number, (call, expected) in enumerate(calls[:-1]):
            assert await call(str(number)) == expected
            assert user.get() == str(number)
        assert await calls[-1][0]("5") == calls[-1][1]

    in_new_context(asyncio.run, main())


def test_the_original_can_still_be_called_alone() -> None:
    def main() -> str:
        log_in_here("Ada")
        return user.get()

    assert in_new_context(main) == "Ada"


def test_only_our_variables_come_back() -> None:
    variable = native.ContextVar("variable", default="none")

    @merge_back
    async def change() -> None:
        variable.set("set inside")
        user.set("Ada")

    async def main() -> None:
        await change()
        assert (variable.get(), user.get()) == ("none", "Ada")

    in_new_context(asyncio.run, main())


def generator() -> Iterator[None]:
    yield


async def async_generator() -> AsyncIterator[None]:
    yield


class Generator:
    """An object whose call makes a generator."""

    def __call__(self) -> Iterator[None]:
        yield


@pytest.mark.parametrize("function", [generator, Generator(), functools.partial(generator)])
def test_generator_functions_become_async_ones(function: Any) -> None:
    async def main() -> list[object]:
        return [yielded async for yielded in merge_back(function)()]

    assert asyncio.run(main()) == [None]


def test_async_generator_functions_are_refused() -> None:
    with pytest.raises(
        TypeError, match=r"^merge_back\(\) argument 'function' must not be an async"
    ):
        merge_back(async_generator)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(
        TypeError, match=r"^merge_back.* argument 'function' must be callable, got 5$"
    ):
        merge_back(5)  # type: ignore[call-overload]
    coroutine = log_in("Ada")
    with pytest.raises(TypeError, match=r"must be callable, got <coroutine object log_in"):
        merge_back(coroutine)  # type: ignore[call-overload]
    coroutine.close()
    message = r"^merge_back\(\) argument 'resolve' must be callable, got 5$"
    with pytest.raises(TypeError, match=message):
        merge_back(log_in, resolve=5)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match=message):
        merge_back(resolve=5)  # type: ignore[call-overload]


def test_there_has_to_be_a_loop_for_a_thread() -> None:
    coroutine = merge_back(log_in_here)("Ada")
    with pytest.raises(RuntimeError, match="no running event loop"):
        coroutine.send(None)


ON_THE_SHIM = """
import asyncio, contextvars, ctxvars

user = contextvars.ContextVar("user", default="nobody")

@ctxvars.merge_back
def log_in(name):
    user.set(name)

async def main():
    _, changes = await ctxvars.run_collecting(asyncio.gather, log_in("Ada"))
    names = [change.key.name for change in changes]
    changes.apply()
    with ctxvars.ContextThreadPoolExecutor() as pool:
        seen = pool.submit(user.get).result()
    thread = ctxvars.ContextThread(target=user.set, args=("Bob",), context=ctxvars.Context().native)
    thread.start()
    thread.join()
    return names, seen, [variable.name for variable in contextvars.copy_context()]

assert type(user) is ctxvars.ContextVar
print(asyncio.run(main()))
"""


def test_a_program_on_the_shim_sees_no_variable_of_ours() -> None:
    """Under `run`, the module `contextvars` is ours; native variables identify contexts."""
    command = [sys.executable, "-m", "ctxvars", "run", "-c", ON_THE_SHIM]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("(['user'], 'Ada', ['user'])\n", "")
