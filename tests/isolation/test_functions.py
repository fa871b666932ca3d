"""`ctxvars.isolated` on functions of each kind and on methods; the result for `inspect`."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars as native
import copy
import functools
import gc
import inspect
import pickle
import traceback
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from ctxvars import isolated
from tests.support.isolation.user_variables import UNSET, Seen, both, set_both, user

pytestmark = pytest.mark.usefixtures("users_are_unset_afterwards")


def plain(name: str, /, suffix: str = "!", *, times: int = 1) -> str:
    """Set the variables, and return a value."""
    set_both(name)
    return (user.get() + suffix) * times


def generator(name: str, /, suffix: str = "!", *, times: int = 1) -> Iterator[str]:
    yield plain(name, suffix, times=times)


async def coroutine(name: str, /, suffix: str = "!", *, times: int = 1) -> str:
    await asyncio.sleep(0)
    return plain(name, suffix, times=times)


async def async_generator(name: str, /, suffix: str = "!", *, times: int = 1) -> AsyncIterator[str]:
    await asyncio.sleep(0)
    yield plain(name, suffix, times=times)


async def collected(iterable: AsyncIterator[str]) -> str:
    return "".join([each async for each in iterable])


RUN: dict[Callable[..., Any], Callable[[Any], str]] = {
    plain: str,
    generator: "".join,
    coroutine: asyncio.run,
    async_generator: lambda it: asyncio.run(collected(it)),
}
KINDS = [pytest.param(function, id=function.__name__) for function in RUN]


@isolated
def module_level(name: str) -> str:
    return plain(name)


@pytest.mark.parametrize("function", KINDS)
def test_each_call_has_a_new_context(function: Any) -> None:
    def run(wrapped: Any) -> Seen:
        assert RUN[function](wrapped("Ada", "?", times=2)) == "Ada?Ada?"
        return both()

    assert run(isolated(function)) == UNSET
    assert run(isolated()(function)) == UNSET
    if function in (plain, generator):
        # For the others, the loop creates a context.
        assert native.copy_context().run(run, function) == ("Ada", "Ada")


@pytest.mark.parametrize("function", KINDS)
def test_inspect_and_attributes(function: Any) -> None:
    wrapped = isolated(function)
    for ask in (
        inspect.isgeneratorfunction,
        inspect.iscoroutinefunction,
        inspect.isasyncgenfunction,
        inspect.isroutine,
        inspect.signature,
        inspect.getdoc,
        inspect.getsource,
        inspect.unwrap,
        inspect.getmodule,
        inspect.get_annotations,
        callable,
    ):
        assert ask(wrapped) == ask(function), ask
    for name in ("__name__", "__qualname__", "__module__", "__doc__", "__code__", "__defaults__"):
        assert getattr(wrapped, name) == getattr(function, name), name
    assert wrapped.__wrapped__ is function
    assert repr(wrapped) == f"<isolated {function!r}>"
    wrapped.of_the_wrapper = 1
    assert not hasattr(function, "of_the_wrapper")
    assert vars(wrapped)["of_the_wrapper"] == 1
    with pytest.raises(AttributeError, match="'function' object has no attribute 'other'"):
        wrapped.other  # noqa: B018
    assert weakref.ref(wrapped)() is wrapped


@pytest.mark.parametrize("function", KINDS)
def test_wrong_arguments_fail_as_with_the_original(function: Any) -> None:
    with pytest.raises(TypeError) as expected:
        function(wrong=1)
    with pytest.raises(TypeError) as raised:
        isolated(function)(wrong=1)
    assert str(raised.value) == str(expected.value)


class Greeter:
    def __init__(self, name: str) -> None:
        self.name = name

    @isolated
    def method(self, suffix: str = "!") -> str:
        return plain(self.name, suffix)

    @isolated
    def generator(self) -> Iterator[str]:
        yield plain(self.name)

    @isolated
    async def coroutine(self) -> str:
        return plain(self.name)

    @isolated
    @classmethod
    def class_method(cls) -> str:
        return plain(cls.__name__)

    @classmethod
    @isolated
    def other_class_method(cls) -> str:
        return plain(cls.__name__)

    @isolated
    @staticmethod
    def static_method(name: str) -> str:
        return plain(name)

    @staticmethod
    @isolated
    def other_static_method(name: str) -> str:
        return plain(name)

    partial = isolated(functools.partial(plain, "partial"))

    async def __call__(self) -> str:
        return plain(self.name)


def test_methods_of_each_kind_are_isolated() -> None:
    greeter = Greeter("Ada")
    assert greeter.method() == "Ada!"
    assert Greeter.method(greeter, "?") == "Ada?"
    assert isolated(greeter.method)() == "Ada!"
    assert inspect.ismethod(greeter.method)
    assert next(greeter.generator()) == "Ada!"
    assert inspect.isgeneratorfunction(greeter.generator)
    assert asyncio.run(greeter.coroutine()) == "Ada!"
    assert inspect.iscoroutinefunction(greeter.coroutine)
    for owner in (greeter, Greeter):
        assert owner.class_method() == owner.other_class_method() == "Greeter!"
        assert owner.static_method("Bob") == owner.other_static_method("Bob") == "Bob!"
    assert Greeter("x").partial() == "partial!"
    assert str(inspect.signature(greeter.method)) == "(suffix: 'str' = '!') -> 'str'"


def test_objects_that_can_be_called() -> None:
    greeter = isolated(Greeter("Ada"))
    assert greeter.name == "Ada"
    assert asyncio.run(greeter()) == "Ada!"
    assert isolated(functools.partial(plain, "Bob"))("?") == "Bob?"
    assert asyncio.run(isolated(functools.partial(coroutine, "Bob"))()) == "Bob!"
    assert isolated(isolated(plain))("Bob") == "Bob!"
    assert "".join(isolated(isolated(generator))("Bob")) == "Bob!"
    assert isolated(len)([1]) == 1


@pytest.mark.parametrize("wrong", [0, 1, "name", [], iter([])], ids=lambda it: type(it).__name__)
def test_objects_that_cannot_be_isolated_are_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"^isolated\(\) argument must be a function, a generator"):
        isolated(wrong)


class Managed:
    """Context managers of each kind that are made from functions."""

    @contextlib.contextmanager
    def method(self) -> Iterator[None]:
        yield

    @contextlib.asynccontextmanager
    async def asynchronous(self) -> AsyncIterator[None]:
        yield

    @classmethod
    @contextlib.contextmanager
    def of_class(cls) -> Iterator[None]:
        yield


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        (Managed.method, "contextmanager"),
        (Managed().method, "contextmanager"),
        (Managed.asynchronous, "asynccontextmanager"),
        (Managed.of_class, "contextmanager"),
        (vars(Managed)["of_class"], "contextmanager"),
        (functools.partial(Managed.method, None), "contextmanager"),
        (staticmethod(Managed.asynchronous), "asynccontextmanager"),
    ],
)
def test_functions_that_make_context_managers_are_refused(wrong: Any, name: str) -> None:
    message = f"^isolated\\(\\) over a @{name} function .* write @{name} above @isolated"
    with pytest.raises(TypeError, match=message):
        isolated(wrong)


def test_a_context_manager_over_an_isolated_function() -> None:
    """Both halves of the generator run in one context, which is not that of the block."""

    @contextlib.contextmanager
    @isolated
    def managed() -> Iterator[str]:
        token = user.set("inside")
        yield user.get()
        assert user.get() == "inside"
        user.reset(token)

    manager = managed()
    assert native.copy_context().run(manager.__enter__) == "inside"
    assert user.get() == "nobody"
    native.copy_context().run(manager.__exit__, None, None, None)


@pytest.mark.parametrize("wrong", [int, Greeter, type], ids=lambda it: it.__name__)
def test_classes_are_refused(wrong: Any) -> None:
    message = rf"must not be a class, got .*isolated\(lambda \*args: {wrong.__name__}\(\*args\)\)$"
    with pytest.raises(TypeError, match=message):
        isolated(wrong)


def test_a_marked_coroutine_function_must_return_a_coroutine() -> None:
    mark = getattr(inspect, "markcoroutinefunction", None)
    if mark is None:
        pytest.skip("inspect.markcoroutinefunction came with 3.12")
    function = isolated(mark(lambda: 1))
    with pytest.raises(TypeError, match=r"^an isolated function was to return a .*, got 1$"):
        function()


def test_a_call_that_raises() -> None:
    @isolated
    def fails() -> None:
        plain("fails")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as raised:
        fails()
    names = [frame.name for frame in traceback.extract_tb(raised.value.__traceback__)]
    assert names == ["test_a_call_that_raises", "fails"]


def test_a_call_inside_of_a_call() -> None:
    @isolated
    def factorial(number: int) -> int:
        user.set(str(number))
        result = number * factorial(number - 1) if number else 1
        assert user.get() == str(number)
        return result

    assert factorial(10) == 3_628_800


def test_pickles_are_references() -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(module_level, protocol)) is module_level
    assert copy.copy(module_level) is copy.deepcopy(module_level) is module_level
    with pytest.raises((AttributeError, pickle.PicklingError)):
        pickle.dumps(isolated(lambda: None))


def test_a_function_in_a_cycle_is_collected() -> None:
    def function() -> None: ...

    wrapped = isolated(function)
    function.wrapper = wrapped  # type: ignore[attr-defined]
    wrapped.me = wrapped  # type: ignore[attr-defined]
    dead = weakref.ref(wrapped)
    del wrapped, function
    gc.collect()
    assert dead() is None


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_tasks_of_anyio(backend: str) -> None:
    anyio = pytest.importorskip("anyio", reason="anyio is not installed for this Python")
    pytest.importorskip(backend, reason=f"{backend} is not installed for this Python")
    seen: list[Seen] = []

    @isolated
    async def task(name: str) -> None:
        plain(name)
        await anyio.sleep(0)
        await isolated(inner)(f"inside of {name}")
        await anyio.to_thread.run_sync(plain, "in a thread")
        seen.append(both())

    async def inner(name: str) -> None:
        plain(name)
        await anyio.sleep(0)
        assert both() == (name, name)

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(task, "first")
            group.start_soon(task, "second")
        await task("third")
        assert both() == UNSET

    anyio.run(main, backend=backend)
    assert sorted(seen) == [(name, name) for name in ("first", "second", "third")]
