"""`isolated`: functions, generators and coroutines with their own context."""

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
    """Give the body of a function, a generator or a coroutine its own context.

    Code outside the body does not see the variables that the body sets. The body does not see the
    variables that other code sets after its first step. Both hold for variables of the standard
    library, too. The context is entered at each step (`next`, `send`, `throw`, `close`, a step of
    an `await`) and left at each `yield`.

    Args:
        function: a function of any kind, to give each call its own context; or a generator, a
            coroutine or an async generator that is not running, to be used only through the result
            from now on.
        inherit: which values of its caller the body sees. `"once"`: the values at its first step.
            `"live"`: the current values at each step, except for the variables that the body has
            set and not reset.

    Returns:
        An object that behaves like the argument, but for the context; without a function, a
        decorator.

    Raises:
        TypeError: the argument is something else, a class, or a function made by
            `contextlib.contextmanager` or `asynccontextmanager`, which runs nothing when called.
        RuntimeError: the generator or coroutine is running.
        ValueError: `inherit` has another value.

    The context is a copy of the one in which the first step is made. `"live"` follows PEP 568. O(1)
    for each step; with `"live"` O(changes x log n), and O(1) for each variable of the standard
    library. Such a variable cannot be unset in a body that inherited it at its first step.

    >>> import ctxvars
    >>> user = ctxvars.ContextVar("user", default="guest")
    >>> @ctxvars.isolated
    ... def greetings():
    ...     user.set("Ada")
    ...     yield "Hello"
    ...     yield f"Bye {user.get()}"
    >>> for greeting in greetings():
    ...     print(greeting, "-", user.get())
    Hello - guest
    Bye Ada - guest
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
    """Raise `TypeError` for a callable whose calls do not run the body that is to be isolated."""
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
            f"context manager, got {given!r}: write @{name} above @isolated to run its body in its "
            "own context, which a `with` block does not see"
        )


def made_by(function: Any) -> str | None:
    """The name of the decorator of `contextlib` that made a function, or `None`."""
    # As long as contextlib is not imported, it has not made any. The functions that one decorator
    # makes share a code object.
    contextlib = sys.modules.get("contextlib")
    code = getattr(function, "__code__", None)
    if contextlib is None or code is None:
        return None
    for name in ("contextmanager", "asynccontextmanager"):
        if code is getattr(contextlib, name)(made_by).__code__:
            return name
    return None


def isolate_calls(function: Any, context: _core.Context | None, live: bool) -> Any:
    """Return a function whose calls run in new copies of `context`, or of the current one."""
    if isinstance(function, (classmethod, staticmethod)):
        return type(function)(isolate_calls(function.__func__, context, live))
    result = _core.isolate_calls(function, makes_body(function), context, live)
    # The result looks up other attributes on the function at each access.
    return update_wrapper(result, function, updated=())


def pickled_name(function: Any, is_bound: bool, /) -> str:
    """Return the name by which an isolated or bound function is pickled, like every function.

    Called by compiled code. The name of a bound function refers to the original function, unless
    `bind` was used as a decorator.
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
    # `import ctxvars` does not import inspect, which takes longer than the rest of the package.
    from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction

    # An object may have a `__call__` method of such a kind.
    called = (function, type(function).__call__)
    return any(
        is_one(each)
        for is_one in (isgeneratorfunction, iscoroutinefunction, isasyncgenfunction)
        for each in called
    )


public(isolated)
