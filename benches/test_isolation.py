"""Isolated bodies, against the bare originals and against a wrapper in Python: `make bench`."""

from __future__ import annotations

import contextvars
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from functools import partial
from typing import Any, NamedTuple

import pytest
from paired import OURS, Turn, measure
from report import Measurement

import ctxvars

BARE = "bare"
WRAPPER = "wrapper"
STEPS = 20_000


def numbers() -> Generator[int, None, None]:
    yield from range(STEPS)


async def async_numbers() -> AsyncGenerator[int, None]:
    for number in range(STEPS):
        yield number


async def nothing() -> None:
    """A coroutine that returns at once."""


isolated_nothing = ctxvars.isolated(nothing)


class Wrapper:
    """A wrapper in Python, as programs write it by hand: it enters a context for each step."""

    def __init__(self, body: Generator[Any, Any, Any]) -> None:
        self.run = ctxvars.copy_context().run
        self.body = body

    def __iter__(self) -> Wrapper:
        return self

    def __next__(self) -> Any:
        return self.run(next, self.body)


class AwaitWrapper:
    """A `Wrapper` for an awaitable."""

    def __init__(self, awaitable: Any, run: Any) -> None:
        self.body = awaitable.__await__()
        self.run = run

    def __await__(self) -> AwaitWrapper:
        return self

    def __iter__(self) -> AwaitWrapper:
        return self

    def __next__(self) -> Any:
        return self.run(self.body.send, None)

    def send(self, value: Any) -> Any:
        return self.run(self.body.send, value)


class AsyncWrapper:
    """A `Wrapper` for an async generator."""

    def __init__(self, body: AsyncGenerator[Any, Any]) -> None:
        self.run = ctxvars.copy_context().run
        self.body = body

    def __aiter__(self) -> AsyncWrapper:
        return self

    def __anext__(self) -> AwaitWrapper:
        return AwaitWrapper(self.run(self.body.__anext__), self.run)


def wrapped_coroutine(coroutine: Coroutine[Any, Any, Any]) -> AwaitWrapper:
    return AwaitWrapper(coroutine, ctxvars.copy_context().run)


def finished(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that never suspends."""
    with pytest.raises(StopIteration):
        coroutine.send(None)


def use_up(made: Any) -> None:
    for _ in made:
        pass


async def use_up_async(made: Any) -> None:
    async for _ in made:
        pass


async def await_each(make: Callable[[], Any]) -> None:
    for _ in range(STEPS):
        await make()


def steps(make: Callable[[], Any]) -> Callable[[], None]:
    return lambda: use_up(make())


def async_steps(make: Callable[[], Any]) -> Callable[[], None]:
    return lambda: finished(use_up_async(make()))


def awaits(make: Callable[[], Any]) -> Callable[[], None]:
    return lambda: finished(await_each(make))


def live() -> Any:
    return ctxvars.isolated(numbers(), inherit="live")


NATIVE: contextvars.ContextVar[int] = contextvars.ContextVar("native")


class Operation(NamedTuple):
    name: str
    contenders: dict[str, Callable[[], None]]
    native_is_set: bool = False
    """Whether a variable of the standard library has a value during the operation."""


OPERATIONS = [
    Operation(
        "next of a generator",
        {
            BARE: steps(numbers),
            WRAPPER: steps(lambda: Wrapper(numbers())),
            OURS: steps(lambda: ctxvars.isolated(numbers())),
        },
    ),
    Operation(
        'next of a generator, inherit="live", nothing changed',
        {
            BARE: steps(numbers),
            WRAPPER: steps(lambda: Wrapper(numbers())),
            OURS: steps(live),
        },
    ),
    Operation(
        'next of a generator, inherit="live", one variable of contextvars set',
        {
            BARE: steps(numbers),
            WRAPPER: steps(lambda: Wrapper(numbers())),
            OURS: steps(live),
        },
        native_is_set=True,
    ),
    Operation(
        "a turn of `async for` that awaits nothing",
        {
            BARE: async_steps(async_numbers),
            WRAPPER: async_steps(lambda: AsyncWrapper(async_numbers())),
            OURS: async_steps(lambda: ctxvars.isolated(async_numbers())),
        },
    ),
    Operation(
        "making and awaiting a coroutine that returns at once",
        {
            BARE: awaits(nothing),
            WRAPPER: awaits(lambda: wrapped_coroutine(nothing())),
            OURS: awaits(isolated_nothing),
        },
    ),
]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_speed(benchmark: Any, operation: Operation) -> None:
    # A context without the variables that pytest and its plugins have set.
    context = contextvars.Context()
    if operation.native_is_set:
        context.run(NATIVE.set, 1)

    def prepared_round() -> dict[str, Turn]:
        return {
            name: Turn(partial(context.run, run), STEPS)
            for name, run in operation.contenders.items()
        }

    Measurement(
        suite="isolation", operation=operation.name, samples=measure(benchmark, prepared_round)
    ).record(benchmark)
