"""Functions, generators and coroutines that run in a context of their own."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from functools import update_wrapper
from typing import Any, TypeVar, overload

from ctxvars import _core

Target = TypeVar(
    "Target",
    bound="Callable[..., Any] | classmethod[Any, Any, Any] | Generator[Any, Any, Any] "
    "| Coroutine[Any, Any, Any] | AsyncGenerator[Any, Any]",
)


@overload
def isolated(target: Target, /) -> Target: ...
@overload
def isolated(target: None = None, /) -> Callable[[Target], Target]: ...
def isolated(target: Any = None, /) -> Any:
    """Give the body of a function, a generator or a coroutine a context of its own.

    What the body sets is not seen outside of it, and what is set outside after its first step is
    not seen in it; that holds for the standard library's variables, too. The context is entered at
    each step (`next`, `send`, `throw`, `close`, a step of an `await`) and left at each `yield`.

    Args:
        target: a function of any kind, of which each call gets a context; or a generator, a
            coroutine or an async generator, not running, which is taken over.

    Returns:
        What behaves as the target, but for the context; without a target, a decorator.

    Raises:
        TypeError: the target is of another kind.
        RuntimeError: the target is running.

    The context is a copy of the one in which the first step is made. O(1) for each step.

    >>> import ctxvars
    >>> user = ctxvars.ContextVar("user", default="nobody")
    >>> @ctxvars.isolated
    ... def greetings():
    ...     user.set("Ada")
    ...     yield "Hello"
    ...     yield f"Bye {user.get()}"
    >>> for greeting in greetings():
    ...     print(greeting, "-", user.get())
    Hello - nobody
    Bye Ada - nobody
    """
    if target is None:
        return isolated
    if callable(target) or isinstance(target, classmethod):
        return isolate_calls(target, None)
    return _core.isolate(target)


def isolate_calls(function: Any, context: _core.Context | None) -> Any:
    """A function whose calls run in a copy each: of `context`, or else of the current one."""
    if isinstance(function, (classmethod, staticmethod)):
        return type(function)(isolate_calls(function.__func__, context))
    result = _core.isolate_calls(function, makes_body(function), context)
    # What is not set here is asked of the function at each access.
    return update_wrapper(result, function, updated=())


def makes_body(function: Callable[..., Any]) -> bool:
    """Whether calls return a generator, a coroutine or an async generator, which runs later."""
    # Importing ctxvars imports nothing of inspect, which takes longer than all of the rest.
    from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction

    # An object may be called by a method of its class that does.
    called = (function, type(function).__call__)
    return any(
        is_one(each)
        for is_one in (isgeneratorfunction, iscoroutinefunction, isasyncgenfunction)
        for each in called
    )
