"""Functions, generators and coroutines that run in a context of their own."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from functools import partial, update_wrapper
from types import MethodType
from typing import Any, Literal, TypeAlias, TypeVar, overload

from ctxvars import _core
from ctxvars._public import public

Body: TypeAlias = Generator[Any, Any, Any] | Coroutine[Any, Any, Any] | AsyncGenerator[Any, Any]
Target = TypeVar("Target", bound="Callable[..., Any] | classmethod[Any, Any, Any] | Body")


@overload
def isolated(function: Target, /, *, inherit: Literal["once", "live"] = "once") -> Target: ...
@overload
def isolated(
    function: None = None, /, *, inherit: Literal["once", "live"] = "once"
) -> Callable[[Target], Target]: ...
def isolated(function: Any = None, /, *, inherit: Literal["once", "live"] = "once") -> Any:
    """Give the body of a function, a generator or a coroutine a context of its own.

    What the body sets is not seen outside of it, and what is set outside after its first step is
    not seen in it; that holds for the standard library's variables, too. The context is entered at
    each step (`next`, `send`, `throw`, `close`, a step of an `await`) and left at each `yield`.

    Args:
        function: a function of any kind, of which each call gets a context; or a generator, a
            coroutine or an async generator, not running, which is taken over.
        inherit: what the body sees of its caller's variables. `"once"`: what they are at its first
            step. `"live"`: at each step, what they are then, but for those that the body has set
            itself, until it resets them.

    Returns:
        What behaves as what was given, but for the context; without a function, a decorator.

    Raises:
        TypeError: it is something else, a class, or a function made by
            `contextlib.contextmanager` or `asynccontextmanager`, which runs nothing when called.
        RuntimeError: the generator or coroutine is running.
        ValueError: `inherit` is something else.

    The context is a copy of the one in which the first step is made; `"live"` follows PEP 568. O(1)
    for each step, and if it is live O(changes x log n), and O(1) for each variable of the standard
    library; such a one cannot be unset in a body that has inherited it when it began.

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
    if inherit not in ("once", "live"):
        raise ValueError(f"isolated() argument 'inherit' must be 'once' or 'live', got {inherit!r}")
    if function is None:
        return partial(isolated, inherit=inherit)
    if callable(function) or isinstance(function, classmethod):
        refuse(function)
        return isolate_calls(function, None, inherit == "live")
    return _core.isolate(function, None, inherit == "live")


def refuse(given: Any) -> None:
    """Raise `TypeError` for a callable whose calls run nothing that could be isolated."""
    if isinstance(given, type):
        raise TypeError(
            f"isolated() argument must not be a class, got {given!r}: the result would not be a "
            f"class; isolate methods of it, or isolated(lambda *args: {given.__name__}(*args))"
        )
    function = given
    while isinstance(function, (MethodType, classmethod, staticmethod, partial)):
        function = function.func if isinstance(function, partial) else function.__func__
    name = made_by(function)
    if name is not None:
        raise TypeError(
            f"isolated() over a @{name} function isolates nothing, because a call only makes a "
            f"context manager, got {given!r}: write @{name} above @isolated to run its body in a "
            "context of its own, which a `with` block does not see"
        )


def made_by(function: Any) -> str | None:
    """The decorator of `contextlib` that has made a function, `None` if none has."""
    # If it is not imported, it has made none. Its functions share their code objects.
    contextlib = sys.modules.get("contextlib")
    code = getattr(function, "__code__", None)
    if contextlib is None or code is None:
        return None
    for name in ("contextmanager", "asynccontextmanager"):
        if code is getattr(contextlib, name)(made_by).__code__:
            return name
    return None


def isolate_calls(function: Any, context: _core.Context | None, live: bool) -> Any:
    """A function whose calls run in a copy each: of `context`, or else of the current one."""
    if isinstance(function, (classmethod, staticmethod)):
        return type(function)(isolate_calls(function.__func__, context, live))
    result = _core.isolate_calls(function, makes_body(function), context, live)
    # What is not set here is asked of the function at each access.
    return update_wrapper(result, function, updated=())


def pickled_name(function: Any, is_bound: bool, /) -> str:
    """The name by which an isolated or bound function is pickled, as every function is.

    The name of a bound function is that of the original, unless it was bound by a decorator.
    """
    import sys
    from pickle import PicklingError

    name: str = getattr(function, "__qualname__", "")
    module = getattr(function, "__module__", None)
    found: Any = sys.modules.get(module or "__main__")
    for part in name.split("."):
        found = getattr(found, part, None)
    if found is function:
        return name
    what = f"{module}.{name}" if name else repr(function.__wrapped__)
    if is_bound:
        raise PicklingError(
            f"cannot pickle {what} bound to a context, which cannot be sent: "
            "send the function itself, and the values, such as a snapshot() of a Group"
        )
    raise PicklingError(f"cannot pickle {what} isolated: that name does not refer to it")


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


public(isolated)
