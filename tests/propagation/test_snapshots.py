"""`ctxvars.snapshot` and `ctxvars.bind` run functions of each kind, in any thread and context."""

from __future__ import annotations

import asyncio
import contextvars as native
import functools
import gc
import inspect
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ctxvars import Context, ContextVar, Snapshot, bind, snapshot
from tests.support.isolation.user_variables import UNSET, Seen, both, set_both, user

pytestmark = pytest.mark.usefixtures("users_are_unset_afterwards")


def snapshot_of(name: str) -> Snapshot:
    def take() -> Snapshot:
        set_both(name)
        return snapshot()

    return native.copy_context().run(take)


def plain(*names: str) -> list[Seen]:
    """Return the values before the variables are set, and after each `set`."""
    seen = [both()]
    for name in names:
        set_both(name)
        seen.append(both())
    return seen


def generator(*names: str) -> Iterator[Seen]:
    yield both()
    for name in names:
        set_both(name)
        yield both()


async def coroutine(*names: str) -> list[Seen]:
    seen = [both()]
    for name in names:
        await asyncio.sleep(0)
        set_both(name)
        await asyncio.sleep(0)
        seen.append(both())
    return seen


async def async_generator(*names: str) -> AsyncIterator[Seen]:
    yield both()
    for name in names:
        await asyncio.sleep(0)
        set_both(name)
        yield both()


async def collected(iterable: AsyncIterator[Seen]) -> list[Seen]:
    return [each async for each in iterable]


RUN: dict[Callable[..., Any], Callable[[Any], list[Seen]]] = {
    plain: list,
    generator: list,
    coroutine: asyncio.run,
    async_generator: lambda it: asyncio.run(collected(it)),
}
KINDS = [pytest.param(function, id=function.__name__) for function in RUN]
EXPECTED = [("Ada", "Ada"), ("Bob", "Bob"), ("Eve", "Eve")]


def test_run_has_a_copy_each_time() -> None:
    taken = snapshot_of("Ada")
    for _ in range(2):
        assert taken.run(plain, "Bob", "Eve") == EXPECTED
    assert both() == UNSET
    assert taken.bindings[user] == "Ada"


def test_run_passes_on_arguments_results_and_exceptions() -> None:
    taken = snapshot()
    assert taken.run(dict, [("a", 1)], b=2) == {"a": 1, "b": 2}
    with pytest.raises(ZeroDivisionError):
        taken.run(divmod, 1, 0)
    with pytest.raises(TypeError, match=r"not callable"):
        taken.run(1)  # type: ignore[arg-type]


def test_run_inside_of_run() -> None:
    taken = snapshot_of("Ada")
    assert taken.run(taken.run, taken.run, both) == ("Ada", "Ada")


@pytest.mark.parametrize("function", KINDS)
def test_a_bound_function_runs_in_a_copy_each_time(function: Any) -> None:
    bound = snapshot_of("Ada").bind(function)
    for _ in range(2):
        assert RUN[function](bound("Bob", "Eve")) == EXPECTED
    assert both() == UNSET
    assert inspect.signature(bound) == inspect.signature(function)
    for is_one in (
        inspect.isgeneratorfunction,
        inspect.iscoroutinefunction,
        inspect.isasyncgenfunction,
    ):
        assert is_one(bound) == is_one(function)
    assert bound.__wrapped__ is function


@pytest.mark.parametrize("function", KINDS)
def test_bind_to_what_is_current(function: Any) -> None:
    def make() -> Any:
        set_both("Ada")
        bound = bind(function)
        set_both("later")
        return bound

    bound = native.copy_context().run(make)
    assert RUN[function](bound("Bob", "Eve")) == EXPECTED


@pytest.mark.parametrize("function", KINDS)
def test_from_many_threads_at_once(function: Any) -> None:
    bound = snapshot_of("Ada").bind(function)
    start = threading.Barrier(8)

    def work() -> bool:
        start.wait()
        return all(RUN[function](bound("Bob", "Eve")) == EXPECTED for _ in range(20))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda _: work(), range(8)))


def test_a_bound_generator_can_be_stepped_by_several_threads() -> None:
    made = snapshot_of("Ada").bind(generator)("Bob", "Eve")
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        seen = [pool.submit(next, made).result() for pool in (one, other, one)]
    assert seen == EXPECTED


class Greeter:
    name = "Greeter"

    def method(self) -> tuple[str, Seen]:
        return self.name, both()

    class_method = classmethod(method)


def test_methods() -> None:
    taken = snapshot_of("Ada")
    seen = ("Greeter", ("Ada", "Ada"))
    assert taken.bind(Greeter().method)() == seen
    assert taken.bind(Greeter.method)(Greeter()) == seen
    assert taken.bind(functools.partial(Greeter.method, Greeter()))() == seen

    class Bound(Greeter):
        method = taken.bind(Greeter.method)
        class_method = taken.bind(classmethod(Greeter.method))  # type: ignore[assignment]

    assert Bound().method() == Bound.class_method() == seen  # type: ignore[call-arg]


def test_other_objects_than_functions_are_refused() -> None:
    with pytest.raises(
        TypeError, match=r"^bind\(\) argument 'function' must be a function, got 1$"
    ):
        bind(1)  # type: ignore[type-var]
    with pytest.raises(
        TypeError, match=r"must be a function, got <generator .*; bind the function"
    ):
        bind(generator())  # type: ignore[type-var]
    with pytest.raises(TypeError, match=r"got <async_generator .*; bind the function"):
        snapshot().bind(async_generator())  # type: ignore[type-var]
    coro = coroutine()
    with pytest.raises(TypeError, match=r"got <coroutine .*; bind the function that returns it"):
        snapshot().bind(coro)  # type: ignore[type-var]
    coro.close()


def test_a_snapshot_in_a_cycle_is_collected() -> None:
    def make() -> Snapshot:
        holder: list[Any] = []
        user.set(holder)  # type: ignore[arg-type]
        taken = snapshot()
        holder += [taken, taken.bind(plain)]
        return taken

    dead = weakref.ref(native.copy_context().run(make))
    gc.collect()
    assert dead() is None


def test_the_repr_of_a_snapshot_shows_its_values() -> None:
    def shown(**values: object) -> str:
        for name, value in values.items():
            ContextVar[object](name).set(value)
        return repr(snapshot())

    assert Context().run(shown) == "<ctxvars.Snapshot without values>"
    assert Context().run(shown, user="Ada", depth=3) == "<ctxvars.Snapshot depth=3, user='Ada'>"
    text = Context().run(shown, text="x" * 1000, **{f"v{number}": 0 for number in range(100)})
    assert len(text) < 300
    assert text.endswith(", 91 more>")


def test_the_repr_of_a_snapshot_that_holds_itself_ends() -> None:
    holder: list[object] = []
    variable: ContextVar[object] = ContextVar("holder")
    Context().run(lambda: (variable.set(holder), holder.append(snapshot())))
    assert repr(holder[0]) == "<ctxvars.Snapshot holder=[<ctxvars.Snapshot ...>]>"
    holder.clear()
