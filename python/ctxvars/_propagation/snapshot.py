"""`Snapshot`: the values of all variables at one moment, to run code with them later."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from reprlib import recursive_repr
from reprlib import repr as short_repr
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from ctxvars import _core
from ctxvars._isolation.isolated import isolate_calls
from ctxvars._public import public

P = ParamSpec("P")
R = TypeVar("R")
Function = TypeVar("Function", bound="Callable[..., Any] | classmethod[Any, Any, Any]")

# How many variables the repr of a snapshot shows.
MOST_SHOWN = 10


@public
class Snapshot:
    """The values of all variables at one moment, the standard library's included.

    A snapshot never changes: each use runs in a new copy of it. It can be used any number of times,
    and by many threads at once. `ctxvars.snapshot()` makes one, in O(1), whatever the number of
    variables.

    >>> import ctxvars
    >>> user = ctxvars.ContextVar("user", default="nobody")
    >>> with user.set("Ada"):
    ...     snapshot = ctxvars.snapshot()
    >>> snapshot.run(user.get)
    'Ada'
    >>> snapshot.bindings[user]
    'Ada'
    >>> user.get()
    'nobody'
    """

    __slots__ = ("__weakref__", "_context")

    def __init__(self) -> None:
        self._context = _core.copy_context()

    @property
    def bindings(self) -> _core.Map[_core.ContextVar[Any], Any]:
        """The variables of ctxvars that had a value, with these values. O(1)."""
        return self._context.bindings

    def __repr__(self) -> str:
        pairs = sorted(self.bindings.items(), key=lambda pair: pair[0].name)
        shown = [f"{variable.name}={short_repr(value)}" for variable, value in pairs[:MOST_SHOWN]]
        if len(pairs) > MOST_SHOWN:
            shown.append(f"{len(pairs) - MOST_SHOWN} more")
        return f"<ctxvars.Snapshot {', '.join(shown) or 'without values'}>"

    if not TYPE_CHECKING:
        # The value of a variable may refer to the snapshot.
        __repr__ = recursive_repr("<ctxvars.Snapshot ...>")(__repr__)

    def run(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a function in a copy of the snapshot.

        Args:
            function: the function to call. Its result is not bound: a coroutine runs in the context
                of the code that awaits it. See `bind` for coroutine functions.
            args, kwargs: the arguments of the function.

        Returns:
            The result of the function. The variables that it sets are dropped.

        Raises:
            TypeError: the function is not callable.

        Like `Context.run` (PEP 567), but in a copy. O(1).
        """
        return self._context.copy().run(function, *args, **kwargs)

    def bind(self, function: Function, /) -> Function:
        """Return a function that runs each call in a new copy of the snapshot.

        Args:
            function: a function, generator function, coroutine function or async generator
                function. The generator or coroutine that a call returns runs in the copy, too, as
                with `isolated`.

        Returns:
            A function that behaves like the one given, but for the context.

        Raises:
            TypeError: the argument is not a function.

        O(1) for each call, and for each step of what it returns.

        >>> import ctxvars
        >>> user = ctxvars.ContextVar("user", default="nobody")
        >>> with user.set("Ada"):
        ...     snapshot = ctxvars.snapshot()
        >>> @snapshot.bind
        ... def greetings():
        ...     yield f"Hello {user.get()}"
        ...     yield f"Bye {user.get()}"
        >>> list(greetings())
        ['Hello Ada', 'Bye Ada']
        """
        if callable(function) or isinstance(function, classmethod):
            bound: Function = isolate_calls(function, self._context, live=False)
            return bound
        message = f"bind() argument 'function' must be a function, got {function!r}"
        if isinstance(function, (Generator, Coroutine, AsyncGenerator)):
            message += "; bind the function that returns it, before it is called"
        raise TypeError(message)


def snapshot() -> Snapshot:
    """Return a snapshot of the current context.

    Returns:
        A snapshot, which can run code any number of times, in any thread.

    The semantics are those of `copy_context` (PEP 567). O(1).

    >>> import ctxvars
    >>> user = ctxvars.ContextVar("user")
    >>> with user.set("Ada"):
    ...     before = ctxvars.snapshot()
    >>> before.run(user.get)
    'Ada'
    """
    return Snapshot()


def bind(function: Function, /) -> Function:
    """Return a function that runs with the current values of all variables, in any thread or task.

    Args:
        function: a function, generator function, coroutine function or async generator function.

    Returns:
        A function that behaves like the one given, but runs in a copy of the current context, a new
        one for each call.

    Raises:
        TypeError: the argument is not a function.

    The same as `snapshot().bind(function)`. O(1).

    >>> import ctxvars, threading
    >>> user = ctxvars.ContextVar("user", default="nobody")
    >>> with user.set("Ada"):
    ...     thread = threading.Thread(target=ctxvars.bind(lambda: print(user.get())))
    >>> thread.start(); thread.join()
    Ada
    """
    return Snapshot().bind(function)


public(snapshot)
public(bind)
