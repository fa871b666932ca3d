"""Async fixtures and tests, and examples of Hypothesis, that run between calls of the hooks.

The plugins for async code look at the functions, so that each replacement is of the kind of its
original, and has its name and attributes.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import wraps
from inspect import isasyncgenfunction, iscoroutinefunction, ismethod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from ctxvars.pytest_plugin._hooks import Hooks
    from ctxvars.pytest_plugin._leaks import Call


@contextmanager
def replaced(owner: Any, name: str, value: object) -> Iterator[None]:
    """Give an attribute another value for a block."""
    original = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, original)


def bound_fixture(function: Callable[..., Any], instance: object) -> Callable[..., Any]:
    """Return the fixture bound to the instance of the test, as pytest would bind it.

    pytest has bound it to another instance of the class, and does not bind replacements.
    """
    if ismethod(function) and isinstance(instance, type(function.__self__)):
        bound: Callable[..., Any] = function.__func__.__get__(instance)
        return bound
    return function


def async_fixture(function: Callable[..., Any], hooks: Hooks) -> Callable[..., Any]:
    """Return an async fixture that sees the visible values and reports its changes."""
    if not isasyncgenfunction(function):

        @wraps(function)
        async def fixture(**arguments: Any) -> Any:
            __tracebackhide__ = True
            with hooks.isolation.in_task():
                return await function(**arguments)

        return fixture

    @wraps(function)
    async def generator_fixture(**arguments: Any) -> AsyncIterator[Any]:
        __tracebackhide__ = True
        generator = function(**arguments)
        try:
            with hooks.isolation.in_task():
                value = await anext(generator)
            yield value
            with hooks.end_async_fixture():
                async for another in generator:
                    # The plugin says that there is a second `yield`.
                    yield another
        finally:
            await generator.aclose()

    return generator_fixture


def async_test(function: Callable[..., Any], hooks: Hooks, call: Call) -> Callable[..., Any]:
    """Return an async test that sees the visible values and reports its changes."""

    @wraps(function)
    async def test(*positional: Any, **arguments: Any) -> Any:
        __tracebackhide__ = True
        with hooks.async_call(call):
            return await function(*positional, **arguments)

    return test


def hypothesis_test(function: Callable[..., Any], hooks: Hooks, call: Call) -> Callable[..., Any]:
    """Return a test, sync or async, each of whose examples starts with the visible values."""
    if iscoroutinefunction(function):

        @wraps(function)
        async def async_example(*positional: Any, **arguments: Any) -> Any:
            __tracebackhide__ = True
            with hooks.example(call):
                return await function(*positional, **arguments)

        return async_example

    @wraps(function)
    def example(*positional: Any, **arguments: Any) -> Any:
        __tracebackhide__ = True
        with hooks.example(call):
            return function(*positional, **arguments)

    return example
