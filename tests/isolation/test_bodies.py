"""Generators and coroutines whose bodies run in separate contexts.

Except for the context, the behaviour of a proxy is compared with that of the original.
"""

from __future__ import annotations

import asyncio
import collections.abc
import contextvars as native
import gc
import inspect
import traceback
import types
import warnings
import weakref
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest

import ctxvars
from tests.support.isolation.bodies import bare, doubled, echo, isolate
from tests.support.isolation.user_variables import UNSET, Seen, both, native_user, set_both, user
from tests.support.parity import outcome

pytestmark = pytest.mark.usefixtures("users_are_unset_afterwards")


def test_generators_do_not_see_values_of_one_another() -> None:
    ended: list[Seen] = []
    first, second = isolate(echo("first", ended)), isolate(echo("second", ended))
    assert next(first) == ("first", "first")
    assert both() == UNSET
    assert next(second) == ("second", "second")
    assert first.send("Ada") == ("Ada", ("Ada", "Ada"))
    assert second.send(None) == (None, ("second", "second"))
    with pytest.raises(StopIteration) as stop:
        first.send("return")
    assert stop.value.value == "first returned"
    second.close()
    assert ended == [("Ada", "Ada"), ("second", "second")]


def test_without_isolation_generators_share_values() -> None:
    """The tests above would fail otherwise."""

    def leak() -> Seen:
        next(echo("leaks"))
        return both()

    assert native.copy_context().run(leak) == ("leaks", "leaks")


def test_the_context_is_that_of_the_first_step() -> None:
    def body() -> Iterator[Seen]:
        while True:
            yield both()

    def steps() -> None:
        made_here = isolate(body())
        set_both("first step")
        assert next(made_here) == ("first step", "first step")
        set_both("second step")
        assert next(made_here) == ("first step", "first step")

    native.copy_context().run(steps)


@pytest.mark.parametrize("make", [ctxvars.Context, native.Context])
def test_the_context_may_be_given(make: Any) -> None:
    context = make()
    context.run(set_both, "given")

    def body() -> Iterator[Seen]:
        yield both()
        set_both("by the body")
        yield both()

    generator = isolate(body(), context)
    assert next(generator) == ("given", "given")
    assert next(generator) == ("by the body", "by the body")
    assert context.run(both) == ("by the body", "by the body")
    assert both() == UNSET


def test_a_given_context_that_is_entered() -> None:
    context = ctxvars.Context()
    generator = isolate(echo("given"), context)
    with pytest.raises(RuntimeError, match="is already entered"):
        context.run(next, generator)
    assert next(generator) == ("given", "given")


@pytest.mark.parametrize("wrong", [1, "context", ctxvars.Context], ids=repr)
def test_an_object_that_is_not_a_context_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="context must be a Context, ours or native, or None, got"):
        isolate(echo("unused"), wrong)


def test_tokens_of_one_step_work_in_later_ones() -> None:
    def body() -> Iterator[str]:
        token = user.set("set")
        native_token = native_user.set("set")
        yield user.get()
        user.reset(token)
        native_user.reset(native_token)
        yield user.get()
        with user.set("scoped"):
            yield user.get()
        yield user.get()

    assert list(isolate(body())) == ["set", "nobody", "scoped", "nobody"]


def test_yield_from_and_nested_proxies() -> None:
    def outer() -> Generator[Any, Any, str]:
        set_both("outer")
        result = yield from isolate(echo("inner"))
        assert both() == ("outer", "outer")
        return result

    generator = isolate(isolate(outer()))
    assert next(generator) == ("inner", "inner")
    assert generator.send("Ada") == ("Ada", ("Ada", "Ada"))
    assert generator.gi_yieldfrom is not None
    with pytest.raises(StopIteration, match="inner returned"):
        generator.send("return")


def steps_of(generator: Any, *steps: Callable[[Any], object]) -> list[object]:
    """Return the outcome of each step, without identities and addresses."""
    return [outcome(lambda step=step: step(generator)) for step in steps]  # type: ignore[misc]


def hostile(swallows: int) -> Generator[object, object, object]:
    """Yield that many times instead of ending."""
    while True:
        try:
            yield "yielded"
        except BaseException as error:
            swallows -= 1
            if swallows < 0:
                raise
            yield type(error)


def failing() -> Iterator[int]:
    yield 1
    raise ZeroDivisionError("in the body")


def stops_inside() -> Iterator[int]:
    yield 1
    raise StopIteration("inside")


class Reentrant:
    """A generator that resumes itself."""

    def __init__(self, wrap: Callable[[Any], Any], name: str, *arguments: object) -> None:
        def body() -> Iterator[object]:
            yield getattr(self.generator, name)(*arguments)

        self.generator = wrap(body())


def close(generator: Any) -> object:
    return generator.close()


def throw(error: object) -> Callable[[Any], object]:
    return lambda generator: generator.throw(error)


def send(value: object) -> Callable[[Any], object]:
    return lambda generator: generator.send(value)


@pytest.mark.parametrize(
    ("make", "steps"),
    [
        (lambda: echo("a"), [send(1), next, send("return"), next, close]),
        (lambda: echo("a"), [close, next, close]),
        (lambda: echo("a"), [throw(KeyError("early")), next]),
        (lambda: echo("a"), [next, throw(KeyError("late")), next]),
        (lambda: echo("a"), [next, throw(1), throw("no exception"), send(2)]),
        (lambda: echo("a"), [next, lambda generator: generator.throw(), send(2)]),
        (failing, [next, next, next]),
        (stops_inside, [next, next, next]),
        (lambda: hostile(1), [next, close, next, close, next]),
        (lambda: hostile(2), [next, throw(ValueError("first")), next, close, next, close, close]),
    ],
)
def test_steps_are_those_of_the_original(make: Any, steps: Any) -> None:
    def run(wrap: Callable[[Any], Any]) -> list[object]:
        return native.copy_context().run(steps_of, wrap(make()), *steps)

    assert run(isolate) == run(bare)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("__next__", ()), ("send", (None,)), ("throw", (KeyError(),)), ("close", ())],
)
def test_a_step_inside_of_a_step(name: str, arguments: Any) -> None:
    expected = outcome(lambda: next(Reentrant(bare, name, *arguments).generator))
    assert "generator already executing" in str(expected)
    assert outcome(lambda: next(Reentrant(isolate, name, *arguments).generator)) == expected


def test_a_running_body_is_refused() -> None:
    def body() -> Iterator[object]:
        yield isolate(generator)

    generator = body()
    with pytest.raises(
        RuntimeError, match=r"^isolated\(\) argument <generator object .* is running already$"
    ):
        next(generator)


def test_a_suspended_or_finished_body_is_accepted() -> None:
    original = echo("Ada")
    native.copy_context().run(next, original)
    generator = isolate(original)
    assert generator.send(1) == (1, UNSET)
    with pytest.raises(StopIteration):
        generator.send("return")
    assert list(isolate(original)) == []


@pytest.mark.parametrize(
    "wrong",
    [1, None, [], iter([]), len, object(), asyncio.Future],
    ids=lambda it: type(it).__name__,
)
def test_other_objects_than_bodies_are_refused(wrong: Any) -> None:
    message = r"isolated\(\) argument must be a function, a generator, a coroutine or an async gen"
    with pytest.raises(TypeError, match=message):
        isolate(wrong)


def test_tracebacks_are_those_of_the_original() -> None:
    def frames(wrap: Callable[[Any], Any]) -> list[str]:
        generator = wrap(failing())
        next(generator)
        try:
            next(generator)
        except ZeroDivisionError as error:
            return [frame.name for frame in traceback.extract_tb(error.__traceback__)]
        raise AssertionError("it has not failed")

    assert frames(isolate) == frames(bare) == ["frames", "failing"]


async def awaits(wrap: Callable[[Any], Any]) -> int:
    return await wrap(doubled(1)) + await wrap(doubled(2))


def test_coroutines_run_in_separate_contexts() -> None:
    async def main() -> None:
        assert await isolate(doubled(1)) == 2
        assert both() == UNSET
        assert await asyncio.gather(*[isolate(doubled(number)) for number in range(3)]) == [0, 2, 4]
        assert await asyncio.create_task(isolate(awaits(isolate))) == 6
        assert both() == UNSET

    asyncio.run(main())


def test_a_coroutine_without_a_loop() -> None:
    @types.coroutine
    def switch(value: object) -> Generator[object, object, object]:
        return (yield value)

    async def body() -> object:
        set_both("body")
        sent = await switch(both())
        return sent, both()

    coroutine = isolate(body())
    assert coroutine.send(None) == ("body", "body")
    assert both() == UNSET
    assert coroutine.cr_await is not None
    with pytest.raises(StopIteration) as stop:
        coroutine.send("sent")
    assert stop.value.value == ("sent", ("body", "body"))

    iterator = isolate(body()).__await__()
    assert next(iterator) == ("body", "body")
    with pytest.raises(KeyError):
        iterator.throw(KeyError())
    iterator.close()
    assert both() == UNSET


async def awaits_once(one: Any) -> object:
    return await one


def test_a_coroutine_made_of_a_generator() -> None:
    @types.coroutine
    def body() -> Generator[Seen, object, Seen]:
        set_both("body")
        assert (yield both()) == "sent"
        return both()

    coroutine = awaits_once(isolate(body()))
    assert coroutine.send(None) == ("body", "body")
    assert both() == UNSET
    with pytest.raises(StopIteration) as stop:
        coroutine.send("sent")
    assert stop.value.value == ("body", "body")


@pytest.mark.parametrize("wrap", [bare, isolate])
def test_awaiting_twice(wrap: Callable[[Any], Any]) -> None:
    async def main() -> list[object]:
        coroutine = wrap(doubled(1))
        task = asyncio.create_task(awaits_once(coroutine))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="coroutine is being awaited already"):
            await coroutine
        first = await task
        with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
            await coroutine
        return [first]

    assert asyncio.run(main()) == [2]


def test_a_generator_cannot_be_awaited() -> None:
    for wrap in (bare, isolate):
        # The message changed in 3.15.
        with pytest.raises(TypeError, match=r"can't be (used in 'await' expression|awaited)"):
            awaits_once(wrap(echo("a"))).send(None)


def test_a_coroutine_that_is_not_awaited_warns_once() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        isolate(doubled(1))
        gc.collect()
    assert [str(it.message) for it in caught] == ["coroutine 'doubled' was never awaited"]


def test_a_proxy_passes_type_checks_and_attributes_to_the_original() -> None:
    generator, coroutine = isolate(echo("a")), isolate(doubled(1))
    assert inspect.isgenerator(generator)
    assert inspect.iscoroutine(coroutine)
    assert inspect.isawaitable(coroutine)
    assert asyncio.iscoroutine(coroutine)
    assert isinstance(generator, types.GeneratorType)
    assert isinstance(generator, collections.abc.Generator)
    assert isinstance(coroutine, collections.abc.Coroutine)
    assert not isinstance(generator, collections.abc.Coroutine)
    assert not isinstance(coroutine, collections.abc.Iterator)
    assert generator.__name__ == "echo"
    assert generator.__class__ is types.GeneratorType
    generator.__name__ = generator.__qualname__ = "renamed"
    assert (generator.__name__, generator.__qualname__) == ("renamed", "renamed")
    with pytest.raises(AttributeError, match="'generator' object has no attribute 'other'"):
        generator.other  # noqa: B018
    assert repr(generator).startswith("<isolated <generator object ")
    assert dir(generator) == dir(echo("a"))

    assert inspect.getgeneratorstate(generator) == inspect.GEN_CREATED
    assert generator.gi_frame.f_locals["name"] == "a"
    next(generator)
    assert inspect.getgeneratorstate(generator) == inspect.GEN_SUSPENDED
    assert inspect.getgeneratorlocals(generator)["name"] == "a"
    generator.close()
    assert inspect.getgeneratorstate(generator) == inspect.GEN_CLOSED
    assert generator.gi_frame is None
    assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED
    coroutine.close()
    assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED


def test_proxies_can_be_referred_to_weakly_and_not_pickled() -> None:
    for body in (isolate(echo("a")), isolate(doubled(1))):
        assert weakref.ref(body)() is body
        with pytest.raises(TypeError, match="cannot pickle"):
            body.__reduce__()
        body.close()


def test_an_object_with_the_methods_of_a_generator_is_isolated() -> None:
    class Numbers(collections.abc.Generator[int, int, None]):
        """A generator only by its methods, as generators of Cython are."""

        def send(self, value: int | None, /) -> int:
            set_both("Numbers")
            return 1

        def throw(self, *error: Any) -> int:
            raise error[0]

    numbers = isolate(Numbers())
    assert next(numbers) == 1
    assert numbers.send(2) == 1
    assert both() == UNSET
    with pytest.raises(KeyError):
        numbers.throw(KeyError())
